//! Says in the log, once per change, that a route's SLA is out of reach or broken, and that it no longer is.

use std::collections::BTreeMap;
use std::sync::Arc;

use slarouter_core::{Account, Policy};

use crate::snapshot::Snapshot;

/// Fewest labels to draw attention to.
const FEWEST: u64 = 50;
/// What adding and taking back ratings may leave of a sum.
const ROUNDING: f64 = 1e-6;

/// How the configured routes stood when last looked at.
pub struct SlaWatch {
    routes: BTreeMap<Arc<str>, Standing>,
}

/// How one route stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Standing {
    /// By what is known, the models can reach α.
    feasible: bool,
    /// The certificate's upper bound is not below α.
    unbroken: bool,
    /// The ratings tell answers apart, or audits do.
    telling: bool,
}

/// A route's certificate and what it is held against.
struct Bounds {
    lower: f64,
    upper: f64,
    alpha: f64,
}

impl Default for Standing {
    fn default() -> Self {
        Self { feasible: true, unbroken: true, telling: true }
    }
}

impl SlaWatch {
    /// Watches these routes; the log may know others that are configured no more.
    pub fn new<'a>(routes: impl Iterator<Item = &'a Arc<str>>) -> Self {
        Self { routes: routes.map(|route| (route.clone(), Standing::default())).collect() }
    }

    /// Watches these and no others from now on.
    pub fn watch(&mut self, routes: &[Arc<str>]) {
        if !routes.iter().eq(self.routes.keys()) {
            let held = std::mem::take(&mut self.routes);
            let standing = |route: &Arc<str>| held.get(route).copied().unwrap_or_default();
            self.routes = routes.iter().map(|route| (route.clone(), standing(route))).collect();
        }
    }

    /// Compares with the last look and logs what has changed. Tens of microseconds per route.
    pub fn look(&mut self, snapshot: &Snapshot) {
        for (route, before) in &mut self.routes {
            let Some(router) = snapshot.routes.get(route) else { continue };
            let certificate = router.certificate();
            let alpha = router.alpha();
            let (lower, upper) = certificate.map_or((0.0, 1.0), |held| (held.lower, held.upper));
            let now = Standing {
                feasible: router.policy().is_feasible() != Some(false),
                unbroken: upper >= alpha,
                telling: router.spec().audit_rate > 0.0 || !is_one_sided(router.account()),
            };
            now.tell(*before, route, &Bounds { lower, upper, alpha });
            *before = now;
        }
    }
}

impl Standing {
    fn tell(self, before: Self, route: &str, bounds: &Bounds) {
        let Bounds { lower, upper, alpha } = *bounds;
        match (before.feasible, self.feasible) {
            (true, false) => {
                tracing::warn!(%route, alpha, "the SLA is out of reach of the models by what is known: the most satisfying serve");
            }
            (false, true) => tracing::info!(%route, alpha, "the SLA is within reach again by what is known"),
            _ => {}
        }
        match (before.unbroken, self.unbroken) {
            (true, false) => {
                tracing::warn!(%route, alpha, lower, upper, "the SLA is broken: the certificate lies below the target");
            }
            (false, true) => {
                tracing::info!(%route, alpha, lower, upper, "the SLA is no longer broken: the certificate reaches the target");
            }
            _ => {}
        }
        match (before.telling, self.telling) {
            (true, false) => {
                tracing::warn!(%route, "all ratings so far are the same, and there are no audits: nothing can be learnt or promised; set feedback.audit_rate");
            }
            (false, true) => tracing::info!(%route, "the ratings are no longer all the same, or there are audits"),
            _ => {}
        }
    }
}

/// Whether of a fair number of labels all are thumbs down, or all thumbs up.
fn is_one_sided(account: &Account) -> bool {
    let labels = account.labels as f64;
    account.labels >= FEWEST && (account.satisfied < ROUNDING || account.satisfied > labels - ROUNDING)
}

