//! `[feedback.judge]`

use crate::problems::Problems;
use crate::raw;
use crate::settings::{Judge, Model, VerdictUse};
use crate::values::{Env, count, number, seconds, text};

/// What an answer is judged by, unless the operator says otherwise.
const RUBRIC: &str = "Does the answer satisfy the person who asked? It does if what it says is right, if it does what was asked for in the \
form that was asked for, and if nothing important is missing. It does not if it is wrong, misses the point, breaks off, or refuses without a \
good reason. Length, politeness and style by themselves decide nothing.";
/// Until a judge has answered.
const TIMEOUT_S: f64 = 60.0;
/// Verdicts under way at once.
const CONCURRENCY: u64 = 4;
/// Answers that wait to be judged.
const QUEUE: u64 = 256;

pub(super) fn judge(
    raw: Option<raw::Judge>,
    models: &[Model],
    audit_rate: f64,
    env: Env<'_>,
    problems: &mut Problems<'_>,
) -> Option<Judge> {
    let raw = raw?;
    let model = text(&raw.model, env, problems)?;
    let known = models.iter().find(|held| *held.name == *model).map(|held| held.name.clone());
    if known.is_none() {
        let names: Vec<_> = models.iter().map(|model| format!("{:?}", &*model.name)).collect();
        let what = format!("the judge is none of [[models]]: there are {}", names.join(", "));
        problems.absent(Some(raw.model.span()), what);
    }
    let rubric = raw.rubric.as_ref().and_then(|place| {
        let rubric = text(place, env, problems)?;
        if rubric.trim().is_empty() {
            problems
                .add(Some(place.span()), "rubric must say when an answer satisfies; leave it out for the usual one");
        }
        Some(rubric)
    });
    let positive = |usd: f64| usd > 0.0 && usd <= 1e9;
    Some(Judge {
        model: known?,
        rubric: rubric.unwrap_or_else(|| RUBRIC.to_owned()),
        counts_as: counts_as(&raw, audit_rate, env, problems),
        usd_per_day: number(Some(raw.usd_per_day), 0.0, positive, "above 0 and at most 1000000000", problems),
        timeout: seconds(raw.timeout_s, TIMEOUT_S, problems),
        max_concurrency: count(raw.max_concurrency, CONCURRENCY, problems) as usize,
        queue: count(raw.queue, QUEUE, problems) as usize,
    })
}

fn counts_as(raw: &raw::Judge, audit_rate: f64, env: Env<'_>, problems: &mut Problems<'_>) -> VerdictUse {
    let word = raw.counts_as.as_ref().and_then(|place| Some((text(place, env, problems)?, place.span())));
    let share = |share: f64| share > 0.0 && share <= 1.0;
    let rate = number(raw.rate.clone(), 1.0, share, "above 0 and at most 1", problems);
    match &word {
        None => {}
        Some((word, _)) if word == "prediction" => {}
        Some((word, span)) if word == "audit" => {
            if let Some(rate) = &raw.rate {
                let what = "rate is for counts_as = \"prediction\": what is audited is drawn by feedback.audit_rate";
                problems.add(Some(rate.span()), what);
            }
            if audit_rate <= 0.0 {
                let what = "the judge would have nothing to audit: set feedback.audit_rate, as in audit_rate = 0.02";
                problems.absent(Some(span.clone()), what);
            }
            return VerdictUse::Audit;
        }
        Some((_, span)) => problems.add(Some(span.clone()), "counts_as is \"prediction\" or \"audit\""),
    }
    VerdictUse::Prediction { rate }
}
