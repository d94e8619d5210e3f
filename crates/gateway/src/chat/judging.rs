//! A model that judges answers, after they have gone out. It is asked like any other model, in the gateway's own name.

mod question;

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use slarouter_config::{Judge, Limits, VerdictUse};
use slarouter_core::{AuditDraw, DecisionId, Rater, Rating, Reason, Source};
use slarouter_protocol::adapter::{Adapter, AnswerOptions};
use slarouter_protocol::checks::{Written, said};
use slarouter_protocol::request::Request;
use slarouter_protocol::{Endpoint, Envelope};
use slarouter_store::FeedbackRecord;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout};
use uuid::Uuid;

use super::ask::Inbound;
use super::attempts::call;
use super::decide::{DecisionInput, decide};
use super::exchange::Exchange;
use crate::admission::auth::Caller;
use crate::app::App;
use crate::aside::Bounds;
use crate::clock::public_id;
use crate::lookup::{Target, model};
use crate::upstream::{Asked, UpstreamResponse};
use question::{Verdict, question, read};

/// Who pays for the judge, among the names of keys: no key can have a name with a dot.
const PAYER: &str = "feedback.judge";
/// The account of its budget.
const ACCOUNT: &str = "judge:feedback.judge";

/// An answer to be judged.
pub(super) struct Case {
    pub(super) app: Arc<App>,
    pub(super) id: DecisionId,
    /// The messages of its request, as JSON.
    pub(super) conversation: String,
    pub(super) written: Written,
}

/// Why there is no verdict.
enum NoVerdict {
    /// The budget of the day is used up.
    Budget,
    /// The judge could not be asked, or failed.
    Failed(String),
    /// What it said is none, or the answer cannot be read.
    Unreadable,
}

/// The messages of a request whose answer is to be judged, as JSON; `None` if it is not drawn.
pub(super) fn drawn(exchange: &Exchange, request: &Request) -> Option<String> {
    let app = exchange.app();
    let judge = app.config.judge.as_ref()?;
    let learns = exchange.endpoint().routes() && exchange.decision().reason != Reason::Pinned;
    let drawn = match judge.counts_as {
        VerdictUse::Audit => exchange.is_audited(),
        VerdictUse::Prediction { rate } => AuditDraw::for_judge(app.config.server.seed, exchange.id(), rate),
    };
    (learns && drawn).then(|| request.outline().messages.into_owned())
}

impl Case {
    /// Has it judged when its turn comes; it takes so many bytes.
    pub(super) fn submit(self, bytes: usize) {
        let (app, metrics) = (self.app.clone(), self.app.metrics.clone());
        let Some(judge) = app.config.judge.clone() else { return };
        let bounds = Bounds { waiting: judge.queue, at_once: judge.max_concurrency };
        if !app.aside.offer(bounds, self.id, bytes, async move { self.judge(&judge).await }) {
            metrics.verdict("overflow");
        }
    }

    async fn judge(self, judge: &Judge) {
        let (app, id, request_id) = (self.app.clone(), self.id, public_id(self.id));
        let Verdict { reason, satisfied } = match Box::pin(self.ask(judge)).await {
            Ok(verdict) => verdict,
            Err(why) => {
                match &why {
                    NoVerdict::Budget => {}
                    NoVerdict::Failed(error) => tracing::warn!(request_id, error, "not judged"),
                    NoVerdict::Unreadable => tracing::warn!(request_id, "the judge gave no verdict"),
                }
                app.metrics.verdict(why.word());
                return;
            }
        };
        app.metrics.verdict(if satisfied { "approved" } else { "disapproved" });
        let source = match judge.counts_as {
            VerdictUse::Audit => Source::Audit,
            VerdictUse::Prediction { .. } => Source::Judge,
        };
        let record = FeedbackRecord {
            decision: id,
            time: app.clock.now(),
            source,
            rater: Rater::JUDGE,
            rating: Rating::new(f64::from(u8::from(satisfied))).ok(),
            // It may quote the answer and the prompt.
            comment: Some(reason)
                .filter(|reason| app.config.store.keep_prompts && !reason.is_empty())
                .and_then(|reason| app.prompts.seal(id, reason)),
        };
        match app.store.rate(record, app.config.feedback_window_ms).await {
            Ok(receipt) => {
                if source == Source::Audit {
                    app.metrics.feedback(source, receipt);
                }
                tracing::info!(request_id, satisfied, receipt = receipt.as_str(), "judged");
            }
            Err(error) => tracing::error!(request_id, %error, "a verdict is not recorded"),
        }
    }

