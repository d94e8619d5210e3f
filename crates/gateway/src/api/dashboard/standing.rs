//! A route as it stands, for all pages.

use slarouter_core::policy::Window;
use slarouter_core::{Certificate, PolicySpec, Router, Status, Thrift, Timestamp};
use slarouter_learner::Snapshot;
use slarouter_pages::{Badge, Claim, Gauge, sentence};

/// A route as it stands.
pub(super) struct Standing<'a> {
    pub(super) router: &'a Router,
    pub(super) thrift: Option<Thrift>,
    pub(super) status: Option<Status>,
    pub(super) certificate: Option<Certificate>,
    rated_ago_ms: Option<u64>,
}

impl<'a> Standing<'a> {
    pub(super) fn of(snapshot: &'a Snapshot, route: &str, now: Timestamp) -> Option<Self> {
        let router = snapshot.routes.get(route)?;
        let (status, thrift) = (snapshot.status(route), snapshot.thrift.get(route).copied());
        let last_label = snapshot.recent.get(route).and_then(|recent| recent.last_label());
        let rated_ago_ms = last_label.map(|at| now.0.saturating_sub(at.0));
        Some(Self { router, thrift, status, certificate: router.certificate(), rated_ago_ms })
    }

    pub(super) fn badge(&self) -> Badge {
        Badge::of(self.status)
    }

    /// Whether there is enough evidence to show an estimate.
    pub(super) fn is_telling(&self) -> bool {
        !matches!(self.status, None | Some(Status::Insufficient))
    }

    pub(super) fn sentence(&self) -> String {
        let account = self.router.account();
        sentence(&Claim {
            status: self.status,
            alpha: self.router.alpha(),
            assurance: self.certified().map_or(0.0, |(assurance, _)| assurance),
            certificate: self.certificate,
            labels: account.labels,
            serves: self.router.spec().is_observed().then(|| self.fallback()),
            rated_ago_ms: self.rated_ago_ms,
        })
    }

    /// The model with which savings are compared.
    pub(super) fn fallback(&self) -> &str {
        let spec = self.router.spec();
        &spec.zoo.models()[spec.fallback()].name
    }

    pub(super) fn gauge(&self) -> Option<Gauge> {
        let certificate = self.certificate.as_ref()?;
        Some(Gauge::of(certificate, self.router.alpha(), self.badge(), self.is_telling()))
    }

    /// Assurance and window of the promise.
    pub(super) fn certified(&self) -> Option<(f64, Window)> {
        match &self.router.spec().policy {
            PolicySpec::Certified(params) => Some((params.assurance, params.window)),
            _ => None,
        }
    }
}
