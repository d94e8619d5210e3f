//! One decision explained: what was known, what came of it, what would have had to be otherwise. All numbers are those of the log;
//! what stands in no row is read off the state of that moment, which is made again from the log.

mod explanation;
mod price;
mod replay;
mod words;

use slarouter_core::{Candidate, DecisionId, PolicySpec, told_usd};
use slarouter_store::{DecisionHistory, LoggedFeedback, OutcomeRecord, Store};

use crate::learning::LearningError;
use crate::logged_route::LoggedRoute;
pub use explanation::{ExplainedCandidate, ExplainedOutcome, Explanation, Word, WouldWin};
use price::Ranking;
use replay::Remade;
pub use replay::{Replay, Then};

/// Explains a decision of the log. `seed` is `server.seed`, from which the draw is made again; at most `most_events` events are
/// replayed for the state of that moment.
///
/// # Errors
/// If the log cannot be read, or holds a configuration that this release cannot.
pub async fn explain(
    store: &dyn Store,
    id: DecisionId,
    seed: u64,
    most_events: u64,
) -> Result<Option<Explanation>, LearningError> {
    let Some(history) = store.history(id).await? else { return Ok(None) };
    let configured: Option<LoggedRoute> = history.configuration.as_deref().map(serde_json::from_str).transpose()?;
    let remade = replay::remake(store, &history.decision, seed, most_events).await?;
    Ok(Some(explained(history, configured.as_ref(), remade)))
}

fn explained(history: DecisionHistory, configured: Option<&LoggedRoute>, remade: Remade) -> Explanation {
    let DecisionHistory { decision: stored, outcome, feedback, .. } = history;
    let (record, decision) = (&stored.record, &stored.record.decision);
    let certified = configured.is_some_and(|route| matches!(route.spec.policy, PolicySpec::Certified(_)));
    let ranking = Ranking::of(decision, remade.price).filter(|_| certified);
    let candidate = |(place, candidate): (usize, &Candidate)| ExplainedCandidate {
        model: candidate.model.clone(),
        probability: candidate.probability,
        planned: decision.is_observed().then_some(candidate.planned),
        satisfaction: candidate.satisfaction,
        satisfaction_error: remade.errors.as_ref().and_then(|errors| errors.get(place).copied()),
        cost_usd: told_usd(candidate.cost),
        saving_usd: told_usd(candidate.saving),
        score: candidate.score,
        excluded: candidate.excluded,
        would_win: ranking.as_ref().and_then(|ranking| ranking.would_win(candidate)),
    };
    let choice = decision.choice();
    let mut explanation = Explanation {
        sentence: String::new(),
        id: record.id,
        seq: stored.seq,
        time_ms: record.time.0,
        route: record.route.clone(),
        alpha: configured.map(|route| route.spec.alpha.get()),
        trace_id: record.trace.as_ref().map(ToString::to_string),
        reason: decision.reason,
        chosen: choice.model.clone(),
        answered: stored.rerouted.clone().unwrap_or_else(|| choice.model.clone()),
        propensity: choice.probability,
        input_tokens: record.input_tokens,
        state_seq: record.state_seq,
        satisfaction_price_usd: ranking.as_ref().map(|ranking| told_usd(ranking.price)),
        candidates: decision.candidates.iter().enumerate().map(candidate).collect(),
        then: remade.then,
        replay: remade.replay,
        outcome: outcome.map(ended),
        audit: record.audit,
        feedback: feedback.into_iter().map(word).collect(),
    };
    let fallback = record.fallback.and_then(|place| decision.candidates.get(place)).map(|candidate| &*candidate.model);
    explanation.sentence = words::sentence(&explanation, ranking.as_ref(), fallback);
    explanation
}

fn ended(outcome: OutcomeRecord) -> ExplainedOutcome {
    ExplainedOutcome {
        status: outcome.status,
        ok: outcome.ok,
        attempts: outcome.attempts,
        cost_usd: told_usd(outcome.cost),
        input_tokens: outcome.input_tokens,
        output_tokens: outcome.output_tokens,
        latency_ms: outcome.latency_ms,
        ttft_ms: outcome.ttft_ms,
        error: outcome.error,
    }
}

fn word(logged: LoggedFeedback) -> Word {
    Word {
        time_ms: logged.time.0,
        source: logged.source.as_str(),
        rating: logged.rating,
        receipt: logged.receipt.as_str(),
        comment: logged.comment,
    }
}

#[cfg(test)]
mod tests;
