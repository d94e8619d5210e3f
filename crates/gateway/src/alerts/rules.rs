//! Which alerts there are, and when each holds: as the rules for Prometheus have them.

use std::collections::BTreeMap;

use slarouter_core::{Certificate, Recent, RecentWindow, Router, Status, Timestamp, burn_rate, exhaustion_seconds};
use slarouter_learner::Snapshot;

use crate::upstream::Circuit;

/// Labels, and answers of an hour, by which predictions are believed.
const LABELS: u64 = 50;
const ANSWERS: u64 = 20;
/// Answers of a day that somebody should have rated.
const UNRATED: u64 = 1_000;
const DAY_MS: u64 = 86_400_000;
const EXHAUSTS_SECONDS: f64 = 3.0 * 86_400.0;

/// One kind of alert.
#[derive(Debug, PartialEq)]
pub(super) struct Rule {
    pub(super) name: &'static str,
    pub(super) severity: &'static str,
    /// How long it has to hold before anybody is told.
    pub(super) minutes: u64,
}

/// The labels that alerts have.
pub(super) const NAMES_OF_LABELS: [&str; 3] = ["model", "reason", "route"];

/// A rule that holds now.
#[derive(Clone, Debug)]
pub(super) struct Condition {
    pub(super) rule: &'static Rule,
    pub(super) labels: BTreeMap<&'static str, String>,
    pub(super) summary: String,
}

/// How things stand.
pub(crate) struct View<'a> {
    pub(crate) now: Timestamp,
    pub(crate) snapshot: &'a Snapshot,
    /// What is wrong with the learning.
    pub(crate) trouble: Option<&'static str>,
    /// What is said of the SLAs may be out of date.
    pub(crate) stale: bool,
    /// The state of each model's circuit.
    pub(crate) circuits: Vec<(&'a str, Circuit)>,
}

const fn rule(name: &'static str, severity: &'static str, minutes: u64) -> Rule {
    Rule { name, severity, minutes }
}

pub(super) const RULES: [Rule; 15] = [
    rule("SLABroken", "critical", 10),
    rule("SLAUnreachable", "warning", 15),
    rule("SLAPredictedFastBurn", "critical", 2),
    rule("SLAPredictedBurn", "critical", 15),
    rule("SLAPredictedDrop", "warning", 15),
    rule("SLAEvidencedBurn", "warning", 60),
    rule("SLAExhausts", "warning", 60),
    rule("FallbackMisses", "warning", 60),
    rule("SLAUnproven", "info", 3 * 1_440),
    rule("NoLabels", "warning", 15),
    rule("SavingLittle", "info", 1_440),
    rule("SLAStale", "warning", 10),
    rule("Degraded", "critical", 5),
    rule("UnreadableRows", "warning", 5),
    rule("ModelDown", "warning", 5),
];

/// All that holds.
pub(super) fn conditions(view: &View<'_>) -> Vec<Condition> {
    let mut held: Vec<_> = view.snapshot.standings.keys().flat_map(|route| of_route(view, route)).collect();
    if view.stale {
        held.extend(condition("SLAStale", [], "What is said of the SLAs is out of date.".to_owned()));
    }
    if let Some(trouble) = view.trouble {
        let summary = format!("Requests are decided without learning: {trouble}.");
        held.extend(condition("Degraded", [("reason", trouble)], summary));
    }
    if view.snapshot.unreadable.count > 0 {
        let summary = format!("{} rows of the log cannot be read.", view.snapshot.unreadable.count);
        held.extend(condition("UnreadableRows", [], summary));
    }
    for (model, _) in view.circuits.iter().filter(|(_, circuit)| *circuit == Circuit::Open) {
        held.extend(condition("ModelDown", [("model", *model)], format!("Model {model} is down.")));
    }
    held
}