    /// Asks the judge, which costs its budget and nobody's key.
    async fn ask(self, judge: &Judge) -> Result<Verdict, NoVerdict> {
        let Self { app, conversation, written, .. } = self;
        let answer = spawn_blocking(move || said(&written)).await.ok().flatten().ok_or(NoVerdict::Unreadable)?;
        let gone = || NoVerdict::Failed(format!("the model {} is not configured any more", judge.model));
        let model = model(&app, &judge.model).ok_or_else(gone)?;
        let marker = Uuid::new_v4().simple().to_string();
        let in_schema = model.takes.schema == Some(true);
        let body = question(&judge.model, &judge.rubric, &conversation, &answer, &marker, in_schema).to_string();
        let failed = |error: String| NoVerdict::Failed(error);
        let request = Request::parse(Endpoint::Chat, Bytes::from(body)).map_err(|error| failed(error.to_string()))?;
        let limits = Limits { usd_per_day: Some(judge.usd_per_day), ..Limits::default() };
        let caller = Caller::of_gateway(PAYER, app.auth.meters.of(ACCOUNT.to_owned(), limits, app.clock.now()));
        let input = DecisionInput {
            name: &judge.model,
            target: &Target::Model(model),
            excluded: Vec::new(),
            outline: request.outline(),
            routes: false,
            answer: request.answer_length(),
            session: None,
            trace: None,
        };
        let id = app.clock.new_id();
        let decided = decide(&app, &caller, id, input).await.map_err(|error| match error.code {
            "budget_exceeded" => NoVerdict::Budget,
            _ => failed(error.message),
        })?;
        let exchange = Exchange::new(app.clone(), id, decided, &request, Instant::now(), None);
        let said = Box::pin(answered(&app, exchange, &request, judge)).await.map_err(failed)?;
        read(&said).ok_or(NoVerdict::Unreadable)
    }
}

/// What the judge says.
///
/// # Errors
/// Why it says nothing.
async fn answered(app: &App, mut exchange: Exchange, request: &Request, judge: &Judge) -> Result<String, String> {
    exchange.reserved().await;
    let headers = HeaderMap::new();
    let inbound = Inbound { request, headers: &headers, asked: &Asked::of(request) };
    let (status, error) = match timeout(judge.timeout, call(app, &mut exchange, inbound, &[])).await {
        Ok(Ok(UpstreamResponse::Plain { status, body, .. })) => match text(&exchange, &body) {
            Ok((said, usage)) => {
                exchange.finish(status, true, usage, None);
                return Ok(said);
            }
            Err(error) => (StatusCode::BAD_GATEWAY, error),
        },
        Ok(Ok(UpstreamResponse::Stream { .. })) => (StatusCode::BAD_GATEWAY, "a stream came".to_owned()),
        Ok(Err(failure)) => (StatusCode::BAD_GATEWAY, failure.to_string()),
        Err(_) => {
            let error = format!("no verdict within {} s", judge.timeout.as_secs_f64());
            (StatusCode::GATEWAY_TIMEOUT, error)
        }
    };
    exchange.finish(status, false, None, Some(error.clone()));
    Err(error)
}

/// The text of a judge's answer, and its usage.
///
/// # Errors
/// Why it is no answer.
fn text(exchange: &Exchange, body: &Bytes) -> Result<(String, Option<slarouter_protocol::Usage>), String> {
    let adapter = Adapter { endpoint: Endpoint::Chat, upstream: exchange.upstream() };
    let options = AnswerOptions { envelope: Envelope::default(), wants_usage: true, wants_metadata: false };
    let usage = adapter.plain(body, &options, |_| (None, None))?.usage;
    let written = Written { upstream: exchange.upstream(), streamed: false, pieces: vec![body.clone()] };
    Ok((said(&written).ok_or("it has no text")?, usage))
}

impl NoVerdict {
    /// For the metrics.
    fn word(&self) -> &'static str {
        match self {
            Self::Budget => "budget",
            Self::Failed(_) => "failed",
            Self::Unreadable => "unreadable",
        }
    }
}