#[cfg(test)]
mod tests {
    use slarouter_core::{
        Alpha, Context, DecisionId, Feedback, Learner, ModelSpec, PolicySpec, Price, Rater, Rating, RouteSpec, Source,
        Timestamp, Zoo, decision_rng,
    };

    use super::*;

    fn spec(alpha: f64) -> RouteSpec {
        let model = |name: &str, price: f64| ModelSpec {
            name: name.into(),
            price: Price { input: price, output: price },
            prior: None,
        };
        let zoo = Zoo::new(vec![model("small", 0.1), model("large", 1.0)]).unwrap();
        let spec = RouteSpec::new(Alpha::new(alpha).unwrap(), zoo, PolicySpec::parse("certified").unwrap());
        RouteSpec { feedback_window_ms: 1_000_000, ..spec }
    }

    /// Decides and rates the answers of these numbers.
    fn rate(learner: &mut Learner, from: u64, to: u64, rating: f64) {
        for n in from..to {
            let (id, at) = (DecisionId(u128::from(n)), Timestamp(n));
            let context = Context { features: &[1.0], input_tokens: 100.0, excluded: &[] };
            let decision = learner.router().decide(&context, &mut decision_rng(1, id)).unwrap();
            learner.decided(&decision, at);
            let feedback = Feedback {
                decision: id,
                decided_at: at,
                model: &decision.choice().model,
                reason: decision.reason,
                features: &[1.0],
                predicted: decision.choice().satisfaction,
                source: Source::User,
                rater: Rater(0),
                rating: Some(Rating::new(rating).unwrap()),
                order: n,
            };
            learner.observe(&feedback, at).unwrap();
        }
    }

    #[test]
    fn an_sla_that_is_out_of_reach_is_seen_to_break_and_to_recover() {
        let route: Arc<str> = "default".into();
        let mut learner = Learner::new(spec(0.9), 1, 1).unwrap();
        let mut watch = SlaWatch::new([&route].into_iter());
        let mut look = |learner: &Learner| {
            let routes = [(route.clone(), learner.router().clone()), ("gone".into(), learner.router().clone())];
            watch.look(&Snapshot { routes: routes.into(), ..Snapshot::default() });
            assert_eq!(watch.routes.len(), 1, "a route that is not configured is not watched");
            watch.routes[&route]
        };
        assert_eq!(look(&learner), Standing::default());
        rate(&mut learner, 0, 1, 0.5);
        rate(&mut learner, 1, 400, 1.0);
        assert_eq!(look(&learner), Standing::default());
        rate(&mut learner, 400, 1_200, 0.0);
        assert_eq!(look(&learner), Standing { feasible: false, unbroken: false, telling: true });
        // A lower target is another promise, and these models can keep it.
        learner.reconfigure(spec(0.2)).unwrap();
        rate(&mut learner, 1_200, 3_000, 1.0);
        assert_eq!(look(&learner), Standing::default());
    }

    #[test]
    fn ratings_that_are_all_the_same_are_noticed_unless_there_are_audits() {
        let route: Arc<str> = "default".into();
        for rating in [0.0, 1.0] {
            let mut learner = Learner::new(spec(0.9), 1, 1).unwrap();
            let mut watch = SlaWatch::new([&route].into_iter());
            let mut telling = |learner: &Learner| {
                let routes = [(route.clone(), learner.router().clone())].into();
                watch.look(&Snapshot { routes, ..Snapshot::default() });
                watch.routes[&route].telling
            };
            rate(&mut learner, 0, FEWEST - 1, rating);
            assert!(telling(&learner), "too few to say");
            rate(&mut learner, FEWEST - 1, FEWEST, rating);
            assert!(!telling(&learner));
            learner.reconfigure(RouteSpec { audit_rate: 0.1, ..spec(0.9) }).unwrap();
            assert!(telling(&learner));
            learner.reconfigure(spec(0.9)).unwrap();
            assert!(!telling(&learner));
            rate(&mut learner, FEWEST, FEWEST + 1, 1.0 - rating);
            assert!(telling(&learner));
        }
    }
}