fn condition<const N: usize>(name: &str, labels: [(&'static str, &str); N], summary: String) -> Option<Condition> {
    let rule = RULES.iter().find(|rule| rule.name == name)?;
    let labels = labels.into_iter().map(|(label, value)| (label, value.to_owned())).collect();
    Some(Condition { rule, labels, summary })
}

fn of_route(view: &View<'_>, route: &str) -> Vec<Condition> {
    let Some((router, status)) = view.snapshot.routes.get(route).zip(view.snapshot.status(route)) else {
        return Vec::new();
    };
    let mut held: Vec<_> = of_status(router, status).into_iter().collect();
    if let Some(recent) = view.snapshot.recent.get(route) {
        held.extend(of_burn(router, recent, view.now));
        held.extend(of_time(router, recent, status, view.now));
    }
    if router.fallback_misses(false) {
        held.push(("FallbackMisses", "its fallback is believed to miss the target".to_owned()));
    }
    if let Some(obstacle) = view.snapshot.thrift.get(route).and_then(|thrift| thrift.obstacle) {
        held.push(("SavingLittle", format!("it saves little, as {}", obstacle.cause())));
    }
    let summary = |what: String| format!("Route {route}: {what}. Its target is {}.", router.alpha());
    held.into_iter().filter_map(|(name, what)| condition(name, [("route", route)], summary(what))).collect()
}

/// What the status alone says.
fn of_status(router: &Router, status: Status) -> Option<(&'static str, String)> {
    let Certificate { lower, upper, .. } = router.certificate()?;
    match status {
        Status::Broken => Some(("SLABroken", format!("the SLA is broken: satisfaction is at most {upper:.3}"))),
        Status::Unreachable => Some(("SLAUnreachable", "its models cannot reach the target".to_owned())),
        Status::AtRisk | Status::Unproven => {
            let what = format!("it is open whether the SLA holds: satisfaction is between {lower:.3} and {upper:.3}");
            Some(("SLAUnproven", what))
        }
        Status::Holds | Status::Insufficient => None,
    }
}

/// What the burn rates say, by predictions and by labels.
fn of_burn(router: &Router, recent: &Recent, now: Timestamp) -> Vec<(&'static str, String)> {
    let (alpha, windows) = (router.alpha(), recent.windows(now).collect::<Vec<_>>());
    let budget = 1.0 - alpha;
    let within = |name: &str| windows.iter().find(|window| window.name == name);
    let rate = |name: &str, of: fn(&RecentWindow) -> f64| within(name).and_then(|window| burn_rate(of(window), alpha));
    // Above a threshold that can be reached, in both windows.
    let burns = |names: [&str; 2], share: f64, usual: f64| {
        let rates = names.map(|name| rate(name, |window| window.predicted).unwrap_or_default());
        rates.iter().all(|rate| *rate > usual.min(share / budget)).then_some(rates[0])
    };
    let mut held = Vec::new();
    let labels = router.account().labels;
    if labels >= LABELS && within("1h").is_some_and(|hour| hour.certificate.requests >= ANSWERS) {
        let predicted =
            |name, rate: f64| (name, format!("by predictions the error budget goes {rate:.1} times as fast as it may"));
        held.extend(burns(["1h", "5m"], 0.6, 14.4).map(|rate| predicted("SLAPredictedFastBurn", rate)));
        held.extend(burns(["6h", "30m"], 0.4, 6.0).map(|rate| predicted("SLAPredictedBurn", rate)));
        let hour = within("1h").filter(|hour| hour.predicted < alpha - 0.1);
        held.extend(hour.map(|hour| {
            ("SLAPredictedDrop", format!("satisfaction of the last hour is predicted to be {:.3}", hour.predicted))
        }));
    }
    let proven = rate("1d", |day| day.certificate.upper).filter(|rate| *rate > 3.0_f64.min(0.3 / budget));
    let lasting = rate("6h", |window| window.certificate.estimate).is_some_and(|rate| rate > 1.0);
    held.extend(proven.filter(|_| lasting).map(|rate| {
        (
            "SLAEvidencedBurn",
            format!("labels prove that the error budget of the last day went {rate:.1} times as fast as it may"),
        )
    }));
    held
}

/// What runs out, and what does not come.
fn of_time(router: &Router, recent: &Recent, status: Status, now: Timestamp) -> Vec<(&'static str, String)> {
    let mut held = Vec::new();
    let Some((day, certificate)) = recent.windows(now).find(|window| window.name == "1d").zip(router.certificate())
    else {
        return held;
    };
    let left = exhaustion_seconds(&certificate, &day, now, router.alpha()).filter(|left| *left < EXHAUSTS_SECONDS);
    // While the fallback can hold α, a surplus is spent on purpose.
    if let (Some(left), true) = (left, status != Status::Insufficient && router.fallback_misses(false)) {
        held.push((
            "SLAExhausts",
            format!("at the pace of the last day its surplus lasts for {:.1} hours", left / 3_600.0),
        ));
    }
    let labelled = recent.last_label().is_some_and(|last| now.0.saturating_sub(last.0) < DAY_MS);
    if !labelled && day.certificate.requests > UNRATED {
        held.push(("NoLabels", format!("none of the {} answers of the last day was rated", day.certificate.requests)));
    }
    held
}
