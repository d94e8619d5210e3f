//! Thumbs of chat programs: Open WebUI, LibreChat, Chainlit. Each names the message that was rated.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::items::read;
use super::word::{given, thumb};
use crate::api::feedback::given::Given;
use crate::error::ApiError;

/// A rating as Open WebUI's pages send it, and as its exports have it. Beside it there may be the whole chat.
#[derive(Deserialize)]
struct Evaluation<'a> {
    #[serde(borrow)]
    data: Option<EvaluationData<'a>>,
    meta: Option<EvaluationMeta>,
}

#[derive(Deserialize)]
struct EvaluationData<'a> {
    #[serde(borrow)]
    rating: Option<&'a RawValue>,
    comment: Option<String>,
}

#[derive(Deserialize)]
struct EvaluationMeta {
    message_id: Option<String>,
}

/// A thumb as LibreChat's pages send it, and as its server answers them.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct MessageFeedback<'a> {
    message_id: Option<String>,
    #[serde(borrow)]
    feedback: Option<MessageThumb<'a>>,
}

#[derive(Deserialize)]
struct MessageThumb<'a> {
    #[serde(borrow)]
    rating: Option<&'a RawValue>,
    text: Option<String>,
}

/// A thumb as Chainlit's pages send it, or by itself, as its data layers get it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StepFeedback<'a> {
    #[serde(borrow)]
    feedback: Option<&'a RawValue>,
    for_id: Option<String>,
    #[serde(borrow)]
    value: Option<&'a RawValue>,
    comment: Option<String>,
}

/// Open WebUI's: 1 or −1. Without a number nothing was rated.
pub(super) fn open_webui(item: &RawValue) -> Result<Option<Given>, ApiError> {
    let Evaluation { data, meta } = read(item.get().as_bytes())?;
    let message = meta.and_then(|meta| meta.message_id);
    let Some(EvaluationData { rating: Some(rating), comment }) = data else { return Ok(None) };
    given("meta.message_id", message.as_deref(), Some(thumb("data.rating", Some(rating))?), comment).map(Some)
}

/// LibreChat's: `thumbsUp`, `thumbsDown`, or nothing for a thumb that was taken back. `message`: as the path names it.
pub(super) fn librechat(item: &RawValue, message: Option<&str>) -> Result<Option<Given>, ApiError> {
    let MessageFeedback { message_id, feedback } = read(item.get().as_bytes())?;
    let message = message.or(message_id.as_deref());
    let (rating, text) = feedback.map_or((None, None), |thumb| (thumb.rating, thumb.text));
    let rating = rating.map(|rating| thumb("feedback.rating", Some(rating))).transpose()?;
    given("messageId", message, rating, text).map(Some)
}

/// Chainlit's: 1 or 0.
pub(super) fn chainlit(item: &RawValue) -> Result<Option<Given>, ApiError> {
    let mut step: StepFeedback<'_> = read(item.get().as_bytes())?;
    if let Some(inner) = step.feedback {
        step = read(inner.get().as_bytes())?;
    }
    given("forId", step.for_id.as_deref(), Some(thumb("value", step.value)?), step.comment).map(Some)
}
