//! Prometheus metrics. Names, units and labels are a contract: docs/metrics.md lists them.

mod labels;
mod payers;
mod standing;

use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use slarouter_core::{Receipt, Source, Timestamp};
use slarouter_learner::Snapshot;
use slarouter_store::{Kept, OutcomeRecord, Payer, Row};

use labels::{
    BoundLabels, BurnLabels, ExclusionLabels, FailureLabels, ModelLabel, ModelResult, MoveLabels, PayerLabels,
    ReasonLabel, ReceiptLabel, RequestLabels, ResultLabel, RouteLabel, RouteModel, RouteReason, StatusLabels,
    TokenLabels, WindowLabels,
};
use payers::Payers;

type FloatCounter = Counter<f64, AtomicU64>;
type FloatGauge = Gauge<f64, AtomicU64>;

/// Spans of traces by what became of them; clones count together.
#[derive(Clone, Debug)]
pub(crate) struct SpanCounts(Family<ResultLabel, Counter>);

impl SpanCounts {
    /// `exported`, `failed` or `dropped`.
    pub(crate) fn add(&self, result: &'static str, count: u64) {
        self.0.get_or_create(&ResultLabel { result }).inc_by(count);
    }
}

/// How one request went, for the counters.
pub(crate) struct Served<'a> {
    pub(crate) route: &'a str,
    /// Who is billed.
    pub(crate) payer: &'a Payer,
    pub(crate) decision: &'a str,
    /// USD that the most expensive model of the route was predicted to cost, or the same as `cost` where there was nothing to save.
    pub(crate) most_expensive: f64,
    /// How it ended.
    pub(crate) outcome: &'a OutcomeRecord,
}

/// When a scrape is made, and where the log and the learner are then.
#[derive(Default)]
pub(crate) struct LogState {
    pub(crate) now: Timestamp,
    /// The last event on disk.
    pub(crate) committed: u64,
    /// What the store has accepted and then lost so far.
    pub(crate) dropped: u64,
    /// What waits in a file for a database that is away.
    pub(crate) kept: Kept,
    /// Whether this gateway holds it, of so many that share it.
    pub(crate) is_holder: bool,
    pub(crate) gateways: u32,
    /// How often its database was found to have lost commits.
    pub(crate) set_back: u64,
    /// For how long what is known has not been all of it.
    pub(crate) state_age: Duration,
    /// What is said of the SLAs may be out of date.
    pub(crate) stale: bool,
}

/// The metrics, one a line: the field, its type, its name without `slarouter_` and what the type adds, its unit if it has one, and
/// what it tells.
macro_rules! metrics {
    (@start) => { Default::default() };
    (@start $start:expr) => { $start };
    ($($field:ident: $kind:ty = $name:literal $(in $unit:ident)?, $help:literal $(, starting as $start:expr)?;)*) => {
        /// All metrics of the gateway.
        pub(crate) struct Metrics {
            registry: Registry,
            /// Entries that the store accepted and then lost, as far as they are in `unlogged`.
            dropped: AtomicU64,
            payers: Payers,
            $($field: $kind,)*
        }

        impl Metrics {
            fn registered() -> Self {
                let mut registry = Registry::with_prefix("slarouter");
                $(
                    let $field: $kind = metrics!(@start $($start)?);
                    let unit: Option<Unit> = None$(.or(Some(Unit::$unit)))?;
                    match unit {
                        None => registry.register($name, $help, $field.clone()),
                        Some(unit) => registry.register_with_unit($name, $help, unit, $field.clone()),
                    }
                )*
                Self { registry, dropped: AtomicU64::new(0), payers: Payers::default(), $($field,)* }
            }
        }
    };
}

