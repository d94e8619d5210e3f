//! What satisfaction has been of late, in windows of time.

use serde::{Deserialize, Serialize};

use crate::policy::CertifiedParams;
use crate::state::{read, seal, unseal};
use crate::{
    Certificate, Change, Costs, Decision, Feedback, PolicySpec, Reason, RouteSpec, SatisfactionAccount, Source, Span,
    StateError, Timestamp,
};

/// The windows by name, and their length in ms, from the shortest up.
pub const RECENT_WINDOWS: [(&str, u64); 6] = [
    ("5m", 300_000),
    ("30m", 1_800_000),
    ("1h", 3_600_000),
    ("6h", 21_600_000),
    ("1d", 86_400_000),
    ("3d", 259_200_000),
];

/// The satisfaction of a route in each of [`RECENT_WINDOWS`], beside the account of its SLA, what it costs, and when it was last
/// rated.
///
/// The windows are those of the time of decision: a late label goes to its answer. Pinned requests are not in them. Events are O(1);
/// memory is some 20 kB.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recent {
    windows: Vec<SatisfactionAccount>,
    last_label: Option<Timestamp>,
    costs: Costs,
}

/// One window as it stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RecentWindow {
    /// Its name in [`RECENT_WINDOWS`].
    pub name: &'static str,
    /// Since when there are answers in it, up to a sixteenth of its length before it begins.
    pub since: Timestamp,
    /// Mean prediction over the answers, for the models that gave them: needs no label.
    pub predicted: f64,
    /// What can be promised of the window by itself. Of answers without any label it is wide, not empty.
    pub certificate: Certificate,
}

/// How fast the error budget goes: the share of answers that do not satisfy as a multiple of what α allows. `None` where it allows
/// none at all.
#[must_use]
pub fn burn_rate(satisfaction: f64, alpha: f64) -> Option<f64> {
    (alpha < 1.0).then(|| (1.0 - satisfaction) / (1.0 - alpha))
}

/// Seconds until the surplus over α of `certificate` is used up at the pace of `window`, which ends at `now`; 0 where it is, `None`
/// where the window is not below α. By the estimates, which promise nothing.
#[must_use]
pub fn exhaustion_seconds(certificate: &Certificate, window: &RecentWindow, now: Timestamp, alpha: f64) -> Option<f64> {
    let held = &window.certificate;
    let lost = held.requests as f64 * (alpha - held.estimate);
    let surplus = certificate.requests as f64 * (certificate.estimate - alpha);
    let seconds = now.0.saturating_sub(window.since.0).max(1) as f64 / 1e3;
    (lost > 0.0).then(|| surplus.max(0.0) * seconds / lost)
}

impl Recent {
    /// Nothing has happened yet on the route.
    #[must_use]
    pub fn new(spec: &RouteSpec) -> Self {
        let account = |(_, length): (&str, u64)| SatisfactionAccount::new(assurance(spec), Span::Lasting(length));
        let mut recent =
            Self { windows: RECENT_WINDOWS.map(account).into(), last_label: None, costs: Costs::default() };
        recent.audited_from_now_on(spec);
        recent
    }

    /// The route has another configuration. Another assurance begins the windows anew.
    pub fn reconfigured(&mut self, spec: &RouteSpec) {
        if self.windows.iter().any(|account| account.assurance() != assurance(spec)) {
            self.windows = Self::new(spec).windows;
        }
        self.audited_from_now_on(spec);
    }

    /// Takes note of a decision made at `at`; one that was pinned changes nothing.
    pub fn decided(&mut self, decision: &Decision, at: Timestamp) {
        if decision.reason != Reason::Pinned {
            let predicted = decision.choice().satisfaction;
            self.windows.iter_mut().for_each(|account| account.answered(at, predicted));
            self.costs.decided(decision);
        }
    }

    /// As [`SatisfactionAccount::rerouted`].
    pub fn rerouted(&mut self, at: Timestamp, old: f64, new: f64) {
        self.windows.iter_mut().for_each(|account| account.rerouted(at, old, new));
    }

    /// There was no whole answer after all: `counts` says whether it is one that did not satisfy, as
    /// [`RouteSpec::failures_count`], or none.
    pub fn failed(&mut self, at: Timestamp, predicted: f64, counts: bool) {
        if counts {
            return self.rerouted(at, predicted, 0.0);
        }
        self.windows.iter_mut().for_each(|account| account.failed(at, predicted));
    }

