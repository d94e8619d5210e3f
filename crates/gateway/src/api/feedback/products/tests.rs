use serde_json::{Value, json};
use slarouter_core::{Rater, Rating, Source};
use slarouter_store::TraceId;

use super::*;
use crate::api::feedback::given::About;

fn names() -> Vec<String> {
    vec!["user-feedback".to_owned()]
}

/// What is read of a word: its id and its rating, `None` if it does not count, or the place of what is wrong.
type Told = Result<Option<(String, Option<f64>)>, String>;

/// What is read of each word of a body.
fn told(product: &str, path: &str, body: &Value) -> Vec<Told> {
    let reading = read(product, path, body.to_string().as_bytes(), &names()).unwrap();
    let say = |given: Given| {
        let About::Trace(trace) = given.about else { panic!("an id of ours") };
        assert_eq!((given.source, given.rater), (Source::User, Rater(0)));
        (TraceId::to_string(&trace), given.rating.map(Rating::get))
    };
    let place = |error: ApiError| error.place.unwrap_or_else(|| error.param.unwrap_or_default().to_owned());
    reading.words.into_iter().map(|word| word.given.map(|given| given.map(say)).map_err(place)).collect()
}

fn counts(trace: &str, rating: Option<f64>) -> Vec<Told> {
    vec![Ok(Some((trace.to_owned(), rating)))]
}

#[test]
fn open_webui_names_the_message_in_its_meta() {
    let sent = |rating: Value| {
        json!({ "type": "rating", "data": { "rating": rating, "model_id": "auto", "reason": "", "comment": "" },
            "meta": { "model_id": "auto", "message_id": "m-1", "message_index": 2, "chat_id": "c-1" },
            "snapshot": { "chat": { "id": "c-1", "chat": { "history": {} } } } })
    };
    let path = "api/v1/evaluations/feedback";
    assert_eq!(told("open-webui", path, &sent(json!(1))), counts("m-1", Some(1.0)));
    assert_eq!(told("open-webui", &format!("{path}/f-1"), &sent(json!(-1))), counts("m-1", Some(0.0)));
    // As it exports them.
    let exported =
        json!([sent(json!(1)), sent(json!(null)), { "type": "rating", "data": { "rating": 1 }, "meta": null }]);
    let expected = [counts("m-1", Some(1.0)), vec![Ok(None)], vec![Err("meta.message_id".to_owned())]].concat();
    assert_eq!(told("open-webui", "", &exported), expected);
    assert_eq!(told("open-webui", "", &sent(json!(5))), [Err("data.rating".to_owned())]);
}

#[test]
fn librechat_names_the_message_in_the_path_or_beside_a_score() {
    let path = "api/messages/c-1/m-1/feedback";
    let thumb = json!({ "feedback": { "rating": "thumbsDown", "tag": "inaccurate", "text": "no" } });
    assert_eq!(told("librechat", path, &thumb), counts("m-1", Some(0.0)));
    assert_eq!(told("librechat", path, &json!({ "feedback": null })), counts("m-1", None));
    assert_eq!(told("librechat", path, &json!({})), counts("m-1", None), "a thumb that was taken back");
    let answered = json!({ "messageId": "m-2", "conversationId": "c-1", "feedback": { "rating": "thumbsUp" } });
    assert_eq!(told("librechat", "", &answered), counts("m-2", Some(1.0)));
    let score = json!({ "id": "feedback-4bf9", "traceId": "4bf9", "name": "user-feedback", "value": 1, "dataType": "BOOLEAN",
        "comment": "helpful \u{2014} nice", "metadata": { "messageId": "m-3", "conversationId": "c-1", "rating": "thumbsUp" } });
    assert_eq!(told("librechat", "api/public/scores", &score), counts("m-3", Some(1.0)));
    assert_eq!(told("librechat", "", &thumb), [Err("messageId".to_owned())]);
}

#[test]
fn chainlit_names_the_step() {
    let thumb = json!({ "forId": "s-1", "value": 0, "threadId": "t-1", "id": null, "comment": null });
    assert_eq!(told("chainlit", "", &thumb), counts("s-1", Some(0.0)));
    assert_eq!(told("chainlit", "feedback", &json!({ "feedback": thumb, "sessionId": "x" })), counts("s-1", Some(0.0)));
    assert_eq!(told("chainlit", "", &json!({ "forId": "s-1" })), [Err("value".to_owned())]);
}