metrics! {
    requests: Family<RequestLabels, Counter> = "requests", "Requests answered";
    seconds: Family<RouteLabel, Histogram> = "request_duration" in Seconds, "From the request's arrival to its last byte", starting as durations();
    model_seconds: Family<ModelLabel, Histogram> = "model_request_duration" in Seconds, "From the request's arrival to its last byte, by the model that answered", starting as durations();
    first_byte: Family<ModelLabel, Histogram> = "time_to_first_byte" in Seconds, "From the request's arrival to the first byte of its model", starting as durations();
    tokens: Family<TokenLabels, FloatCounter> = "tokens", "Tokens that providers reported";
    calls: Family<ModelLabel, Counter> = "upstream_calls", "Calls to upstreams";
    failures: Family<FailureLabels, Counter> = "upstream_failures", "Calls to upstreams that failed";
    retries_refused: Family<ModelLabel, Counter> = "retries_refused", "Retries that the budget did not allow";
    circuits: Family<ModelLabel, Gauge> = "circuit_state", "0 closed, 1 half-open, 2 open";
    checks: Family<ModelResult, Counter> = "health_checks", "Probes of upstreams by whether they passed";
    hedges: Family<ModelResult, Counter> = "hedges", "Second calls beside slow ones by how they ended";
    in_flight: Gauge = "in_flight", "Requests whose outcome is not logged yet";
    tasks: Gauge = "tasks", "Tasks of the process that have not ended";
    rerouted: Family<MoveLabels, Counter> = "rerouted", "Answers by another model than the chosen one";
    excluded: Family<ExclusionLabels, Counter> = "excluded", "Models that were not to be chosen for a request";
    degraded: Family<ReasonLabel, Counter> = "degraded", "Requests decided while the learning was in trouble";
    cost: Family<RouteModel, FloatCounter> = "cost_usd", "USD charged by the model that answered";
    paid: Family<PayerLabels, FloatCounter> = "payer_cost_usd", "USD charged, by whose key and for which tenant";
    most_expensive: Family<RouteLabel, FloatCounter> = "most_expensive_cost_usd", "USD that the same requests would have cost on the most expensive model";
    unpriced: Family<ModelLabel, Counter> = "unpriced", "Answers charged at a stand-in, as their price is unknown";
    price_known: Family<ModelLabel, Gauge> = "price_known", "0 for a model whose price is unknown";
    spans: Family<ResultLabel, Counter> = "trace_spans", "Spans of traces by what became of them";
    feedback: Family<ReceiptLabel, Counter> = "feedback", "Ratings by what became of them";
    drawn: Family<RouteLabel, Counter> = "audits_drawn", "Answers drawn for audit";
    audits: Family<ReceiptLabel, Counter> = "audits_given", "Audits by what became of them";
    verdicts: Family<ResultLabel, Counter> = "verdicts", "Answers drawn for the judge by what became of them";
    agreement: Family<BoundLabels, FloatGauge> = "judge_agreement_ratio", "Share of the answers that judge and people both judged on which they agree";
    compared: Family<RouteLabel, Gauge> = "judge_compared", "Answers that judge and people both judged";
    set_aside: Family<RouteLabel, Gauge> = "ratings_set_aside", "Ratings beyond the limit or the share of their rater";
    rating_bias: Family<RouteLabel, FloatGauge> = "rating_bias_log_odds", "Learnt bias of those who rate";
    unlogged: Counter = "unlogged", "Decisions and outcomes that the log could not take";
    spooled: Gauge = "spooled_records", "Entries and ratings that wait in a file for a database that is away";
    spool: Gauge = "spool_bytes", "Size of that file";
    unreadable: Gauge = "unreadable_rows", "Rows of the log that cannot be read";
    without_features: Family<ReasonLabel, Counter> = "without_features", "Requests decided without features, by what the encoder failed of";
    logged: Gauge = "log_seq", "Last event made durable";
    learnt: Gauge = "learner_seq", "Last event learnt from";
    holder: Gauge = "log_holder", "1 for the gateway that holds the log, 0 for one that follows";
    gateways: Gauge = "gateways", "Gateways that share the log";
    set_back: Counter = "log_set_back", "Times that the database was found to have lost commits that this gateway knew of";
    state_age: FloatGauge = "state_age" in Seconds, "Since what is decided from was known to be all of the log";
    target: Family<RouteLabel, FloatGauge> = "satisfaction_target_ratio", "The SLA: α";
    satisfaction: Family<RouteLabel, FloatGauge> = "satisfaction_ratio", "Mean of the ratings in force";
    labels: Family<RouteLabel, Gauge> = "labelled_decisions", "Decisions with a rating in force";
    model_satisfaction: Family<RouteModel, FloatGauge> = "model_satisfaction_ratio", "Mean of the ratings in force of a model's answers";
    recent: Family<RouteModel, FloatGauge> = "recent_satisfaction_ratio", "Mean of the ratings of answers of the last hour";
    thousand: Family<RouteLabel, FloatGauge> = "last_thousand_satisfaction_ratio", "Mean of the ratings of a route's last thousand answers";
    queue: Family<RouteLabel, FloatGauge> = "virtual_queue", "Length of the virtual queue";
    lower: Family<RouteLabel, FloatGauge> = "certificate_lower", "Satisfaction is at least this, with the assurance";
    upper: Family<RouteLabel, FloatGauge> = "certificate_upper", "Satisfaction is at most this, with the assurance";
    estimate: Family<RouteLabel, FloatGauge> = "certificate_estimate", "Estimated mean satisfaction of all answers";
    feasible: Family<RouteLabel, Gauge> = "sla_feasible", "0 if by what is known the models cannot reach α";
    status: Family<StatusLabels, Gauge> = "sla_status", "1 for the status of the SLA, 0 for the others";
    budget: Family<BoundLabels, FloatGauge> = "sla_budget_consumed_ratio", "Share of the error budget of the window that is used up";
    burn: Family<BurnLabels, FloatGauge> = "sla_burn_rate", "How fast the error budget goes by what raters say";
    predicted_burn: Family<WindowLabels, FloatGauge> = "sla_predicted_burn_rate", "How fast the error budget goes by predictions";
    exhaustion: Family<RouteLabel, FloatGauge> = "sla_exhaustion" in Seconds, "Until the surplus is used up at the pace of the last day";
    last_label: Family<RouteLabel, FloatGauge> = "last_label_timestamp" in Seconds, "When a label last came or changed, since 1970";
    fallback: Family<BoundLabels, FloatGauge> = "fallback_satisfaction", "What is believed of the fallback's mean satisfaction";
    saving: Family<RouteLabel, FloatGauge> = "saving_ratio", "Share of what the fallback alone would cost that is saved of late";
    saving_little: Family<RouteReason, Gauge> = "saving_little", "1 for the reason why little is saved";
    plan_saving: Family<BoundLabels, FloatGauge> = "observed_saving_ratio", "Share of what the fallback alone costs that the plan of an observed route would save";
    plan_satisfaction: Family<BoundLabels, FloatGauge> = "observed_satisfaction_ratio", "Satisfaction that the plan of an observed route would give";
    reloads: Family<ResultLabel, Counter> = "config_reloads", "Reloads of the configuration";
    reloaded: FloatGauge = "config_last_reload_success_timestamp" in Seconds, "When the configuration in force was read, since 1970";
}

