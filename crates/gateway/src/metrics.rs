//! Prometheus metrics. Names, units and labels are a contract: docs/metrics.md lists them.

use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use slarouter_core::{AnyPolicy, Policy, Receipt, Source, Timestamp};
use slarouter_learner::Snapshot;

type FloatCounter = Counter<f64, AtomicU64>;
type FloatGauge = Gauge<f64, AtomicU64>;

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RequestLabels {
    route: String,
    model: String,
    decision: String,
    status: u16,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct FailureLabels {
    model: String,
    kind: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ModelLabel {
    model: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ModelResult {
    model: String,
    result: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct MoveLabels {
    route: String,
    from: String,
    to: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RouteModel {
    route: String,
    model: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ReceiptLabel {
    receipt: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RouteLabel {
    route: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ResultLabel {
    result: &'static str,
}

/// Spans of traces by what became of them; clones count together.
#[derive(Clone, Debug, Default)]
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
    pub(crate) model: &'a str,
    pub(crate) decision: &'a str,
    pub(crate) status: u16,
    pub(crate) seconds: f64,
    pub(crate) cost: f64,
}

/// All metrics of the gateway.
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    seconds: Family<RouteLabel, Histogram>,
    failures: Family<FailureLabels, Counter>,
    calls: Family<ModelLabel, Counter>,
    retries_refused: Family<ModelLabel, Counter>,
    circuits: Family<ModelLabel, Gauge>,
    checks: Family<ModelResult, Counter>,
    hedges: Family<ModelResult, Counter>,
    in_flight: Gauge,
    tasks: Gauge,
    rerouted: Family<MoveLabels, Counter>,
    degraded: Family<ReasonLabel, Counter>,
    cost: Family<RouteModel, FloatCounter>,
    unpriced: Family<ModelLabel, Counter>,
    price_known: Family<ModelLabel, Gauge>,
    pub(crate) spans: SpanCounts,
    feedback: Family<ReceiptLabel, Counter>,
    drawn: Family<RouteLabel, Counter>,
    audits: Family<ReceiptLabel, Counter>,
    set_aside: Family<RouteLabel, Gauge>,
    rating_bias: Family<RouteLabel, FloatGauge>,
    unlogged: Counter,
    without_features: Family<ReasonLabel, Counter>,
    /// Entries that the store accepted and then lost, as far as they are in `unlogged`.
    dropped: AtomicU64,
    learnt: Gauge,
    logged: Gauge,
    target: Family<RouteLabel, FloatGauge>,
    satisfaction: Family<RouteLabel, FloatGauge>,
    labels: Family<RouteLabel, Gauge>,
    queue: Family<RouteLabel, FloatGauge>,
    dearest: Family<RouteLabel, FloatGauge>,
    lower: Family<RouteLabel, FloatGauge>,
    upper: Family<RouteLabel, FloatGauge>,
    estimate: Family<RouteLabel, FloatGauge>,
    feasible: Family<RouteLabel, Gauge>,
    reloads: Family<ResultLabel, Counter>,
    reloaded: FloatGauge,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("slarouter"),
            requests: Family::default(),
            seconds: Family::new_with_constructor(|| Histogram::new(exponential_buckets(0.005, 2.0, 16))),
            failures: Family::default(),
            calls: Family::default(),
            retries_refused: Family::default(),
            circuits: Family::default(),
            checks: Family::default(),
            hedges: Family::default(),
            in_flight: Gauge::default(),
            tasks: Gauge::default(),
            rerouted: Family::default(),
            degraded: Family::default(),
            cost: Family::default(),
            unpriced: Family::default(),
            price_known: Family::default(),
            spans: SpanCounts::default(),
            feedback: Family::default(),
            drawn: Family::default(),
            audits: Family::default(),
            set_aside: Family::default(),
            rating_bias: Family::default(),
            unlogged: Counter::default(),
            without_features: Family::default(),
            dropped: AtomicU64::new(0),
            learnt: Gauge::default(),
            logged: Gauge::default(),
            target: Family::default(),
            satisfaction: Family::default(),
            labels: Family::default(),
            queue: Family::default(),
            dearest: Family::default(),
            lower: Family::default(),
            upper: Family::default(),
            estimate: Family::default(),
            feasible: Family::default(),
            reloads: Family::default(),
            reloaded: FloatGauge::default(),
        };
        let r = &mut metrics.registry;
        r.register("requests", "Requests answered", metrics.requests.clone());
        r.register_with_unit(
            "request_duration",
            "From the request's arrival to its last byte",
            Unit::Seconds,
            metrics.seconds.clone(),
        );
        r.register("upstream_calls", "Calls to upstreams", metrics.calls.clone());
        r.register("upstream_failures", "Calls to upstreams that failed", metrics.failures.clone());
        r.register("retries_refused", "Retries that the budget did not allow", metrics.retries_refused.clone());
        r.register("circuit_state", "0 closed, 1 half-open, 2 open", metrics.circuits.clone());
        r.register("health_checks", "Probes of upstreams by whether they passed", metrics.checks.clone());
        r.register("hedges", "Second calls beside slow ones by how they ended", metrics.hedges.clone());
        r.register("in_flight", "Requests whose outcome is not logged yet", metrics.in_flight.clone());
        r.register("tasks", "Tasks of the process that have not ended", metrics.tasks.clone());
        r.register("rerouted", "Answers by another model than the chosen one", metrics.rerouted.clone());
        r.register("degraded", "Requests decided while the learning was in trouble", metrics.degraded.clone());
        r.register("cost_usd", "USD charged by the model that answered", metrics.cost.clone());
        r.register("unpriced", "Answers charged at a stand-in, as their price is unknown", metrics.unpriced.clone());
        r.register("price_known", "0 for a model whose price is unknown", metrics.price_known.clone());
        r.register("trace_spans", "Spans of traces by what became of them", metrics.spans.0.clone());
        r.register("feedback", "Ratings by what became of them", metrics.feedback.clone());
        r.register("audits_drawn", "Answers drawn for audit", metrics.drawn.clone());
        r.register("audits_given", "Audits by what became of them", metrics.audits.clone());
        r.register(
            "ratings_set_aside",
            "Ratings beyond the limit or the share of their rater",
            metrics.set_aside.clone(),
        );
        r.register("rating_bias_log_odds", "Learnt bias of those who rate", metrics.rating_bias.clone());
        r.register("unlogged", "Decisions and outcomes that the log could not take", metrics.unlogged.clone());
        r.register(
            "without_features",
            "Requests decided without features, by what the encoder failed of",
            metrics.without_features.clone(),
        );
        r.register("log_seq", "Last event made durable", metrics.logged.clone());
        r.register("learner_seq", "Last event learnt from", metrics.learnt.clone());
        r.register("satisfaction_target_ratio", "The SLA: α", metrics.target.clone());
        r.register("satisfaction_ratio", "Mean of the ratings in force", metrics.satisfaction.clone());
        r.register("labelled_decisions", "Decisions with a rating in force", metrics.labels.clone());
        r.register("virtual_queue", "Length of the virtual queue", metrics.queue.clone());
        r.register("dearest_cost_usd", "Predicted USD of always choosing the dearest model", metrics.dearest.clone());
        r.register("certificate_lower", "Satisfaction is at least this, with the assurance", metrics.lower.clone());
        r.register("certificate_upper", "Satisfaction is at most this, with the assurance", metrics.upper.clone());
        r.register("certificate_estimate", "Estimated mean satisfaction of all answers", metrics.estimate.clone());
        r.register("sla_feasible", "1 if by what is known the models can reach α", metrics.feasible.clone());
        r.register("config_reloads", "Reloads of the configuration", metrics.reloads.clone());
        r.register_with_unit(
            "config_last_reload_success_timestamp",
            "When the configuration in force was read, since 1970",
            Unit::Seconds,
            metrics.reloaded.clone(),
        );
        // There before the first one, so that an alarm on their growth sees it.
        for result in ["success", "failure"] {
            drop(metrics.reloads.get_or_create(&ResultLabel { result }));
        }
        metrics
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
        let (route, model) = (served.route.to_owned(), served.model.to_owned());
        let labels = RequestLabels {
            route: route.clone(),
            model: model.clone(),
            decision: served.decision.to_owned(),
            status: served.status,
        };
        self.requests.get_or_create(&labels).inc();
        self.seconds.get_or_create(&RouteLabel { route: route.clone() }).observe(served.seconds);
        self.cost.get_or_create(&RouteModel { route, model }).inc_by(served.cost);
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
        };
        counts.get_or_create(&ReceiptLabel { receipt: receipt.as_str() }).inc();
    }

    pub(crate) fn without_features(&self, reason: &'static str) {
        self.without_features.get_or_create(&ReasonLabel { reason }).inc();
    }

    pub(crate) fn unlogged(&self) {
        self.unlogged.inc();
    }

    /// The text of a scrape. The state of the routes is read off the snapshot in force; `dropped` is what the store has
    /// lost so far, `circuits` the state of each model's circuit.
    pub(crate) fn render<'a>(
        &self,
        snapshot: &Snapshot,
        committed: u64,
        dropped: u64,
        circuits: impl IntoIterator<Item = (&'a str, i64)>,
    ) -> String {
        for (model, circuit) in circuits {
            self.circuits.get_or_create(&ModelLabel { model: model.to_owned() }).set(circuit);
        }
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            self.tasks.set(runtime.metrics().num_alive_tasks() as i64);
        }
        // Two scrapes at once add each loss only once.
        let before = self.dropped.fetch_max(dropped, Ordering::Relaxed);
        self.unlogged.inc_by(dropped.saturating_sub(before));
        self.learnt.set(snapshot.seq as i64);
        self.logged.set(committed as i64);
        for (route, count) in &snapshot.set_aside {
            self.set_aside.get_or_create(&RouteLabel { route: route.to_string() }).set(*count as i64);
        }
        for (route, router) in &snapshot.routes {
            let label = RouteLabel { route: route.to_string() };
            let account = router.account();
            self.target.get_or_create(&label).set(router.alpha());
            if let Some(satisfaction) = account.satisfaction() {
                self.satisfaction.get_or_create(&label).set(satisfaction);
            }
            self.labels.get_or_create(&label).set(account.labels as i64);
            self.dearest.get_or_create(&label).set(account.dearest_cost);
            if let Some(queue) = router.policy().queue() {
                self.queue.get_or_create(&label).set(queue);
            }
            if let Some(certificate) = router.certificate() {
                self.lower.get_or_create(&label).set(certificate.lower);
                self.upper.get_or_create(&label).set(certificate.upper);
                self.estimate.get_or_create(&label).set(certificate.estimate);
            }
            if let AnyPolicy::Certified(policy) = router.policy()
                && let Some(bias) = policy.rating_bias()
            {
                self.rating_bias.get_or_create(&label).set(bias);
            }
            if let Some(feasible) = router.policy().is_feasible() {
                self.feasible.get_or_create(&label).set(i64::from(feasible));
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
    use slarouter_core::{Alpha, Learner, ModelSpec, PolicySpec, Price, RouteSpec, Zoo};
    use slarouter_learner::Snapshot;

    use super::*;

    #[test]
    fn the_certificate_of_a_route_is_shown_if_its_policy_gives_one() {
        let text = |policy: &str| {
            let price = Price { input: 1.0, output: 1.0 };
            let spec = RouteSpec {
                alpha: Alpha::new(0.9).unwrap(),
                zoo: Zoo::new(vec![ModelSpec { name: "m".into(), price, prior: None }]).unwrap(),
                policy: PolicySpec::parse(policy).unwrap(),
                feedback_window_ms: 1,
                audit_rate: 0.0,
                rater_limit: 0,
                rater_share: 0.0,
                alone: false,
                failures_count: false,
            };
            let learner = Learner::new(spec, 1, 1).unwrap();
            let routes = [("default".into(), learner.router().clone())].into();
            Metrics::new().render(&Snapshot { routes, ..Snapshot::default() }, 0, 0, [])
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
    fn what_the_store_refused_and_what_it_lost_later_are_one_count() {
        let metrics = Metrics::new();
        let unlogged = |dropped: u64| {
            let text = metrics.render(&Snapshot::default(), 0, dropped, []);
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
