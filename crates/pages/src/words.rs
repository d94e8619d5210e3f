//! How an SLA stands, in words.

use slarouter_core::{Certificate, Status, told_count, told_percent};

/// Labels below which no estimate is shown.
const ENOUGH: u64 = 50;

/// A route's promise and what is known of it.
#[derive(Clone, Copy, Debug)]
pub struct Claim<'a> {
    /// How it stands; `None` where the policy gives no certificate.
    pub status: Option<Status>,
    /// The satisfaction target.
    pub alpha: f64,
    /// The probability with which the certificate holds.
    pub assurance: f64,
    /// What can be promised so far.
    pub certificate: Option<Certificate>,
    /// Decisions with a rating in force, for a policy without a certificate.
    pub labels: u64,
    /// The fallback, which serves, where the route is only observed.
    pub serves: Option<&'a str>,
    /// Milliseconds since a label last came or changed.
    pub rated_ago_ms: Option<u64>,
}

/// The SLA in one or two sentences, in which no line breaks between a number and its percent.
#[must_use]
pub fn sentence(claim: &Claim<'_>) -> String {
    let observed = claim.serves.map(|model| format!("Only observed: {model} serves. ")).unwrap_or_default();
    format!("{observed}{}", said(claim)).replace(" %", "\u{a0}%")
}

fn said(claim: &Claim<'_>) -> String {
    let promised = told_percent(claim.alpha);
    let Some(certificate) = claim.certificate else {
        let labels = told_count(claim.labels);
        return format!("Its policy promises nothing. {promised} are asked for; {labels} ratings{}.", last(claim));
    };
    let Certificate { requests, labels, estimate, lower, upper } = certificate;
    let rest = format!("{promised} promised; {}{}.", ratings(labels, requests), last(claim));
    let (between, assured) = (interval(lower, upper), told_percent(claim.assurance));
    let known = format!("{} satisfied, {between} with {assured} assurance; {rest}", told_percent(estimate));
    match claim.status {
        Some(Status::Holds) => format!("Holds. {known}"),
        Some(Status::Unproven) => format!("Most likely holds, but that is not proven yet. {known}"),
        Some(Status::AtRisk) => format!("At risk: the estimate is below what is promised. {known}"),
        Some(Status::Broken) => format!("Broken. {known}"),
        Some(Status::Unreachable) => {
            format!("Out of reach: by what is known no mix of the models satisfies so often. {known}")
        }
        Some(Status::Insufficient) | None if labels < ENOUGH => {
            format!("Not enough evidence yet: {} of about {ENOUGH} ratings. {rest}", told_count(labels))
        }
        Some(Status::Insufficient) | None => {
            format!("Not enough evidence yet: {between} is too wide to say more. {rest}")
        }
    }
}

fn interval(lower: f64, upper: f64) -> String {
    format!("between {:.1} and {}", lower * 100.0, told_percent(upper))
}

fn ratings(labels: u64, requests: u64) -> String {
    let count = if labels == 1 { "1 rating".to_owned() } else { format!("{} ratings", told_count(labels)) };
    let share = match requests {
        0 => String::new(),
        _ => format!(", {} of the answers", told_percent(labels as f64 / requests as f64)),
    };
    format!("{count}{share}")
}

/// When the last rating came.
fn last(claim: &Claim<'_>) -> String {
    claim.rated_ago_ms.map(|ms| format!(", the last {}", ago(ms))).unwrap_or_default()
}

/// How long ago, in the largest unit of which it is two: `4 min ago`.
fn ago(ms: u64) -> String {
    let minutes = ms / 60_000;
    match minutes {
        0 => "within a minute".to_owned(),
        1..=119 => format!("{minutes} min ago"),
        120..=2_879 => format!("{} h ago", minutes / 60),
        _ => format!("{} days ago", minutes / 1_440),
    }
}