fn durations<L: Clone + Eq + Hash>() -> Family<L, Histogram> {
    Family::new_with_constructor(|| Histogram::new(exponential_buckets(0.005, 2.0, 16)))
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let metrics = Self::registered();
        // There before the first one, so that an alarm on their growth sees it.
        for result in ["success", "failure"] {
            drop(metrics.reloads.get_or_create(&ResultLabel { result }));
        }
        metrics
    }

    /// Counts the spans of traces.
    pub(crate) fn span_counts(&self) -> SpanCounts {
        SpanCounts(self.spans.clone())
    }

    /// A configuration came into force.
    pub(crate) fn configured(&self, now: Timestamp) {
        self.reloaded.set(now.0 as f64 / 1e3);
        // Models that are gone have no circuit.
        self.circuits.clear();
    }

    pub(crate) fn reloaded(&self, ok: bool) {
        self.reloads.get_or_create(&ResultLabel { result: if ok { "success" } else { "failure" } }).inc();
    }

    pub(crate) fn served(&self, served: &Served<'_>) {
        let OutcomeRecord { status, cost, latency_ms, ttft_ms, .. } = *served.outcome;
        let (route, model) = (served.route.to_owned(), served.outcome.model.to_string());
        let labels =
            RequestLabels { route: route.clone(), model: model.clone(), decision: served.decision.to_owned(), status };
        self.requests.get_or_create(&labels).inc();
        let label = RouteLabel { route: route.clone() };
        self.seconds.get_or_create(&label).observe(latency_ms / 1e3);
        self.most_expensive.get_or_create(&label).inc_by(served.most_expensive);
        self.paid.get_or_create(&self.payers.labels(served.payer)).inc_by(cost);
        let label = ModelLabel { model: model.clone() };
        self.model_seconds.get_or_create(&label).observe(latency_ms / 1e3);
        if let Some(ttft_ms) = ttft_ms {
            self.first_byte.get_or_create(&label).observe(ttft_ms / 1e3);
        }
        self.spent_tokens(served.outcome);
        self.cost.get_or_create(&RouteModel { route, model }).inc_by(cost);
    }

    fn spent_tokens(&self, outcome: &OutcomeRecord) {
        let OutcomeRecord { input_tokens, cached_tokens, output_tokens, .. } = *outcome;
        for (kind, count) in [("input", input_tokens), ("cached", cached_tokens), ("output", output_tokens)] {
            if let Some(count) = count {
                self.tokens.get_or_create(&TokenLabels { model: outcome.model.to_string(), kind }).inc_by(count);
            }
        }
    }

    /// Nobody knows what this answer of the model cost.
    pub(crate) fn unpriced(&self, model: &str) {
        self.unpriced.get_or_create(&ModelLabel { model: model.to_owned() }).inc();
    }

    /// Whether the price of the model is known.
    pub(crate) fn price_known(&self, model: &str, known: bool) {
        self.price_known.get_or_create(&ModelLabel { model: model.to_owned() }).set(i64::from(known));
    }

    pub(crate) fn failure(&self, model: &str, kind: &'static str) {
        self.failures.get_or_create(&FailureLabels { model: model.to_owned(), kind }).inc();
    }

    pub(crate) fn called(&self, model: &str) {
        self.calls.get_or_create(&ModelLabel { model: model.to_owned() }).inc();
    }

    pub(crate) fn retry_refused(&self, model: &str) {
        self.retries_refused.get_or_create(&ModelLabel { model: model.to_owned() }).inc();
    }

    pub(crate) fn checked(&self, model: &str, ok: bool) {
        let result = if ok { "passed" } else { "failed" };
        self.checks.get_or_create(&ModelResult { model: model.to_owned(), result }).inc();
    }

    /// A second call beside a slow one of `model` ended so.
    pub(crate) fn hedged(&self, model: &str, result: &'static str) {
        self.hedges.get_or_create(&ModelResult { model: model.to_owned(), result }).inc();
    }

    /// A request begins (1), or its outcome is logged (−1).
    pub(crate) fn in_flight(&self, change: i64) {
        self.in_flight.inc_by(change);
    }

    /// `to` answered in place of `from`.
    pub(crate) fn rerouted(&self, route: &str, from: &str, to: &str) {
        let labels = MoveLabels { route: route.to_owned(), from: from.to_owned(), to: to.to_owned() };
        self.rerouted.get_or_create(&labels).inc();
    }

    /// A model of the route was not to be chosen for a request.
    pub(crate) fn excluded(&self, route: &str, model: &str, reason: &'static str) {
        let labels = ExclusionLabels { route: route.to_owned(), model: model.to_owned(), reason };
        self.excluded.get_or_create(&labels).inc();
    }

    pub(crate) fn degraded(&self, reason: &'static str) {
        self.degraded.get_or_create(&ReasonLabel { reason }).inc();
    }

    /// A decision of the route was drawn for audit.
    pub(crate) fn drawn(&self, route: &str) {
        self.drawn.get_or_create(&RouteLabel { route: route.to_owned() }).inc();
    }

    pub(crate) fn feedback(&self, source: Source, receipt: Receipt) {
        let counts = match source {
            Source::User => &self.feedback,
            Source::Audit => &self.audits,
            Source::Judge => return,
        };
        counts.get_or_create(&ReceiptLabel { receipt: receipt.as_str() }).inc();
    }

    /// What became of an answer that was drawn for the judge.
    pub(crate) fn verdict(&self, result: &'static str) {
        self.verdicts.get_or_create(&ResultLabel { result }).inc();
    }

    /// So many answers were dropped that waited for the judge.
    pub(crate) fn not_judged(&self, count: u64) {
        self.verdicts.get_or_create(&ResultLabel { result: "overflow" }).inc_by(count);
    }

    pub(crate) fn without_features(&self, reason: &'static str) {
        self.without_features.get_or_create(&ReasonLabel { reason }).inc();
    }

    pub(crate) fn unlogged(&self) {
        self.unlogged.inc();
    }

    /// What answers of the last hour were rated, by route and model; nothing of those that nobody rated.
    pub(crate) fn rated_of_late(&self, rows: &[Row]) {
        self.recent.clear();
        for row in rows {
            if let ([route, model], Some(satisfaction)) = (&row.names[..], row.totals.satisfaction()) {
                let label = RouteModel { route: route.to_string(), model: model.to_string() };
                self.recent.get_or_create(&label).set(satisfaction);
            }
        }
    }

    /// The text of a scrape. The state of the routes is read off the snapshot in force; `circuits` are the states of each
    /// model's circuit.
    pub(crate) fn render<'a>(
        &self,
        snapshot: &Snapshot,
        log: &LogState,
        circuits: impl IntoIterator<Item = (&'a str, i64)>,
    ) -> String {
        let LogState { now, committed, dropped, kept, is_holder, gateways, set_back, state_age, stale } = *log;
        for (model, circuit) in circuits {
            self.circuits.get_or_create(&ModelLabel { model: model.to_owned() }).set(circuit);
        }
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            self.tasks.set(runtime.metrics().num_alive_tasks() as i64);
        }
        // Two scrapes at once add each loss only once.
        let before = self.dropped.fetch_max(dropped, Ordering::Relaxed);
        self.unlogged.inc_by(dropped.saturating_sub(before));
        self.spooled.set(kept.records as i64);
        self.spool.set(kept.bytes as i64);
        self.learnt.set(snapshot.seq as i64);
        self.logged.set(committed as i64);
        self.holder.set(is_holder.into());
        self.gateways.set(gateways.into());
        self.set_back.inner().fetch_max(set_back, Ordering::Relaxed);
        self.state_age.set(state_age.as_secs_f64());
        self.unreadable.set(snapshot.unreadable.count as i64);
        for (route, count) in &snapshot.set_aside {
            self.set_aside.get_or_create(&RouteLabel { route: route.to_string() }).set(*count as i64);
        }
        for (route, agreement) in &snapshot.agreements {
            self.agreement(route, agreement);
        }
        self.forget_windows();
        for (route, router) in &snapshot.routes {
            self.route(route, router);
            if let Some(status) = snapshot.status(route) {
                self.status(route, status, stale);
            }
            if let Some(thrift) = snapshot.thrift.get(route) {
                self.thrift(route, thrift);
            }
            if let Some(recent) = snapshot.recent.get(route) {
                self.recent(route, router, recent, now);
            }
        }
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

