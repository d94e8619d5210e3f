//! A decision in words.

use slarouter_core::{Reason, told_money, told_percent};

use super::explanation::{ExplainedOutcome, Explanation, Word};
use super::price::Ranking;

/// What happened: why the model, how it ended, what was said of it. `fallback`: the route's, if it is known.
pub(super) fn sentence(explained: &Explanation, ranking: Option<&Ranking>, fallback: Option<&str>) -> String {
    let mut text = choice(explained, ranking, fallback);
    if explained.answered != explained.chosen {
        text += &format!(" {} answered in its place.", explained.answered);
    }
    text += &match &explained.outcome {
        Some(outcome) => ending(outcome),
        None => " Its request has not ended yet.".to_owned(),
    };
    if let Some(word) = explained.feedback.last() {
        text += &rating(word, explained.feedback.len());
    }
    text
}

fn choice(explained: &Explanation, ranking: Option<&Ranking>, fallback: Option<&str>) -> String {
    let (model, probability) = (&explained.chosen, told_percent(explained.propensity));
    let Some(chosen) = explained.candidates.iter().find(|candidate| candidate.model == *model) else {
        return format!("{model} was chosen.");
    };
    let (satisfaction, cost) = (told_percent(chosen.satisfaction), told_money(chosen.cost_usd));
    if explained.reason != Reason::Affinity
        && let Some(told) = observed(explained, fallback)
    {
        return told;
    }
    match (explained.reason, ranking) {
        (Reason::Pinned, _) => format!("The client named {model}, so there was nothing to decide."),
        (Reason::Affinity, _) => format!("The conversation was with {model} and stayed there; nothing was drawn."),
        (Reason::Fallback, _) => {
            format!("{}: there was too little evidence to choose by.", served(model, fallback))
        }
        (Reason::Explore, Some(ranking)) if ranking.best != *model => {
            format!("{model} was drawn with a probability of {probability}; {} had the best balance.", ranking.best)
        }
        (Reason::Explore, _) => format!("{model} was drawn with a probability of {probability}, to learn."),
        (Reason::Exploit, Some(ranking)) if ranking.best == *model => format!(
            "{model} had the best balance: {satisfaction} predicted satisfaction for {cost}, while a satisfied answer was worth {}.",
            told_money(ranking.price)
        ),
        (Reason::Exploit, Some(ranking)) if chosen.cost_usd > ranking.best_cost() => format!(
            "{model} was kept as the fallback: {} had the better balance, but what it might lose was not known to be made good.",
            ranking.best
        ),
        (Reason::Exploit, Some(ranking)) => format!(
            "{model} was drawn with a probability of {probability}: a mix of it and {} meets the target at the least cost.",
            ranking.best
        ),
        (Reason::Exploit, None) => {
            format!("{model} was the choice of a policy that ranks by no price of satisfaction.")
        }
    }
}

/// What the plan would have drawn most likely, on a route that is only observed.
fn observed(explained: &Explanation, fallback: Option<&str>) -> Option<String> {
    let planned = explained.candidates.iter().filter_map(|candidate| Some((candidate.planned?, &candidate.model)));
    let (planned, model) = planned.max_by(|a, b| a.0.total_cmp(&b.0))?;
    let would = format!("{model} would have been drawn with a probability of {}", told_percent(planned));
    Some(match explained.reason {
        Reason::Explore => format!(
            "The route is only observed: {} was drawn with a probability of {}, to learn; {would}.",
            explained.chosen,
            told_percent(explained.propensity)
        ),
        _ => format!("The route is only observed, so {}; {would}.", served(&explained.chosen, fallback)),
    })
}

/// That a model served without having been chosen: as the fallback, or where that could not be asked.
fn served(model: &str, fallback: Option<&str>) -> String {
    match fallback {
        Some(fallback) if fallback != model => {
            format!("{model} served, as the fallback {fallback} was not to be asked")
        }
        _ => format!("{model} served as the fallback"),
    }
}

fn ending(outcome: &ExplainedOutcome) -> String {
    let cost = told_money(outcome.cost_usd);
    let calls = match outcome.attempts {
        0 | 1 => String::new(),
        calls => format!(" after {calls} calls"),
    };
    match (outcome.ok, outcome.status) {
        (true, _) => format!(" It was answered{calls} in {:.0} ms for {cost}.", outcome.latency_ms),
        (false, 499) => format!(" The client went away{calls}; {cost} were charged."),
        (false, status) => format!(" It failed{calls} with status {status}; {cost} were charged."),
    }
}

fn rating(word: &Word, count: usize) -> String {
    let who = match word.source {
        "audit" => "An auditor",
        "judge" => "The judge",
        _ => "A user",
    };
    let last = if count > 1 { " last" } else { "" };
    match word.rating {
        Some(rating) => format!(" {who}{last} gave it {rating}: {}.", word.receipt),
        None => format!(" {who}{last} withdrew a rating."),
    }
}
