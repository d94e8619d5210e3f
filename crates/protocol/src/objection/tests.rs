use serde_json::json;

use super::*;

fn read(status: u16, message: &str) -> Option<Objection> {
    let body = json!({ "error": { "message": message, "type": "invalid_request_error" } }).to_string();
    Objection::read(StatusCode::from_u16(status).unwrap(), body.as_bytes())
}

#[test]
fn too_long_is_told_with_its_limit() {
    for (message, most) in [
        (
            "This model's maximum context length is 4097 tokens, however you requested 5000 tokens (1000 in your prompt; 4000 for the completion).",
            Some(4_097),
        ),
        ("prompt is too long: 210000 tokens > 200000 maximum", Some(200_000)),
        ("The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).", Some(1_048_576)),
        ("The decoder prompt (length 9000) is longer than the maximum model length of 8192.", Some(8_192)),
        ("input length and `max_tokens` exceed context limit: 140000 + 64000 > 200000", Some(200_000)),
        (
            "'max_tokens' or 'max_completion_tokens' is too large: 500. This model's maximum context length is 8192 tokens and your request has 8000 input tokens",
            Some(8_192),
        ),
        ("the request exceeds the available context size, try increasing it", None),
        ("Please reduce the length of the messages or completion.", None),
    ] {
        assert_eq!(read(400, message), Some(Objection::TooLong(most)), "{message}");
    }
    let coded = json!({ "error": { "message": "no", "code": "context_length_exceeded" } }).to_string();
    assert_eq!(Objection::read(StatusCode::BAD_REQUEST, coded.as_bytes()), Some(Objection::TooLong(None)));
    assert_eq!(Objection::read(StatusCode::PAYLOAD_TOO_LARGE, b"<html>"), Some(Objection::Other));
}

#[test]
fn the_other_name_of_a_thing_is_learnt() {
    for (message, expected) in [
        (
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
            Objection::MaxCompletionTokens(true),
        ),
        ("Unrecognized request argument supplied: max_completion_tokens", Objection::MaxCompletionTokens(false)),
        ("max_completion_tokens is not supported, use max_tokens", Objection::MaxCompletionTokens(false)),
        ("messages[0].role: unknown variant `developer`, expected one of `system`, `user`", Objection::DeveloperRole),
        ("Unexpected role 'developer'", Objection::DeveloperRole),
        ("Input should be 'system', 'user' or 'assistant', got 'developer'", Objection::DeveloperRole),
    ] {
        assert_eq!(read(422, message), Some(expected), "{message}");
    }
}

#[test]
fn what_a_model_lacks_is_told_apart_from_what_is_wrong_with_this_one() {
    let lacks = |need| Some(Objection::Lacks(need));
    for (status, message, expected) in [
        (400, "Invalid content type. image_url is only supported by certain models.", lacks(Need::Image)),
        (400, "unknown variant `image_url`, expected `text`", lacks(Need::Image)),
        (404, "No endpoints found that support image input", None),
        (400, "m is not a multimodal model", lacks(Need::Image)),
        (400, "audio input is not supported", lacks(Need::Audio)),
        (400, "registry/gemma does not support tools", lacks(Need::Tools)),
        (400, "\"auto\" tool choice requires --enable-auto-tool-choice", lacks(Need::Tools)),
        (400, "This response_format type is unavailable now", lacks(Need::Schema)),
        (400, "unsupported image format: bmp", Some(Objection::Other)),
        (400, "images of this size are not supported", Some(Objection::Other)),
        (400, "Could not process image", None),
        (400, "Unrecognized request argument supplied: 'foo'", Some(Objection::Field("foo".into()))),
        (422, "property 'name' is unsupported", Some(Objection::Field("name".into()))),
        (400, "something is not supported", Some(Objection::Other)),
        (400, "unknown variant `stream`, expected `text`", Some(Objection::Other)),
        (
            400,
            "Invalid value: 'foo'. Supported values are: 'system', 'assistant', 'user', 'function', 'tool', and 'developer'.",
            None,
        ),
        (
            400,
            "max_tokens: 100000 > 8192, which is the maximum allowed number of output tokens",
            Some(Objection::Other),
        ),
        (400, "temperature must be at most 2", None),
        (400, "messages: at least one message is required", None),
        (401, "context length", None),
        (500, "unsupported", None),
    ] {
        assert_eq!(read(status, message), expected, "{message}");
    }
    for (message, expected) in
        [("Unsupported parameter", Objection::Field("temperature".into())), ("Unsupported value", Objection::Other)]
    {
        let named = json!({ "error": { "message": message, "param": "temperature" } }).to_string();
        assert_eq!(Objection::read(StatusCode::BAD_REQUEST, named.as_bytes()), Some(expected), "{message}");
    }
}

proptest::proptest! {
    #[test]
    fn any_refusal_can_be_read(status in 400_u16..600, body in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
        drop(Objection::read(StatusCode::from_u16(status).unwrap(), &body));
    }

    #[test]
    fn any_words_can_be_read(words in "[a-z' _]{0,60}(max_tokens|developer|context length|unsupported)[0-9a-zé' ]{0,40}") {
        let _ = read(400, &words);
    }
}