#[cfg(test)]
mod contract;
#[cfg(test)]
mod tests {
    use slarouter_core::{Alpha, Learner, ModelSpec, PolicySpec, Price, RouteSpec, Status, Zoo};
    use slarouter_learner::Snapshot;

    use super::*;

    #[test]
    fn the_certificate_of_a_route_is_shown_if_its_policy_gives_one() {
        let text = |policy: &str| {
            let price = Price { input: 1.0, output: 1.0 };
            let zoo = Zoo::new(vec![ModelSpec { name: "m".into(), price, prior: None }]).unwrap();
            let spec = RouteSpec::new(Alpha::new(0.9).unwrap(), zoo, PolicySpec::parse(policy).unwrap());
            let spec = RouteSpec { feedback_window_ms: 1, ..spec };
            let learner = Learner::new(spec, 1, 1).unwrap();
            let routes = [("default".into(), learner.router().clone())].into();
            Metrics::new().render(&Snapshot { routes, ..Snapshot::default() }, &LogState::default(), [])
        };
        let (with, without) = (text("certified"), text("slarouter"));
        for (name, value) in [
            ("certificate_lower", "0.0"),
            ("certificate_upper", "1.0"),
            ("certificate_estimate", "0."),
            ("sla_feasible", "1"),
        ] {
            let line = format!("slarouter_{name}{{route=\"default\"}} ");
            assert!(with.contains(&format!("{line}{value}")), "{line}{value} is not in\n{with}");
            assert!(!without.contains(&line), "{line} is in\n{without}");
        }
    }

