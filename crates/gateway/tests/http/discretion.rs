//! What of an upstream's answer is the client's business, and what of its words is kept.

use serde_json::json;
use slarouter_testkit::Script;

use crate::setup::{Rig, Settings, chunk};

#[tokio::test]
async fn limits_and_ids_of_the_provider_pass_and_whose_account_it_is_does_not() {
    let pass = [
        ("x-ratelimit-remaining-requests", "9"),
        ("anthropic-ratelimit-tokens-reset", "2026-11-29T00:00:00Z"),
        ("openai-processing-ms", "12"),
        ("retry-after-ms", "5"),
        ("apim-request-id", "a-1"),
        ("cf-ray", "c-1"),
    ];
    let stay = [
        ("openai-organization", "our-company"),
        ("openai-project", "our-project"),
        ("anthropic-organization-id", "our-company"),
        ("set-cookie", "session=1"),
        ("server", "provider"),
        ("x-slarouter-cost-usd", "0"),
        ("strict-transport-security", "max-age=1"),
        ("access-control-allow-origin", "*"),
        ("alt-svc", "h3"),
        ("x-anything", "else"),
    ];
    let choice = json!({ "index": 0, "message": { "role": "assistant", "content": "x" }, "finish_reason": "stop" });
    let plain =
        Script::json(200, &json!({ "id": "up", "object": "chat.completion", "model": "x", "choices": [choice] }));
    let streamed = Script::event_stream().chunk(chunk("x", Some("stop"))).chunk("data: [DONE]\n\n".to_owned()).end();
    let rig = Rig::start(&Settings::default()).await;
    for (stream, script) in [(false, plain), (true, streamed)] {
        let all = pass.iter().chain(&stay).chain(&[("x-request-id", "theirs-1")]);
        rig.upstream.script(all.fold(script, |script, (name, value)| script.header(name, value)));
        let answer = rig.ask(stream).await;
        assert_eq!(answer.status(), 200);
        let headers = answer.headers();
        for (name, value) in pass {
            assert_eq!(headers.get(name).map(|found| found.to_str().unwrap()), Some(value), "{name}");
        }
        for (name, value) in stay {
            assert_ne!(headers.get(name).and_then(|found| found.to_str().ok()), Some(value), "{name}");
        }
        assert!(headers["x-request-id"].to_str().unwrap().starts_with("chatcmpl-"));
        assert_eq!(headers["x-slarouter-upstream-request-id"], "theirs-1");
    }
    rig.stop().await;
}

#[tokio::test]
async fn of_an_upstreams_words_no_more_than_two_kilobytes_are_kept() {
    let rig = Rig::start(&Settings::default()).await;
    let said = json!({ "error": { "message": format!("the prompt was: {}", "ä".repeat(100_000)) } });
    rig.upstream.script(Script::event_stream().chunk(chunk("x", None)).chunk(format!("data: {said}\n\n")).end());
    rig.ask(true).await.bytes().await.unwrap();
    let left = rig.stop().await;
    let [outcome] = &left.outcomes[..] else { panic!("{:?}", left.outcomes.len()) };
    let kept = outcome.error.as_deref().unwrap();
    assert!(kept.contains("the prompt was") && (2_040..=2_048).contains(&kept.len()), "{}", kept.len());
}
