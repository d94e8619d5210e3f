//! Says in the log, once per change, that a route's SLA is out of reach or broken, and that it no longer is.

use std::collections::BTreeMap;
use std::sync::Arc;

use slarouter_core::Policy;

use crate::learning::Snapshot;

/// How the configured routes stood when last looked at.
pub(crate) struct SlaWatch {
    routes: BTreeMap<Arc<str>, Standing>,
}

/// Of one route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    /// By what is known, the models can reach α.
    pub(crate) feasible: bool,
    /// The certificate's upper bound is not below α.
    pub(crate) unbroken: bool,
}

/// Bounds of the certificate, satisfaction target.
struct Bounds {
    lower: f64,
    upper: f64,
    alpha: f64,
}

impl Default for Standing {
    fn default() -> Self {
        Self { feasible: true, unbroken: true }
    }
}

impl SlaWatch {
    /// Watches these routes; the log may know others that are configured no more.
    pub(crate) fn new<'a>(routes: impl Iterator<Item = &'a Arc<str>>) -> Self {
        Self { routes: routes.map(|route| (route.clone(), Standing::default())).collect() }
    }

    /// Compares with the last look and logs what has changed. Tens of microseconds per route.
    pub(crate) fn look(&mut self, snapshot: &Snapshot) {
        for (route, before) in &mut self.routes {
            let Some(router) = snapshot.routes.get(route) else { continue };
            let certificate = router.certificate();
            let alpha = router.alpha();
            let (lower, upper) = certificate.map_or((0.0, 1.0), |held| (held.lower, held.upper));
            let now = Standing { feasible: router.policy().is_feasible() != Some(false), unbroken: upper >= alpha };
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
    }
}
