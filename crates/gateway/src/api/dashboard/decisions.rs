//! The list of decisions, and one of them.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use http::StatusCode;
use slarouter_core::{Reason, Timestamp, told_count, told_money, told_percent};
use slarouter_learner::{ExplainedCandidate, ExplainedOutcome, Explanation, Replay, Then, Word};
use slarouter_pages::{CandidateRow, DecisionList, DecisionRow, DecisionView, FactGroup, WordRow};
use slarouter_store::{Calendar, DecisionLine, DecisionPage, DecisionQuery};

use super::href;
use super::page::{Visitor, frame, page, problem, took};
use crate::api::decisions::{Asked, explained, parse, unreadable};
use crate::app::App;
use crate::clock::public_id;
use crate::error::ApiError;

/// For what is not known.
const UNKNOWN: &str = "–";

/// The list, newest first.
pub(super) async fn list(
    State(app): State<Arc<App>>,
    Extension(visitor): Extension<Visitor>,
    RawQuery(query): RawQuery,
) -> Response {
    let listed = async {
        let Asked { query, .. } = parse(query.as_deref().unwrap_or_default())?;
        let found = app.store.decisions(query.clone()).await.map_err(unreadable)?;
        Ok::<_, ApiError>((query, found))
    };
    match listed.await {
        Ok((query, found)) => page(StatusCode::OK, &listing(&app, &query, &found, &visitor)),
        Err(error) => problem(&visitor, &error),
    }
}

fn listing<'a>(app: &App, query: &DecisionQuery, found: &DecisionPage, visitor: &'a Visitor) -> DecisionList<'a> {
    let choices = |names: &mut dyn Iterator<Item = &str>, chosen: Option<&str>| -> Vec<(String, bool)> {
        names.map(|name| (name.to_owned(), Some(name) == chosen)).collect()
    };
    let (route, model) = (query.route.as_deref(), query.model.as_deref());
    let reason = query.reason.map(Reason::as_str);
    let filters = [("route", route.unwrap_or("")), ("model", model.unwrap_or("")), ("reason", reason.unwrap_or(""))];
    let older = found.next.map(|next| {
        let next = next.to_string();
        href::decisions(&[&filters[..], &[("before", &next)]].concat())
    });
    let reasons = [Reason::Exploit, Reason::Explore, Reason::Fallback, Reason::Pinned, Reason::Affinity];
    DecisionList {
        frame: frame(visitor, "decisions", "Decisions"),
        routes: choices(&mut app.config.routes.keys().map(|name| &**name), route),
        models: choices(&mut app.config.models.iter().map(|model| &*model.name), model),
        reasons: choices(&mut reasons.into_iter().map(Reason::as_str), reason),
        lines: found.lines.iter().map(|line| row(line, &visitor.calendar)).collect(),
        csv: href::decisions_as_csv(&filters),
        newest: query.before.map(|_| href::decisions(&filters)),
        older,
    }
}

fn row(line: &DecisionLine, calendar: &Calendar) -> DecisionRow {
    let known = |value: Option<String>| value.unwrap_or_else(|| UNKNOWN.to_owned());
    DecisionRow {
        href: format!("/dashboard/decisions/{}", public_id(line.id)),
        time: calendar.moment(line.time),
        shown: calendar.told(line.time),
        route: if line.route.is_empty() { UNKNOWN.to_owned() } else { line.route.to_string() },
        model: line.model.to_string(),
        instead_of: (line.model != line.chosen).then(|| line.chosen.to_string()),
        reason: line.reason.as_str(),
        predicted: told_percent(line.satisfaction),
        cost: known(line.cost.map(told_money)),
        status: line.status.map_or_else(|| "under way".to_owned(), |status| status.to_string()),
        took: known(line.latency_ms.map(took)),
        rating: known(line.rating.map(|rating| format!("{rating:.2}"))),
    }
}

/// One decision, explained.
pub(super) async fn one(
    State(app): State<Arc<App>>,
    Extension(visitor): Extension<Visitor>,
    Path(id): Path<String>,
) -> Response {
    let explanation = match explained(&app, &id).await {
        Ok(explanation) => explanation,
        Err(error) => return problem(&visitor, &error),
    };
    let id = public_id(explanation.id);
    let view = DecisionView {
        frame: frame(&visitor, "decisions", "A decision"),
        id: &id,
        chosen: &explanation.chosen,
        sentence: &explanation.sentence,
        candidates: explanation.candidates.iter().map(|candidate| self::candidate(candidate, &explanation)).collect(),
        groups: groups(&explanation, &visitor.calendar),
        words: explanation.feedback.iter().map(|given| word(given, &visitor.calendar)).collect(),
    };
    page(StatusCode::OK, &view)
}