    #[test]
    fn one_status_is_on_and_stale_stands_beside_it() {
        let metrics = Metrics::new();
        let routes = [("default".into(), contract::learnt("certified").0)].into();
        let standings = [("default".into(), Status::AtRisk)].into();
        let snapshot = Snapshot { routes, standings, ..Snapshot::default() };
        let on = |stale: bool| {
            let text = metrics.render(&snapshot, &LogState { stale, ..LogState::default() }, []);
            let lines =
                text.lines().filter_map(|line| line.strip_prefix("slarouter_sla_status{route=\"default\",status="));
            let on = lines.filter_map(|line| line.strip_suffix("} 1")).map(str::to_owned);
            (on.collect::<Vec<_>>(), text.contains("slarouter_sla_feasible{route=\"default\"} 1"))
        };
        assert_eq!(on(false), (vec!["\"at_risk\"".to_owned()], true));
        assert_eq!(on(true).0.len(), 2);
        assert!(on(true).0.contains(&"\"stale\"".to_owned()));
    }

    #[test]
    fn what_the_store_refused_and_what_it_lost_later_are_one_count() {
        let metrics = Metrics::new();
        let unlogged = |dropped: u64| {
            let text = metrics.render(&Snapshot::default(), &LogState { dropped, ..LogState::default() }, []);
            text.lines().find_map(|line| line.strip_prefix("slarouter_unlogged_total ")?.parse().ok())
        };
        assert_eq!(unlogged(0), Some(0));
        metrics.unlogged();
        assert_eq!(unlogged(40), Some(41));
        assert_eq!(unlogged(40), Some(41), "a loss is counted once");
        metrics.unlogged();
        assert_eq!(unlogged(43), Some(45));
    }
}