    /// `feedback`, which came at `at`, made this change of a label.
    pub fn labelled(&mut self, feedback: &Feedback<'_>, at: Timestamp, change: Change) {
        let enter = match feedback.source {
            Source::Audit => SatisfactionAccount::audited,
            Source::User => SatisfactionAccount::labelled,
            // A verdict changes no label.
            Source::Judge => return,
        };
        let (decided_at, predicted) = (feedback.decided_at, feedback.predicted.clamp(0.0, 1.0));
        self.windows.iter_mut().for_each(|account| enter(account, decided_at, predicted, change.old, change.new));
        self.last_label = self.last_label.max(Some(at));
    }

    /// When a label last came or changed.
    #[must_use]
    pub fn last_label(&self) -> Option<Timestamp> {
        self.last_label
    }

    /// What the decisions of late cost.
    #[must_use]
    pub fn costs(&self) -> &Costs {
        &self.costs
    }

    /// The windows that end at `now` and have answers, from the shortest up. Tens of microseconds each.
    pub fn windows(&self, now: Timestamp) -> impl Iterator<Item = RecentWindow> {
        self.windows.iter().zip(RECENT_WINDOWS).filter_map(move |(account, (name, _))| {
            let account = account.as_of(now);
            let standing = account.standing();
            let window = || RecentWindow {
                name,
                since: account.start(),
                predicted: standing.predicted.clamp(0.0, 1.0),
                certificate: account.certificate(),
            };
            (standing.requests > 0).then(window)
        })
    }

    /// The whole state, as [`crate::Learner::to_bytes`].
    ///
    /// # Errors
    /// [`StateError::Damaged`] if it cannot be serialised, which does not happen.
    pub fn to_bytes(&self) -> Result<Vec<u8>, StateError> {
        seal(self)
    }

    /// What [`Recent::to_bytes`] saved.
    ///
    /// # Errors
    /// As [`crate::Learner::from_bytes`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, StateError> {
        read(unseal(bytes)?.1)
    }

    fn audited_from_now_on(&mut self, spec: &RouteSpec) {
        self.windows.iter_mut().for_each(|account| account.set_audit_rate(Some(spec.audit_rate)));
    }
}

fn assurance(spec: &RouteSpec) -> f64 {
    match &spec.policy {
        PolicySpec::Certified(params) => params.assurance,
        _ => CertifiedParams::default().assurance,
    }
}

#[cfg(test)]
mod tests {
    use crate::{Alpha, Candidate, DecisionId, ModelSpec, Price, Rater, Zoo};

    use super::*;

    const MINUTE: u64 = 60_000;

    fn spec(audit_rate: f64) -> RouteSpec {
        let price = Price { input: 1.0, output: 1.0 };
        let zoo = Zoo::new(vec![ModelSpec { name: "m".into(), price, prior: None }]).unwrap();
        let spec = RouteSpec::new(Alpha::new(0.9).unwrap(), zoo, PolicySpec::parse("certified").unwrap());
        RouteSpec { audit_rate, ..spec }
    }

    fn decided(recent: &mut Recent, minute: u64, satisfaction: f64) {
        let candidates = vec![Candidate { satisfaction, ..Candidate::default() }];
        recent.decided(&Decision { candidates, chosen: 0, reason: Reason::Exploit }, Timestamp(minute * MINUTE));
    }

    fn rated(recent: &mut Recent, minute: u64, predicted: f64, rating: f64) {
        let decided_at = Timestamp(minute * MINUTE);
        let feedback = Feedback {
            decision: DecisionId(0),
            decided_at,
            model: "m",
            reason: Reason::Exploit,
            features: &[],
            predicted,
            source: Source::User,
            rater: Rater(0),
            rating: None,
            order: 0,
        };
        recent.labelled(&feedback, Timestamp(decided_at.0 + 1), Change { old: None, new: Some(rating) });
    }

    /// One answer a minute for three hours, all rated: the first two hours satisfy, the last one does not.
    fn three_hours() -> Recent {
        let mut recent = Recent::new(&spec(0.0));
        for minute in 1..=180 {
            let (predicted, rating) = if minute <= 120 { (0.9, 1.0) } else { (0.4, 0.0) };
            decided(&mut recent, minute, predicted);
            rated(&mut recent, minute, predicted, rating);
        }
        recent
    }