/// What is left beyond the promise, as points and as a share of the answers that may fail: `+3.1 points`, `31 %`.
#[must_use]
pub fn budget(satisfaction: f64, alpha: f64) -> (String, String) {
    let lead = satisfaction - alpha;
    let points = format!("{}{:.1}", if lead < 0.0 { "−" } else { "+" }, (lead * 100.0).abs());
    let share = if alpha < 1.0 { lead / (1.0 - alpha) * 100.0 } else { 0.0 };
    (points, format!("{}{:.0} %", if share < 0.0 { "−" } else { "" }, share.abs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(status: Status, labels: u64) -> String {
        let certificate = Certificate { requests: 13_290, labels, estimate: 0.931, lower: 0.917, upper: 0.943 };
        let certificate = Some(certificate);
        let status = Some(status);
        let claim =
            Claim { status, alpha: 0.9, assurance: 0.95, certificate, labels, serves: None, rated_ago_ms: None };
        let told = sentence(&claim);
        let observed = sentence(&Claim { serves: Some("large"), ..claim });
        assert_eq!(observed, format!("Only observed: large serves. {told}"));
        told.replace('\u{a0}', " ")
    }

    #[test]
    fn every_state_has_its_sentence() {
        assert_eq!(
            told(Status::Holds, 412),
            "Holds. 93.1 % satisfied, between 91.7 and 94.3 % with 95.0 % assurance; 90.0 % promised; 412 ratings, 3.1 % of the \
             answers."
        );
        for (status, begins) in [
            (Status::Unproven, "Most likely holds, but that is not proven yet. 93.1 % satisfied"),
            (Status::AtRisk, "At risk: the estimate is below what is promised. 93.1 %"),
            (Status::Broken, "Broken. 93.1 %"),
            (Status::Unreachable, "Out of reach: by what is known"),
            (
                Status::Insufficient,
                "Not enough evidence yet: between 91.7 and 94.3 % is too wide to say more. 90.0 % promised",
            ),
        ] {
            assert!(told(status, 412).starts_with(begins), "{}", told(status, 412));
        }
        let few = told(Status::Insufficient, 1);
        assert!(few.starts_with("Not enough evidence yet: 1 of about 50 ratings. 90.0 % promised; 1 rating,"), "{few}");
        assert!(!few.contains("93.1"), "no point without evidence: {few}");
    }

    #[test]
    fn the_last_rating_has_its_time() {
        for (ms, told) in [
            (59_999, "within a minute"),
            (60_000, "1 min ago"),
            (119 * 60_000, "119 min ago"),
            (120 * 60_000, "2 h ago"),
            (47 * 3_600_000, "47 h ago"),
            (48 * 3_600_000, "2 days ago"),
        ] {
            assert_eq!(ago(ms), told);
        }
        let certificate = Some(Certificate { requests: 100, labels: 60, estimate: 0.9, lower: 0.8, upper: 1.0 });
        let claim = Claim {
            status: Some(Status::Unproven),
            alpha: 0.9,
            assurance: 0.95,
            certificate,
            labels: 60,
            serves: None,
            rated_ago_ms: Some(240_000),
        };
        let told = sentence(&claim);
        assert!(told.ends_with("60 ratings, 60.0\u{a0}% of the answers, the last 4 min ago."), "{told}");
        let told = sentence(&Claim { certificate: None, rated_ago_ms: Some(0), ..claim });
        assert!(told.ends_with("60 ratings, the last within a minute."), "{told}");
    }

    #[test]
    fn a_reserve_is_told_in_points_and_as_a_share_of_what_may_fail() {
        assert_eq!(budget(0.931, 0.9), ("+3.1".to_owned(), "31 %".to_owned()));
        assert_eq!(budget(0.88, 0.9), ("−2.0".to_owned(), "−20 %".to_owned()));
        assert_eq!(budget(1.0, 1.0), ("+0.0".to_owned(), "0 %".to_owned()));
    }
}
