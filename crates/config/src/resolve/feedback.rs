//! `[feedback]`

use slarouter_protocol::checks::Check;

use super::origins::origins;
use crate::problems::Problems;
use crate::raw;
use crate::settings::{BrowserFeedback, Checks};
use crate::values::{Env, number, seconds, text};

const DAY_MS: f64 = 86_400_000.0;
/// Ratings of one named rater that count per route and day.
const RATER_LIMIT: u64 = 100;
/// How much of the ratings of a model one named rater may be.
const RATER_SHARE: f64 = 0.1;
/// Ratings per minute of one named rater: more than anybody reads answers in it.
const RATER_PER_MINUTE: u64 = 60;
/// What Langfuse, LangSmith and LibreChat call their users' thumbs, by themselves or in their documents.
const SCORE_NAMES: [&str; 4] = ["user-feedback", "user_feedback", "user-score", "user_score"];
/// A day: as long as a page stays open.
const TOKEN_LIFETIME_S: f64 = 86_400.0;
/// Least length of the secret of feedback tokens, that of the digest that it keys: a shorter one could be tried out on one token.
const SECRET_LENGTH: usize = 32;

/// Which ratings count, and which answers are drawn for audit: the same for all routes.
pub(super) struct Terms {
    /// For how long after a decision its ratings are taken.
    pub(super) window_ms: u64,
    pub(super) audit_rate: f64,
    pub(super) rater_limit: u64,
    pub(super) rater_share: f64,
    pub(super) failures_count: bool,
}

pub(super) fn terms(raw: &raw::Feedback, problems: &mut Problems<'_>) -> Terms {
    let share = |share: f64| (0.0..=1.0).contains(&share);
    let within = |days: f64| days > 0.0 && days <= 36_500.0;
    let days = number(raw.window_days.clone(), 30.0, within, "above 0 and at most 36500", problems);
    Terms {
        window_ms: (days * DAY_MS).max(1.0) as u64,
        audit_rate: number(raw.audit_rate.clone(), 0.0, share, "from 0 to 1", problems),
        rater_limit: raw.rater_limit.unwrap_or(RATER_LIMIT),
        rater_share: number(raw.rater_share.clone(), RATER_SHARE, share, "from 0 to 1", problems),
        failures_count: raw.failures_count,
    }
}

/// Ratings that one named rater may send per minute; 0 for no limit.
pub(super) fn rater_per_minute(raw: &raw::Feedback) -> u64 {
    raw.rater_per_minute.unwrap_or(RATER_PER_MINUTE)
}

/// Names under which other products' scores are users' ratings.
pub(super) fn score_names(raw: &raw::Feedback) -> Vec<String> {
    raw.score_names.clone().unwrap_or_else(|| SCORE_NAMES.map(str::to_owned).to_vec())
}

/// Which checks are made of answers, and which of their results count.
pub(super) fn checks(raw: Option<&raw::Checks>, env: Env<'_>, problems: &mut Problems<'_>) -> Checks {
    let Some(raw) = raw else { return Checks::default() };
    let mut run = Vec::new();
    for place in &raw.run {
        let Some(name) = text(place, env, problems) else { continue };
        match Check::ALL.into_iter().find(|check| check.as_str() == name) {
            Some(check) => run.push(check),
            None => problems.add(Some(place.span()), "there are the checks `empty`, `refusal`, `tools` and `format`"),
        }
    }
    let count = raw.count.as_ref().and_then(|place| Some((text(place, env, problems)?, place.span())));
    let count_all = match &count {
        None => false,
        Some((word, _)) if word == "failures" => false,
        Some((word, _)) if word == "all" => true,
        Some((_, span)) => {
            problems.add(Some(span.clone()), "count is \"failures\" or \"all\"");
            false
        }
    };
    Checks { run, count_all }
}

pub(super) fn browser(raw: &raw::Feedback, env: Env<'_>, problems: &mut Problems<'_>) -> BrowserFeedback {
    let secret = raw.token_secret.as_ref().and_then(|place| {
        let secret = text(place, env, problems)?;
        if secret.len() < SECRET_LENGTH {
            problems.add(Some(place.span()), format!("token_secret must have at least {SECRET_LENGTH} characters"));
        }
        Some(secret.into())
    });
    if let (None, Some(first)) = (&raw.token_secret, raw.cors_origins.first()) {
        problems.absent(Some(first.span()), "cors_origins need a token_secret: pages have no key to send");
    }
    BrowserFeedback {
        secret,
        lifetime: seconds(raw.token_lifetime_s.clone(), TOKEN_LIFETIME_S, problems),
        origins: origins(&raw.cors_origins, env, problems),
    }
}