    fn window(recent: &Recent, name: &str, minute: u64) -> Option<RecentWindow> {
        recent.windows(Timestamp(minute * MINUTE)).find(|window| window.name == name)
    }

    #[test]
    fn each_window_speaks_of_its_own_time() {
        let recent = three_hours();
        assert_eq!(recent.last_label(), Some(Timestamp(180 * MINUTE + 1)));
        let hour = window(&recent, "1h", 180).unwrap();
        // Blocks of a sixteenth: up to that much more is in it.
        assert!((60..=64).contains(&hour.certificate.requests), "{hour:?}");
        assert!((hour.predicted - 0.4).abs() < 0.04, "{hour:?}");
        assert!(hour.certificate.estimate < 0.08, "{hour:?}");
        let day = window(&recent, "1d", 180).unwrap();
        assert_eq!(day.certificate.requests, 180);
        assert!((day.predicted - (120.0 * 0.9 + 60.0 * 0.4) / 180.0).abs() < 1e-4, "{day:?}");
        assert!((day.certificate.estimate - 2.0 / 3.0).abs() < 0.01, "{day:?}");
    }

    #[test]
    fn time_empties_the_windows_also_without_traffic() {
        let recent = three_hours();
        assert!(window(&recent, "5m", 190).is_none());
        assert!((1..=50).contains(&window(&recent, "1h", 200).unwrap().certificate.requests));
        assert!(window(&recent, "1h", 245).is_none());
        assert_eq!(window(&recent, "6h", 245).unwrap().certificate.requests, 180);
        assert_eq!(recent.windows(Timestamp(5 * 1_440 * MINUTE)).count(), 0);
    }

    #[test]
    fn a_late_label_goes_to_the_window_of_its_answer() {
        let mut recent = Recent::new(&spec(0.0));
        decided(&mut recent, 1, 0.8);
        decided(&mut recent, 100, 0.8);
        rated(&mut recent, 1, 0.8, 0.0);
        assert_eq!(window(&recent, "1h", 100).unwrap().certificate.labels, 0);
        assert_eq!(window(&recent, "6h", 100).unwrap().certificate.labels, 1);
    }

    #[test]
    fn a_surplus_lasts_as_long_as_the_pace_lets_it() {
        // A day at 0.8 where 0.9 is promised: of 2,400 answers 240 too few, 10 in an hour.
        let certificate = |requests, estimate| Certificate { requests, labels: 0, estimate, lower: 0.0, upper: 1.0 };
        let window =
            RecentWindow { name: "1d", since: Timestamp(0), predicted: 0.8, certificate: certificate(2_400, 0.8) };
        let now = Timestamp(1_440 * MINUTE);
        let left = |estimate, alpha| exhaustion_seconds(&certificate(1_000, estimate), &window, now, alpha);
        assert!((left(0.95, 0.9).unwrap() - 5.0 * 3_600.0).abs() < 1e-6);
        assert_eq!(left(0.85, 0.9), Some(0.0));
        assert_eq!(left(0.95, 0.8), None, "what is not lost lasts for ever");
    }

    #[test]
    fn a_burn_rate_is_a_multiple_of_what_is_allowed() {
        assert!((burn_rate(0.7, 0.9).unwrap() - 3.0).abs() < 1e-9);
        assert_eq!(burn_rate(0.7, 1.0), None);
    }

    #[test]
    fn what_was_saved_is_read_again_and_another_assurance_begins_anew() {
        let mut recent = three_hours();
        assert_eq!(Recent::from_bytes(&recent.to_bytes().unwrap()).unwrap(), recent);
        recent.reconfigured(&spec(0.1));
        assert_eq!(window(&recent, "1d", 180).unwrap().certificate.requests, 180);
        let mut other = spec(0.1);
        other.policy = PolicySpec::Certified(CertifiedParams { assurance: 0.8, ..CertifiedParams::default() });
        recent.reconfigured(&other);
        assert_eq!(recent.windows(Timestamp(180 * MINUTE)).count(), 0);
        assert_eq!(recent.last_label(), Some(Timestamp(180 * MINUTE + 1)));
    }
}
