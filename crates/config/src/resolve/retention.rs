//! `[store.retention]`: for how long what is kept.

use super::window::duration_ms;
use crate::problems::Problems;
use crate::raw::{self, Text};
use crate::settings::RetentionConfig;
use crate::values::{Env, text};

/// The sums that views look at first reach back so far: without them a page would show a gap.
const LEAST_ROLLUPS_MS: u64 = 32 * 86_400_000;

pub(super) fn retention(
    raw: raw::Retention,
    window_ms: u64,
    env: Env<'_>,
    problems: &mut Problems<'_>,
) -> RetentionConfig {
    let mut kept = |value: &Option<Text>| value.as_ref().and_then(|value| duration(value, env, problems));
    let found = RetentionConfig {
        details_ms: kept(&raw.details),
        decisions_ms: kept(&raw.decisions),
        outcomes_ms: kept(&raw.outcomes),
        feedback_ms: kept(&raw.feedback),
        prompts_ms: kept(&raw.prompts),
        rollups_ms: kept(&raw.rollups),
    };
    let details = found.details_ms.or(found.decisions_ms);
    let longest = |ms: Option<u64>| ms.unwrap_or(u64::MAX);
    let mut must = |value: &Option<Text>, holds: bool, what: &str| {
        if let (Some(value), false) = (value, holds) {
            problems.add(Some(value.span()), what);
        }
    };
    let within = longest(details) >= window_ms;
    must(
        if raw.details.is_some() { &raw.details } else { &raw.decisions },
        within,
        "must not be shorter than feedback.window_days: what can still be rated is learnt from",
    );
    must(
        &raw.decisions,
        longest(found.decisions_ms) >= longest(found.details_ms),
        "decisions must not be shorter than details, which are a part of them",
    );
    must(
        &raw.feedback,
        longest(found.feedback_ms) >= window_ms,
        "feedback must not be shorter than feedback.window_days",
    );
    must(
        &raw.prompts,
        longest(found.prompts_ms) <= longest(details),
        "prompts must not be longer than details, with which they go",
    );
    must(
        &raw.outcomes,
        details.is_some() && longest(found.outcomes_ms) >= longest(details),
        "outcomes need details, and must not be shorter: before that they are learnt from",
    );
    must(
        &raw.rollups,
        longest(found.rollups_ms) >= LEAST_ROLLUPS_MS && longest(found.rollups_ms) >= longest(details.or(Some(0))),
        "rollups must be at least 32 days, and not shorter than details: they are what is left of what is gone",
    );
    found
}

fn duration(value: &Text, env: Env<'_>, problems: &mut Problems<'_>) -> Option<u64> {
    let written = text(value, env, problems)?;
    let found = duration_ms(&written);
    if found.is_none() {
        problems.add(Some(value.span()), "must be a duration, as in \"35 days\" or \"12 weeks\"");
    }
    found
}
