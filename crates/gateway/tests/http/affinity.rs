//! Conversations stay on their model.

use serde_json::{Value, json};
use slarouter_core::Reason;
use slarouter_store::Event;
use slarouter_testkit::Script;

use crate::setup::{Rig, Settings};

/// Drawn anew each time, if nothing holds a conversation.
const RANDOM: &str = "policy = \"random\"";

fn turn(talk: usize, turn: usize) -> Value {
    let mut messages = vec![json!({ "role": "user", "content": format!("talk {talk}") })];
    for n in 0..turn {
        messages.push(json!({ "role": "assistant", "content": format!("answer {n}") }));
        messages.push(json!({ "role": "user", "content": format!("and {n}?") }));
    }
    json!({ "model": "auto", "messages": messages })
}

async fn asked(request: reqwest::RequestBuilder) -> (String, String) {
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
    (header("x-slarouter-model"), header("x-slarouter-decision"))
}

#[tokio::test]
async fn later_turns_go_to_the_model_of_the_first_and_are_logged_as_not_drawn() {
    let rig = Rig::start(&Settings { route: Some(RANDOM), ..Settings::default() }).await;
    let mut firsts = Vec::new();
    for talk in 0..12 {
        let (first, reason) = asked(rig.post(&turn(talk, 0))).await;
        assert_eq!(reason, "explore");
        for later in 1..3 {
            assert_eq!(asked(rig.post(&turn(talk, later))).await, (first.clone(), "affinity".to_owned()));
        }
        firsts.push(first);
    }
    assert!(["small", "large"].iter().all(|model| firsts.iter().any(|first| first == model)), "{firsts:?}");
    let left = rig.stop().await;
    let mut followed = 0;
    for event in &left.events {
        if let Event::Decided { decision, .. } = event
            && decision.reason == Reason::Affinity
        {
            followed += 1;
            assert_eq!(decision.propensity(), 1.0);
            assert_eq!(decision.candidates.iter().map(|c| c.probability).sum::<f64>(), 1.0);
        }
    }
    assert_eq!(followed, 24);
}

#[tokio::test]
async fn a_named_session_is_followed_whatever_is_said_in_it() {
    let rig = Rig::start(&Settings { route: Some(RANDOM), ..Settings::default() }).await;
    let (first, _) = asked(rig.post(&turn(0, 0)).header("x-slarouter-session", "s-1")).await;
    for talk in 1..12 {
        let (model, reason) = asked(rig.post(&turn(talk, 0)).header("x-slarouter-session", "s-1")).await;
        assert_eq!((&model, &*reason), (&first, "affinity"));
    }
    rig.stop().await;
}

#[tokio::test]
async fn it_moves_with_the_model_that_answers_and_not_at_all_where_that_is_turned_off() {
    let rig = Rig::start(&Settings { upstream: "retries = 0\nbreaker_failures = 0", ..Settings::default() }).await;
    assert_eq!(asked(rig.post(&turn(0, 0))).await.0, "small");
    rig.upstream.script(Script::bare().cut());
    assert_eq!(asked(rig.post(&turn(0, 1))).await, ("large".to_owned(), "rerouted".to_owned()));
    assert_eq!(asked(rig.post(&turn(0, 2))).await, ("large".to_owned(), "affinity".to_owned()));
    rig.stop().await;

    let none = Settings { route: Some("policy = \"random\"\naffinity = \"none\""), ..Settings::default() };
    let rig = Rig::start(&none).await;
    for later in 0..4 {
        assert_eq!(asked(rig.post(&turn(0, later))).await.1, "explore");
    }
    rig.stop().await;
}

/// A turn of Claude Code's: another mark of the provider's bookkeeping and another place of the cache mark in each.
fn agent_turn(n: usize, user_id: &str) -> Value {
    let mark = |text: &str| json!({ "type": "text", "text": text, "cache_control": { "type": "ephemeral" } });
    let plain = |text: &str| json!({ "type": "text", "text": text });
    let billing = plain(&format!("x-anthropic-billing-header: cc_version=2.1.0; cch={n:05x};"));
    let mut messages =
        vec![json!({ "role": "user", "content": [if n == 0 { mark("fix it") } else { plain("fix it") }] })];
    for turn in 0..n {
        messages.push(json!({ "role": "assistant", "content": format!("answer {turn}") }));
        messages
            .push(json!({ "role": "user", "content": [if turn + 1 == n { mark("go on") } else { plain("go on") }] }));
    }
    let system = json!([billing, if n == 0 { plain("You are an agent.") } else { mark("You are an agent.") }]);
    json!({ "model": "auto", "max_tokens": 9, "system": system, "messages": messages, "metadata": { "user_id": user_id } })
}

#[tokio::test]
async fn the_turns_of_a_coding_agent_belong_together() {
    let rig = Rig::start(&Settings { route: Some(RANDOM), ..Settings::default() }).await;
    let post = |body: &Value| rig.client.post(rig.url("/v1/messages")).json(body);
    for talk in 0..8 {
        // By its opening alone, by the header, and by either form of the user's id.
        let session = format!("{talk}-c0ffee");
        for (header, user_id) in [
            (None, "u".to_owned()),
            (Some(&session), "u".to_owned()),
            (None, format!("user_1f_account__session_{session}")),
            (None, format!("{{\"device_id\":\"d\",\"session_id\":\"{session}\"}}")),
        ] {
            let ask = |n: usize| {
                let request = post(&agent_turn(n, &user_id));
                header.iter().fold(request, |request, value| request.header("x-claude-code-session-id", *value))
            };
            let (first, _) = asked(ask(0)).await;
            for n in 1..3 {
                assert_eq!(asked(ask(n)).await, (first.clone(), "affinity".to_owned()), "{header:?} {user_id}");
            }
        }
    }
    // What is new in each request would keep another provider from reading its cache.
    assert!(rig.upstream.requests().iter().all(|request| !request.json().to_string().contains("billing")));
    rig.stop().await;
}

#[tokio::test]
async fn an_agents_session_goes_on_after_it_was_compacted_and_others_in_it_stay_apart() {
    let rig = Rig::start(&Settings { route: Some(RANDOM), ..Settings::default() }).await;
    let ask = |header: &'static str, system: &str, text: &str| {
        let messages = json!([{ "role": "system", "content": system }, { "role": "user", "content": text }]);
        asked(rig.post(&json!({ "model": "auto", "messages": messages })).header(header, "s-1"))
    };
    for header in ["x-claude-code-session-id", "session-id", "session_id"] {
        let (first, _) = ask(header, header, "a long story").await;
        assert_eq!(ask(header, header, "what was said so far").await, (first, "affinity".to_owned()), "{header}");
        assert_eq!(ask(header, &format!("titles {header}"), "a long story").await.1, "explore", "{header}");
    }
    rig.stop().await;
}
