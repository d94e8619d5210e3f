//! How the routes stand, as metrics.

use slarouter_core::{AnyPolicy, Policy, Router, Status};

use super::Metrics;
use super::labels::{RouteLabel, RouteModel, StatusLabels};

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
        }
        if let AnyPolicy::Certified(policy) = router.policy()
            && let Some(bias) = policy.rating_bias()
        {
            self.rating_bias.get_or_create(&label).set(bias);
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
}
