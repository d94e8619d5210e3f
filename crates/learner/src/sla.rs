//! How the SLA of each route stands, and a line in the log when that becomes good or bad.

use std::collections::BTreeMap;
use std::sync::Arc;

use slarouter_core::{Account, Certificate, Obstacle, Policy, Router, Status, Thrift};

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
    /// `None` before the first look, and where the policy gives no certificate.
    status: Option<Status>,
    /// The ratings tell answers apart, or audits do.
    telling: bool,
    /// The fallback is believed to miss α.
    misses: bool,
    /// Why little is saved, where it is.
    obstacle: Option<Obstacle>,
}

impl Default for Standing {
    fn default() -> Self {
        Self { status: None, telling: true, misses: false, obstacle: None }
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

    /// Writes into `snapshot` how its routes stand, and logs what has changed since the last look. Tens of microseconds per route.
    pub fn look(&mut self, snapshot: &mut Snapshot) {
        for (route, before) in &mut self.routes {
            let Some(router) = snapshot.routes.get(route) else { continue };
            let thrift = snapshot.recent.get(route).and_then(|recent| router.thrift(recent.costs(), before.obstacle));
            let now = Standing {
                status: router.status(before.status),
                telling: router.spec().audit_rate > 0.0 || !is_one_sided(router.account()),
                misses: router.fallback_misses(before.misses),
                obstacle: thrift.and_then(|thrift| thrift.obstacle),
            };
            now.tell(*before, route, router, thrift);
            *before = now;
            if let Some(status) = now.status {
                snapshot.standings.insert(route.clone(), status);
            }
            if let Some(thrift) = thrift {
                snapshot.thrift.insert(route.clone(), thrift);
            }
        }
    }
}

impl Standing {
    /// Logs what has changed.
    fn tell(self, before: Self, route: &str, router: &Router, thrift: Option<Thrift>) {
        if self.status != before.status
            && let Some((status, certificate)) = self.status.zip(router.certificate())
        {
            tell_status(status, before.status, route, router.alpha(), &certificate);
        }
        if self.telling != before.telling {
            tell_telling(self.telling, route);
        }
        if self.misses != before.misses {
            tell_fallback(self.misses, route, router);
        }
        if self.obstacle.is_some() != before.obstacle.is_some()
            && let Some(thrift) = thrift
        {
            tell_thrift(thrift, route);
        }
    }
}

/// Only what calls for somebody is a warning, and only its end is worth a line besides.
fn tell_status(now: Status, before: Option<Status>, route: &str, alpha: f64, certificate: &Certificate) {
    let Certificate { lower, upper, labels, requests, .. } = *certificate;
    match now {
        Status::Unreachable => {
            tracing::warn!(%route, alpha, labels, requests, "the SLA is out of reach of the models by what is known: the most satisfying serve");
        }
        Status::Broken => {
            tracing::warn!(%route, alpha, lower, upper, labels, requests, "the SLA is broken: the certificate lies below the target");
        }
        _ => {}
    }
    match before {
        Some(Status::Unreachable) => {
            tracing::info!(%route, alpha, status = now.as_str(), "the SLA is within reach again by what is known");
        }
        Some(Status::Broken) if now != Status::Unreachable => {
            tracing::info!(%route, alpha, lower, upper, status = now.as_str(), "the SLA is no longer broken: the certificate reaches the target");
        }
        _ => {}
    }
}

fn tell_telling(telling: bool, route: &str) {
    if telling {
        tracing::info!(%route, "the ratings are no longer all the same, or there are audits");
    } else {
        tracing::warn!(%route, "all ratings so far are the same, and there are no audits: nothing can be learnt or promised; set feedback.audit_rate");
    }
}

fn tell_fallback(misses: bool, route: &str, router: &Router) {
    let (alpha, believed) = (router.alpha(), router.fallback_believed().map_or(0.0, |believed| believed.mean));
    let fallback = router.policy().fallback().map_or("", |place| &router.zoo().models()[place].name);
    if misses {
        tracing::warn!(%route, alpha, fallback, believed, "the fallback is believed to miss the target, so no promise can rest on it: name a better one, or lower sla.satisfaction");
    } else {
        tracing::info!(%route, alpha, fallback, believed, "the fallback is no longer believed to miss the target");
    }
}

fn tell_thrift(Thrift { saving, obstacle }: Thrift, route: &str) {
    match obstacle {
        Some(obstacle) => {
            tracing::info!(%route, saving, reason = obstacle.as_str(), "the route saves little: {}; {}", obstacle.cause(), obstacle.remedy());
        }
        None => tracing::info!(%route, saving, "the route no longer saves little"),
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
            let mut snapshot = Snapshot { routes: routes.into(), ..Snapshot::default() };
            watch.look(&mut snapshot);
            assert_eq!(watch.routes.len(), 1, "a route that is not configured is not watched");
            assert_eq!(snapshot.standings.get(&route).copied(), watch.routes[&route].status);
            assert_eq!(snapshot.standings.get("gone"), None);
            snapshot.status(&route).unwrap()
        };
        assert_eq!(look(&learner), Status::Insufficient);
        rate(&mut learner, 0, 1, 0.0);
        assert_eq!(look(&learner), Status::Insufficient, "one thumb down breaks nothing");
        rate(&mut learner, 1, 400, 1.0);
        assert!(look(&learner) > Status::Broken);
        rate(&mut learner, 400, 1_200, 0.0);
        assert!(look(&learner) <= Status::Broken);
        // A lower target is another promise, and these models can keep it.
        learner.reconfigure(spec(0.2)).unwrap();
        rate(&mut learner, 1_200, 3_000, 1.0);
        assert_eq!(look(&learner), Status::Holds);
    }

    #[test]
    fn ratings_that_are_all_the_same_are_noticed_unless_there_are_audits() {
        let route: Arc<str> = "default".into();
        for rating in [0.0, 1.0] {
            let mut learner = Learner::new(spec(0.9), 1, 1).unwrap();
            let mut watch = SlaWatch::new([&route].into_iter());
            let mut telling = |learner: &Learner| {
                let routes = [(route.clone(), learner.router().clone())].into();
                watch.look(&mut Snapshot { routes, ..Snapshot::default() });
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
