//! Scores of Langfuse and LangSmith. An application may score an answer for many things, so only scores of the names that mean
//! satisfaction count.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::items::{List, read};
use super::word::{Word, given, thumb};
use crate::api::feedback::given::Given;
use crate::error::ApiError;

/// What Langfuse calls the creation of a score among its events.
const CREATION: &str = "score-create";
/// What LangSmith calls feedback that a model has given.
const MODEL: &str = "model";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Score<'a> {
    trace_id: Option<String>,
    name: Option<String>,
    #[serde(borrow)]
    value: Option<&'a RawValue>,
    comment: Option<String>,
    #[serde(borrow)]
    metadata: Option<&'a RawValue>,
}

/// What LibreChat says of the message beside a score: its trace's id is a hash of it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ScoredMessage {
    message_id: Option<String>,
}

#[derive(Deserialize)]
struct Batch<'a> {
    #[serde(borrow)]
    batch: List<'a>,
}

#[derive(Deserialize)]
struct IngestionEvent<'a> {
    id: Option<String>,
    r#type: Option<String>,
    #[serde(borrow)]
    body: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct RunFeedback<'a> {
    run_id: Option<String>,
    trace_id: Option<String>,
    key: Option<String>,
    #[serde(borrow)]
    score: Option<&'a RawValue>,
    #[serde(borrow)]
    value: Option<&'a RawValue>,
    comment: Option<String>,
    feedback_source: Option<FeedbackSource>,
}

#[derive(Deserialize)]
struct FeedbackSource {
    r#type: Option<String>,
}

/// Langfuse's, of a trace.
pub(super) fn langfuse(item: &RawValue, names: &[String]) -> Result<Option<Given>, ApiError> {
    scored(item, names, "traceId", |score| score.trace_id.clone())
}

/// LibreChat's, in the form of Langfuse, of a message.
pub(super) fn of_message(item: &RawValue, names: &[String]) -> Result<Option<Given>, ApiError> {
    scored(item, names, "metadata.messageId", |score| {
        serde_json::from_str::<ScoredMessage>(score.metadata?.get()).ok()?.message_id
    })
}

/// A score of what `id` finds in it, at `place`.
fn scored(
    item: &RawValue,
    names: &[String],
    place: &'static str,
    id: impl FnOnce(&Score<'_>) -> Option<String>,
) -> Result<Option<Given>, ApiError> {
    let score: Score<'_> = read(item.get().as_bytes())?;
    if !counted(score.name.as_deref(), names) {
        return Ok(None);
    }
    let rating = thumb("value", score.value)?;
    given(place, id(&score).as_deref(), Some(rating), score.comment).map(Some)
}

/// Events for Langfuse's ingestion, of which those that create scores are read.
pub(super) fn ingested(body: &[u8], names: &[String]) -> Result<Vec<Word>, ApiError> {
    let Batch { batch: List(events) } = read(body)?;
    let word = |event: &&RawValue| match read::<IngestionEvent<'_>>(event.get().as_bytes()) {
        Ok(IngestionEvent { id, r#type: Some(kind), body: Some(score) }) if kind == CREATION => {
            Word { id, given: langfuse(score, names) }
        }
        Ok(IngestionEvent { id, .. }) => Word { id, given: Ok(None) },
        Err(error) => Word { id: None, given: Err(error) },
    };
    Ok(events.iter().map(word).collect())
}

/// LangSmith's, of a run. What a model says is no user's word.
pub(super) fn langsmith(item: &RawValue, names: &[String]) -> Result<Option<Given>, ApiError> {
    let feedback: RunFeedback<'_> = read(item.get().as_bytes())?;
    let by_model = feedback.feedback_source.and_then(|source| source.r#type).is_some_and(|kind| kind == MODEL);
    if by_model || !counted(feedback.key.as_deref(), names) {
        return Ok(None);
    }
    let rating = thumb("score", feedback.score.or(feedback.value))?;
    let run = feedback.run_id.or(feedback.trace_id);
    given("run_id", run.as_deref(), Some(rating), feedback.comment).map(Some)
}

fn counted(name: Option<&str>, names: &[String]) -> bool {
    name.is_some_and(|name| names.iter().any(|counted| counted == name))
}