fn candidate(candidate: &ExplainedCandidate, explanation: &Explanation) -> CandidateRow {
    let error = candidate.satisfaction_error.map(|error| format!(" ± {:.1}", error * 100.0)).unwrap_or_default();
    CandidateRow {
        model: candidate.model.to_string(),
        is_chosen: candidate.model == explanation.chosen,
        probability: candidate.told_probability(),
        satisfaction: format!("{:.1}{error} %", candidate.satisfaction * 100.0),
        cost: told_money(candidate.cost_usd),
        would_win: candidate.would_have_been_best(),
    }
}

fn groups(explanation: &Explanation, calendar: &Calendar) -> Vec<FactGroup> {
    let mut groups =
        vec![FactGroup { name: "Decision", facts: decision(explanation, calendar), note: replay(&explanation.replay) }];
    if let Some(then) = &explanation.then {
        groups.push(FactGroup {
            name: "What the route knew then",
            facts: state(then),
            note: Some("Made again from the log, up to the last event that the decision had seen.".to_owned()),
        });
    }
    if let Some(outcome) = &explanation.outcome {
        groups.push(FactGroup { name: "Answer", facts: answer(outcome, explanation), note: outcome.error.clone() });
    }
    groups
}

fn decision(explanation: &Explanation, calendar: &Calendar) -> Vec<(&'static str, String)> {
    let route = if explanation.route.is_empty() { "none" } else { &*explanation.route };
    let mut facts = vec![
        ("Time", calendar.told(Timestamp(explanation.time_ms))),
        ("Route", route.to_owned()),
        ("Reason", explanation.reason.to_string()),
        ("Probability of the choice", told_percent(explanation.propensity)),
        ("Estimated input", format!("{} tokens", told_count(explanation.input_tokens as u64))),
    ];
    facts.extend(explanation.trace_id.clone().map(|trace| ("The application's own id", trace)));
    facts.extend(explanation.alpha.map(|alpha| ("Promised then", told_percent(alpha))));
    if let Some(price) = explanation.satisfaction_price_usd {
        facts.push(("A satisfied answer was worth", told_money(price)));
    }
    let drawn = if explanation.audit.drawn { "yes" } else { "no" };
    facts.push(("Drawn for audit", format!("{drawn}, at a rate of {}", told_percent(explanation.audit.rate))));
    facts
}

fn replay(replay: &Replay) -> Option<String> {
    Some(match replay {
        Replay::Same => "Replayed from the log, it is the same decision to the last bit.".to_owned(),
        Replay::Differs { what } => format!("Replayed from the log, it is another decision: {what}."),
        Replay::Unreachable { why } => format!("Not replayed: {why}."),
    })
}

fn state(then: &Then) -> Vec<(&'static str, String)> {
    let mut facts = vec![
        ("Asked of the next answers", told_percent(then.demand)),
        ("Reserve", format!("{:+.1} answers", then.reserve)),
        ("Reserve wanted", format!("{:+.1} answers", then.wanted_reserve)),
        ("Kept for the fallback by the safeguard", told_percent(then.safeguarded)),
    ];
    if let Some(held) = &then.certificate {
        let between = format!("{:.1} to {}", held.lower * 100.0, told_percent(held.upper));
        facts.push(("Certified", format!("{between}, by {} ratings", told_count(held.labels))));
    }
    facts
}

fn answer(outcome: &ExplainedOutcome, explanation: &Explanation) -> Vec<(&'static str, String)> {
    let tokens = |count: Option<f64>| count.map_or_else(|| UNKNOWN.to_owned(), |count| told_count(count as u64));
    let predicted = explanation.candidates.iter().find(|candidate| candidate.model == explanation.answered);
    let mut facts = vec![
        ("Model", explanation.answered.to_string()),
        ("Status", outcome.status.to_string()),
        ("Calls", outcome.attempts.to_string()),
        ("Cost", told_money(outcome.cost_usd)),
    ];
    facts.extend(predicted.map(|candidate| ("Cost predicted", told_money(candidate.cost_usd))));
    facts.push(("Input tokens", tokens(outcome.input_tokens)));
    facts.push(("Output tokens", tokens(outcome.output_tokens)));
    facts.push(("Took", took(outcome.latency_ms)));
    facts.extend(outcome.ttft_ms.map(|first| ("First byte after", took(first))));
    facts
}

fn word(word: &Word, calendar: &Calendar) -> WordRow {
    WordRow {
        time: calendar.told(Timestamp(word.time_ms)),
        source: word.source,
        rating: word.rating.map_or_else(|| "withdrawn".to_owned(), |rating| rating.to_string()),
        receipt: word.receipt,
        comment: word.comment.clone().unwrap_or_default(),
    }
}
