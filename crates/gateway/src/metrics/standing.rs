//! How the routes stand, as metrics.

use prometheus_client::metrics::family::Family;
use slarouter_core::{
    Agreement, AnyPolicy, Certificate, Obstacle, Policy, Recent, Router, Status, Thrift, Timestamp, burn_rate,
    exhaustion_seconds,
};
use slarouter_store::{Observed, Totals};

use super::labels::{BoundLabels, BurnLabels, RouteLabel, RouteModel, RouteReason, StatusLabels, WindowLabels};
use super::{FloatGauge, Metrics};

/// The window whose pace says how long a surplus lasts.
const PACE: &str = "1d";
/// Windows too short for labels to say anything of them.
const UNLABELLED: [&str; 2] = ["5m", "30m"];

/// How fast the error budget goes by a certificate, by the name of each bound.
fn burns(held: &Certificate, alpha: f64) -> impl Iterator<Item = (&'static str, f64)> {
    let turned = [("lower", held.upper), ("estimate", held.estimate), ("upper", held.lower)];
    turned.into_iter().filter_map(move |(bound, satisfaction)| Some((bound, burn_rate(satisfaction, alpha)?)))
}

impl Metrics {
    /// What a route has learnt and may promise.
    pub(super) fn route(&self, route: &str, router: &Router) {
        let label = RouteLabel { route: route.to_owned() };
        let account = router.account();
        self.target.get_or_create(&label).set(router.alpha());
        if let Some(satisfaction) = account.satisfaction() {
            self.satisfaction.get_or_create(&label).set(satisfaction);
        }
        self.labels.get_or_create(&label).set(account.labels as i64);
        for (model, held) in account.models.iter().filter(|(_, held)| held.labels > 0) {
            let label = RouteModel { route: route.to_owned(), model: model.to_string() };
            self.model_satisfaction.get_or_create(&label).set(held.satisfied / held.labels as f64);
        }
        if let Some(queue) = router.policy().queue() {
            self.queue.get_or_create(&label).set(queue);
        }
        if let Some(certificate) = router.certificate() {
            self.lower.get_or_create(&label).set(certificate.lower);
            self.upper.get_or_create(&label).set(certificate.upper);
            self.estimate.get_or_create(&label).set(certificate.estimate);
            for (bound, value) in burns(&certificate, router.alpha()) {
                self.budget.get_or_create(&BoundLabels { route: route.to_owned(), bound }).set(value);
            }
        }
        if let AnyPolicy::Certified(policy) = router.policy()
            && let Some(bias) = policy.rating_bias()
        {
            self.rating_bias.get_or_create(&label).set(bias);
        }
        if let Some(believed) = router.fallback_believed() {
            let bounds = [("lower", believed.lower()), ("estimate", believed.mean), ("upper", believed.upper())];
            for (bound, value) in bounds {
                self.fallback.get_or_create(&BoundLabels { route: route.to_owned(), bound }).set(value);
            }
        }
    }

    /// How the SLA of a route stands. `stale` says that it may be out of date.
    pub(super) fn status(&self, route: &str, now: Status, stale: bool) {
        let words = Status::ALL.map(|status| (status.as_str(), status == now));
        for (status, on) in words.into_iter().chain([("stale", stale)]) {
            self.status.get_or_create(&StatusLabels { route: route.to_owned(), status }).set(i64::from(on));
        }
        let label = RouteLabel { route: route.to_owned() };
        self.feasible.get_or_create(&label).set(i64::from(now != Status::Unreachable));
    }

    /// How often a route's judge and people say the same. Nothing before there is anything to compare.
    pub(super) fn agreement(&self, route: &str, held: &Agreement) {
        let Some(share) = held.share() else { return };
        let (lower, upper) = held.interval(0.95);
        for (bound, value) in [("lower", lower), ("estimate", share), ("upper", upper)] {
            self.agreement.get_or_create(&BoundLabels { route: route.to_owned(), bound }).set(value);
        }
        self.compared.get_or_create(&RouteLabel { route: route.to_owned() }).set(held.compared as i64);
    }

    /// What a route saves, and why that is little where it is.
    pub(super) fn thrift(&self, route: &str, thrift: &Thrift) {
        self.saving.get_or_create(&RouteLabel { route: route.to_owned() }).set(thrift.saving);
        for obstacle in Obstacle::ALL {
            let labels = RouteReason { route: route.to_owned(), reason: obstacle.as_str() };
            self.saving_little.get_or_create(&labels).set(i64::from(thrift.obstacle == Some(obstacle)));
        }
    }

    /// A window without answers has no value, and neither has a surplus that lasts.
    pub(super) fn forget_windows(&self) {
        self.burn.clear();
        self.predicted_burn.clear();
        self.exhaustion.clear();
    }

    /// How a route has done of late, if its policy says how sure it is.
    pub(super) fn recent(&self, route: &str, router: &Router, recent: &Recent, now: Timestamp) {
        let (label, alpha) = (RouteLabel { route: route.to_owned() }, router.alpha());
        if let Some(at) = recent.last_label() {
            self.last_label.get_or_create(&label).set(at.0 as f64 / 1e3);
        }
        let Some(certificate) = router.certificate() else { return };
        for held in recent.windows(now) {
            let window = held.name;
            if let Some(rate) = burn_rate(held.predicted, alpha) {
                self.predicted_burn.get_or_create(&WindowLabels { route: route.to_owned(), window }).set(rate);
            }
            if !UNLABELLED.contains(&window) {
                for (bound, rate) in burns(&held.certificate, alpha) {
                    self.burn.get_or_create(&BurnLabels { route: route.to_owned(), window, bound }).set(rate);
                }
            }
            if let (PACE, Some(seconds)) = (window, exhaustion_seconds(&certificate, &held, now, alpha)) {
                self.exhaustion.get_or_create(&label).set(seconds);
            }
        }
    }

    /// What the last thousand answers of each route were rated; nothing of those that nobody rated.
    pub(crate) fn rated_last(&self, routes: &[(&str, Totals)]) {
        self.thousand.clear();
        for (route, totals) in routes {
            if let Some(satisfaction) = totals.satisfaction() {
                self.thousand.get_or_create(&RouteLabel { route: (*route).to_owned() }).set(satisfaction);
            }
        }
    }

    /// What the plans of the routes that are only observed would have given; nothing of those that are no longer.
    pub(crate) fn observed_of_late(&self, routes: &[(&str, Observed)]) {
        self.plan_saving.clear();
        self.plan_satisfaction.clear();
        for (route, found) in routes {
            let ratio = |usd: f64| usd / found.baseline_usd.max(f64::MIN_POSITIVE);
            let saved = found.saved_interval_usd.map(|(low, high)| (ratio(low), ratio(high)));
            set_bounds(&self.plan_saving, route, ratio(found.saved_usd), saved);
            set_bounds(&self.plan_satisfaction, route, found.satisfaction, found.satisfaction_interval);
        }
    }
}

/// An estimate, and the bounds that are known of it.
fn set_bounds(family: &Family<BoundLabels, FloatGauge>, route: &str, estimate: f64, interval: Option<(f64, f64)>) {
    let bounds = interval.map(|(low, high)| [("lower", low), ("upper", high)]);
    for (bound, value) in bounds.into_iter().flatten().chain([("estimate", estimate)]) {
        family.get_or_create(&BoundLabels { route: route.to_owned(), bound }).set(value);
    }
}
