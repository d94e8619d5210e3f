//! `/v1/feedback/{product}`: feedback as other products send it, at their own paths below this one.

mod chats;
mod items;
mod reply;
mod scores;
#[cfg(test)]
mod tests;
mod word;

use std::sync::Arc;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::{Path, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use data_encoding::BASE64;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde_json::value::RawValue;

use super::given::Given;
use super::{Recorded, count, record};
use crate::admission::auth::Caller;
use crate::app::App;
use crate::error::ApiError;
use items::Items;
use reply::{Form, Reply};
use word::Word;

const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// Whose feedback is understood, by the names that stand in the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Product {
    OpenWebUi,
    LibreChat,
    Chainlit,
    Langfuse,
    LangSmith,
}

const PRODUCTS: [(&str, Product); 5] = [
    ("open-webui", Product::OpenWebUi),
    ("librechat", Product::LibreChat),
    ("chainlit", Product::Chainlit),
    ("langfuse", Product::Langfuse),
    ("langsmith", Product::LangSmith),
];

/// What stands in a body, and in which form its sender is answered.
struct Reading {
    words: Vec<Word>,
    form: Form,
}

/// Rates answers in the form of another product
///
/// `open-webui`, `librechat`, `chainlit`, `langfuse` or `langsmith`: one rating, or a list of at most 100.
#[utoipa::path(
    method(post, put), path = "/v1/feedback/{product}", tag = "Decisions",
    params(("product" = String, Path, description = "`open-webui`, `librechat`, `chainlit`, `langfuse` or `langsmith`")),
    request_body = Object,
    responses(
        (status = 202, description = "All are on disk", body = Object),
        (status = 207, description = "Some are", body = Object),
        (status = "4XX", body = crate::api::openapi::ErrorBody),
        (status = 503, body = crate::api::openapi::ErrorBody),
    ),
)]
pub(crate) async fn whole(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    Path(product): Path<String>,
    body: Bytes,
) -> Response {
    answer(&app, &caller, (&product, ""), &body).await.unwrap_or_else(ApiError::into_response)
}

/// Rates answers at a path of another product's own
///
/// So that a product's SDK or a proxy that mirrors its requests can send them as they are.
#[utoipa::path(
    method(post, put), path = "/v1/feedback/{product}/{*path}", tag = "Decisions",
    params(
        ("product" = String, Path, description = "`open-webui`, `librechat`, `chainlit`, `langfuse` or `langsmith`"),
        ("path" = String, Path, description = "As the product has it, such as `api/public/scores`"),
    ),
    request_body = Object,
    responses(
        (status = 202, description = "All are on disk", body = Object),
        (status = 207, description = "Some are", body = Object),
        (status = "4XX", body = crate::api::openapi::ErrorBody),
        (status = 503, body = crate::api::openapi::ErrorBody),
    ),
)]
pub(crate) async fn mirrored(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    Path((product, path)): Path<(String, String)>,
    body: Bytes,
) -> Response {
    answer(&app, &caller, (&product, &path), &body).await.unwrap_or_else(ApiError::into_response)
}

/// Takes the password of the scheme `Basic` for the key, as Langfuse's SDKs have no other place for one.
pub(crate) async fn with_basic(mut request: Request, next: Next) -> Response {
    if let Some(key) = password(request.headers()) {
        request.headers_mut().remove(header::AUTHORIZATION);
        request.headers_mut().insert(API_KEY, key);
    }
    next.run(request).await
}

fn password(headers: &HeaderMap) -> Option<HeaderValue> {
    let (scheme, credentials) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    let pair = BASE64.decode(credentials.trim().as_bytes()).ok().filter(|_| scheme.eq_ignore_ascii_case("basic"))?;
    let colon = pair.iter().position(|byte| *byte == b':')?;
    let mut key = HeaderValue::from_bytes(&pair[colon + 1..]).ok()?;
    key.set_sensitive(true);
    Some(key)
}

async fn answer(app: &App, caller: &Caller, (product, path): (&str, &str), body: &[u8]) -> Result<Response, ApiError> {
    count(app, caller)?;
    let Reading { words, form } = read(product, path, body, &app.config.score_names)?;
    let mut reply = Reply::new(form);
    for (place, Word { id, given }) in words.into_iter().enumerate() {
        let entered = enter(app, caller, place > 0, given).await;
        match entered {
            // Its sender is to send all of them again: those that are entered are then known.
            Err(error) if error.retry_after.is_some() => return Err(error),
            entered => reply.add(id, entered),
        }
    }
    reply.finish()
}

/// Enters one word, if it says anything of satisfaction; each but the first, which has been counted, counts as a request of its key.
async fn enter(
    app: &App,
    caller: &Caller,
    counts: bool,
    given: Result<Option<Given>, ApiError>,
) -> Result<Option<Recorded>, ApiError> {
    if counts {
        count(app, caller)?;
    }
    match given? {
        Some(given) => record(app, caller, given).await.map(Some),
        None => Ok(None),
    }
}

/// Reads a body that came for a path of a product.
fn read(product: &str, path: &str, body: &[u8], names: &[String]) -> Result<Reading, ApiError> {
    let Some((_, found)) = PRODUCTS.into_iter().find(|(name, _)| *name == product) else {
        let known: Vec<_> = PRODUCTS.iter().map(|(name, _)| format!("`{name}`")).collect();
        let message = format!("there is no feedback in the form of {product:?}: there are {}", known.join(", "));
        return Err(ApiError::invalid("", "unknown_product", message).with_status(StatusCode::NOT_FOUND));
    };
    let path = path.trim_end_matches('/');
    match (found, path) {
        (Product::OpenWebUi, "") => each(body, chats::open_webui),
        (Product::OpenWebUi, _) if below(path, "api/v1/evaluations/feedback") => each(body, chats::open_webui),
        (Product::LibreChat, "") => each(body, |item| chats::librechat(item, None)),
        (Product::LibreChat, "api/public/scores") => each(body, |item| scores::of_message(item, names)),
        (Product::LibreChat, _) if message(path).is_some() => each(body, |item| chats::librechat(item, message(path))),
        (Product::Chainlit, "" | "feedback") => each(body, chats::chainlit),
        (Product::Langfuse, "" | "api/public/scores") => each(body, |item| scores::langfuse(item, names)),
        (Product::Langfuse, "api/public/ingestion") => {
            Ok(Reading { words: scores::ingested(body, names)?, form: Form::Ingestion })
        }
        (Product::LangSmith, "" | "feedback" | "api/v1/feedback") => each(body, |item| scores::langsmith(item, names)),
        _ => {
            let message = format!("{path:?} is no path at which {product} sends feedback: docs/feedback.md has them");
            Err(ApiError::invalid("", "unknown_path", message).with_status(StatusCode::NOT_FOUND))
        }
    }
}

/// Reads the words of a body one by one, so that one that is wrong spoils no other.
fn each(body: &[u8], read: impl Fn(&RawValue) -> Result<Option<Given>, ApiError>) -> Result<Reading, ApiError> {
    let Items { listed, words } = Items::of(body)?;
    let words = words.into_iter().map(|item| Word { id: None, given: read(item) }).collect();
    Ok(Reading { words, form: if listed { Form::List } else { Form::One } })
}

fn below(path: &str, top: &str) -> bool {
    path.strip_prefix(top).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The message in LibreChat's path of its feedback.
fn message(path: &str) -> Option<&str> {
    let (_conversation, message) = path.strip_prefix("api/messages/")?.strip_suffix("/feedback")?.split_once('/')?;
    Some(message)
}