#[test]
fn of_langfuses_scores_those_of_satisfaction_count() {
    let score = |name: &str, value: Value| json!({ "id": "1", "traceId": "4bf9", "name": name, "value": value, "metadata": "any" });
    let scores =
        json!([score("user-feedback", json!(1)), score("toxicity", json!(0)), score("user-feedback", json!(4)), 7]);
    let expected = [counts("4bf9", Some(1.0)), vec![Ok(None), Err("value".to_owned()), Err(String::new())]].concat();
    assert_eq!(told("langfuse", "api/public/scores", &scores), expected);
    let event =
        |kind: &str| json!({ "id": "e-1", "type": kind, "timestamp": "x", "body": score("user-feedback", json!(0)) });
    let batch = json!({ "batch": [event("score-create"), event("trace-create")], "metadata": { "batch_size": 2 } });
    let expected = [counts("4bf9", Some(0.0)), vec![Ok(None)]].concat();
    assert_eq!(told("langfuse", "api/public/ingestion", &batch), expected);
    let session = json!({ "sessionId": "s", "name": "user-feedback", "value": 1 });
    assert_eq!(told("langfuse", "", &session), [Err("traceId".to_owned())], "of a session, not of an answer");
}

#[test]
fn of_langsmiths_feedback_what_people_say_counts() {
    let feedback = |key: &str, source: &str| {
        json!({ "id": "1", "run_id": "r-1", "trace_id": "r-1", "key": key, "score": 1.0,
            "feedback_source": { "type": source, "metadata": {} } })
    };
    assert_eq!(told("langsmith", "feedback", &feedback("user-feedback", "api")), counts("r-1", Some(1.0)));
    assert_eq!(told("langsmith", "feedback", &feedback("correctness", "api")), [Ok(None)]);
    assert_eq!(told("langsmith", "feedback", &feedback("user-feedback", "model")), [Ok(None)]);
    let by_value = json!({ "trace_id": "r-2", "key": "user-feedback", "score": null, "value": false });
    assert_eq!(told("langsmith", "", &by_value), counts("r-2", Some(0.0)));
}

#[test]
fn what_cannot_be_read_is_refused_by_name() {
    let refused = |product: &str, path: &str, body: &str| {
        read(product, path, body.as_bytes(), &names()).map(|_| ()).map_err(|error| (error.status.as_u16(), error.code))
    };
    assert_eq!(refused("dify", "", "{}"), Err((404, "unknown_product")));
    assert_eq!(refused("langfuse", "api/public/otel/v1/traces", "{}"), Err((404, "unknown_path")));
    assert_eq!(refused("librechat", "api/messages/c-1/feedback", "{}"), Err((404, "unknown_path")));
    assert_eq!(refused("chainlit", "", "{"), Err((400, "invalid_json")));
    assert_eq!(refused("langfuse", "api/public/ingestion", "[]"), Err((400, "invalid_json")));
    // A value that is a tree is not made one here.
    let deep = format!(r#"{{"forId":"s","value":{}1{}}}"#, "[".repeat(100), "]".repeat(100));
    assert_eq!(refused("chainlit", "", &deep), Ok(()));
    let error = read("chainlit", "", deep.as_bytes(), &names()).unwrap().words.remove(0).given.map(|_| ()).unwrap_err();
    assert_eq!(error.code, "invalid_rating");
    let odd = told("langfuse", "", &json!({ "traceId": "a b", "name": "user-feedback", "value": 1 }));
    assert_eq!(odd, [Err("traceId".to_owned())]);
}

#[test]
fn a_password_is_a_key() {
    let of = |value: &str| {
        let headers = HeaderMap::from_iter([(header::AUTHORIZATION, HeaderValue::from_str(value).unwrap())]);
        password(&headers).map(|key| key.to_str().unwrap().to_owned())
    };
    assert_eq!(of(&format!("Basic {}", BASE64.encode(b"public:sl-1:2"))).as_deref(), Some("sl-1:2"));
    assert_eq!(of(&format!("basic {}", BASE64.encode(b":k"))).as_deref(), Some("k"));
    for wrong in ["Basic", "Basic !", "Bearer cHVibGljOms=", &format!("Basic {}", BASE64.encode(b"no colon"))] {
        assert_eq!(of(wrong), None, "{wrong}");
    }
}
