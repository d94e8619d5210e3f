//! Prices: with dates, unknown, and of what a provider reads from its cache.

use std::collections::HashMap;
use std::time::SystemTime;

use serde_json::{Value, json};
use slarouter_config::utc;
use slarouter_core::{Context, Reason, Timestamp, decision_rng};
use slarouter_learner::Learning;
use slarouter_store::Event;
use slarouter_testkit::Script;

use crate::setup::{Rig, Settings, question, read, url, verified};

fn with_price(price: &str) -> Settings {
    Settings { small: format!("price = {price}").leak(), ..Settings::default() }
}

fn cost(answer: &reqwest::Response) -> Option<f64> {
    answer.headers().get("x-slarouter-cost-usd").map(|cost| cost.to_str().unwrap().parse().unwrap())
}

/// An answer to any chat, with this usage.
fn answer(usage: &Value) -> Script {
    let choice = json!({ "index": 0, "message": { "role": "assistant", "content": "hi" }, "finish_reason": "stop" });
    Script::json(200, &json!({ "id": "up", "object": "chat.completion", "choices": [choice], "usage": usage }))
}

fn near(found: f64, expected: f64) -> bool {
    (found - expected).abs() < 1e-12
}

#[expect(clippy::disallowed_methods, reason = "a date that is near to now")]
pub(crate) fn in_ms(ms: u64) -> Timestamp {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    Timestamp(now.as_millis() as u64 + ms)
}

/// 1458 tokens at 0.15 USD per million are 0.00021869999999999998 USD in binary fractions.
#[tokio::test]
async fn a_cost_is_told_without_the_noise_of_binary_fractions_wherever_it_is_told() {
    let rig = Rig::start(&with_price("{ input = 0.15, output = 0.6 }")).await;
    let usage = json!({ "prompt_tokens": 1458, "completion_tokens": 0 });
    rig.upstream.script(answer(&usage));
    let whole = rig.post(&question(false)).header("x-slarouter-metadata", "enabled").send().await.unwrap();
    assert_eq!(whole.headers()["x-slarouter-cost-usd"], "0.0002187");
    let choice = json!({ "index": 0, "delta": { "content": "hi" }, "finish_reason": "stop" });
    let chunk = json!({ "id": "up", "object": "chat.completion.chunk", "choices": [choice], "usage": usage });
    rig.upstream.script(Script::event_stream().chunk(format!("data: {chunk}\n\n")).chunk("data: [DONE]\n\n").end());
    let stream = rig.post(&question(true)).header("x-slarouter-metadata", "enabled").send().await.unwrap();
    for body in [whole.text().await.unwrap(), stream.text().await.unwrap()] {
        for told in ["\"cost\":0.0002187}", "\"cost_usd\":0.0002187,"] {
            assert!(body.contains(told), "{told} is not in {body}");
        }
        for number in body.split("_usd\":").skip(1).map(|rest| rest.split([',', '}']).next().unwrap()) {
            let digits = number.split('e').next().unwrap().bytes().filter(u8::is_ascii_digit);
            assert!(digits.skip_while(|digit| *digit == b'0').count() <= 12, "{number} in {body}");
        }
    }
    let decided = json!({ "input": "one two" });
    let decided = rig.client.post(rig.url("/v1/route")).json(&decided).send().await.unwrap();
    let id = decided.json::<Value>().await.unwrap()["id"].clone();
    let report = json!({ "id": id, "usage": usage });
    assert_eq!(rig.client.post(rig.url("/v1/outcomes")).json(&report).send().await.unwrap().status(), 202);
    let left = rig.stop().await;
    assert_eq!(left.outcomes.iter().map(|outcome| outcome.cost).collect::<Vec<_>>(), [0.000_218_7; 3]);
}

#[tokio::test]
async fn a_price_counts_from_its_date_on_for_bill_and_decision_without_a_restart() {
    let from = in_ms(1_500);
    let date = utc(from).replace('Z', &format!(".{:03}Z", from.0 % 1_000));
    let price = format!("[{{ input = 1, output = 2 }}, {{ from = \"{date}\", input = 100, output = 200 }}]");
    let rig = Rig::start(&with_price(&price)).await;
    let ask = async || {
        let request = rig.post(&question(false)).header("x-slarouter-metadata", "enabled");
        let body: Value = request.send().await.unwrap().json().await.unwrap();
        body["slarouter"]["candidates"][0]["predicted_cost_usd"].as_f64().unwrap()
    };
    // The length of an answer is learnt from one request to the next; a price has come where the prediction leaps.
    let (mut before, mut now, mut asked) = (f64::INFINITY, ask().await, 1);
    while now < 10.0 * before {
        (before, now, asked) = (now, ask().await, asked + 1);
        assert!(asked < 100_000, "the decisions never heard of the new price");
    }
    let left = rig.stop().await;
    let mut decided = HashMap::new();
    let (mut changes, mut old, mut new) = (Vec::new(), 0, 0);
    for event in &left.events {
        match event {
            Event::Configured { time, .. } => changes.push(*time),
            Event::Decided { id, time, .. } => {
                decided.insert(*id, *time);
            }
            Event::Finished { outcome, .. } => {
                let price = if decided[&outcome.decision] < from { 1.0 } else { 100.0 };
                *(if price == 1.0 { &mut old } else { &mut new }) += 1;
                assert!(near(outcome.cost, (12.0 + 4.0 * 2.0) * price / 1e6), "{outcome:?}");
            }
            _ => {}
        }
    }
    assert!(old > 0 && new > 0, "{old} before and {new} after");
    assert!(changes.len() == 2 && changes[0] < from && changes[1] >= from, "{changes:?} around {from:?}");
}

#[tokio::test]
async fn a_price_that_is_in_force_at_the_start_is_logged_once() {
    let dated = with_price("[{ input = 1, output = 2 }, { from = 2020-01-01, input = 3, output = 2 }]");
    let rig = Rig::start(&dated).await;
    assert!(near(cost(&rig.ask(false).await).unwrap(), (12.0 * 3.0 + 4.0 * 2.0) / 1e6));
    let rig = rig.restart(&dated).await;
    assert_eq!(rig.ask(false).await.status(), 200);
    // Who writes the history another way has the same prices in force.
    let rig = rig.restart(&with_price("{ input = 3, output = 2 }")).await;
    let left = rig.stop().await;
    assert_eq!(left.events.iter().filter(|event| matches!(event, Event::Configured { .. })).count(), 1);
}

#[tokio::test]
async fn an_unknown_price_is_said_everywhere_and_never_nothing() {
    let rig = Rig::start(&with_price("\"unknown\"")).await;
    let answer = rig.ask(false).await;
    assert_eq!((answer.status().as_u16(), cost(&answer)), (200, None));
    let body: Value = answer.json().await.unwrap();
    assert!(body["usage"]["prompt_tokens"].is_u64() && body["usage"].get("cost").is_none(), "{body}");
    let text = rig.ask(true).await.text().await.unwrap();
    assert!(text.contains("[DONE]") && !text.contains("\"cost\""), "{text}");
    let request = rig.post(&question(false)).header("x-slarouter-metadata", "enabled");
    let body: Value = request.send().await.unwrap().json().await.unwrap();
    assert_eq!(body["slarouter"]["cost_usd"], Value::Null);

    let models: Value = rig.client.get(rig.url("/v1/models")).send().await.unwrap().json().await.unwrap();
    let known = |id: &str| {
        let model = models["data"].as_array().unwrap().iter().find(|model| model["id"] == id).unwrap();
        model.get("price_known").and_then(Value::as_bool)
    };
    assert_eq!((known("small"), known("large"), known("auto")), (Some(false), Some(true), None));
    let metrics = rig.metrics().await;
    for line in [
        "slarouter_unpriced_total{model=\"small\"} 3",
        "slarouter_price_known{model=\"small\"} 0",
        "slarouter_price_known{model=\"large\"} 1",
    ] {
        assert!(metrics.contains(line), "{line} is not in\n{metrics}");
    }
    let left = rig.stop().await;
    let costs: Vec<_> = left.outcomes.iter().map(|outcome| outcome.cost).collect();
    assert!(costs.len() == 3 && costs.iter().all(|&cost| near(cost, (12.0 + 4.0 * 2.0) / 1e6)), "{costs:?}");
    let [Event::Configured { spec, .. }, ..] = &left.events[..] else { panic!("no configuration") };
    assert!(spec.contains("\"unpriced\":[\"small\"]"), "{spec}");
}

#[tokio::test]
async fn every_kind_of_token_is_billed_at_its_price() {
    let price = "{ input = 1, output = 2, cached_input = 0.1, cache_write = 1.25, cache_write_1h = 2, reasoning = 4, \
                 audio_input = 10, audio_output = 20 }";
    let rig = Rig::start(&with_price(price)).await;
    for (usage, expected) in [
        (
            json!({ "prompt_tokens": 100, "completion_tokens": 50,
                    "prompt_tokens_details": { "cached_tokens": 60, "cache_write_tokens": 20, "audio_tokens": 5 },
                    "completion_tokens_details": { "reasoning_tokens": 30, "audio_tokens": 10 } }),
            15.0 + 50.0 + 6.0 + 25.0 + 20.0 + 120.0 + 200.0,
        ),
        // Reasoning that is in the total alone.
        (json!({ "prompt_tokens": 20, "completion_tokens": 198, "total_tokens": 623 }), 20.0 + 396.0 + 405.0 * 4.0),
        (
            json!({ "prompt_tokens": 20, "completion_tokens": 9, "total_tokens": 120,
                    "completion_tokens_details": { "reasoning_tokens": 91 } }),
            20.0 + 18.0 + 91.0 * 4.0,
        ),
        // What makes no sense is no credit.
        (json!({ "prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 3 }), 10.0 + 10.0),
        (
            json!({ "prompt_tokens": 10, "completion_tokens": 5,
                    "prompt_tokens_details": { "cached_tokens": -4 }, "completion_tokens_details": null }),
            10.0 + 10.0,
        ),
        (
            json!({ "prompt_tokens": 10, "completion_tokens": 5, "prompt_tokens_details": { "cached_tokens": 99 } }),
            11.0,
        ),
    ] {
        rig.upstream.script(answer(&usage));
        let found = cost(&rig.ask(false).await).unwrap();
        assert!((found - expected / 1e6).abs() < 1e-9, "{usage}: {found}, not {expected} / 1e6");
    }
    let metrics = rig.metrics().await;
    let name = "slarouter_cost_usd_total{route=\"default\",model=\"small\"} ";
    let counted: f64 = metrics.lines().find_map(|line| line.strip_prefix(name)?.parse().ok()).unwrap();
    let (_upstream, gateway, folder) = rig.into_parts();
    gateway.shutdown().await;
    let sum: f64 = read(&folder).await.outcomes.iter().map(|outcome| outcome.cost).sum();
    let account = verified(&folder).await.learners()["default"].account().clone();
    assert!(near(counted, sum) && near(account.cost, sum) && near(account.models["small"].cost, sum) && sum > 1e-3);
}

fn turn(talk: usize, turn: usize) -> Value {
    let mut messages = vec![json!({ "role": "user", "content": format!("talk {talk}: {}", "word ".repeat(200)) })];
    for n in 0..turn {
        messages.push(json!({ "role": "assistant", "content": format!("answer {n}") }));
        messages.push(json!({ "role": "user", "content": format!("and {n}?") }));
    }
    json!({ "model": "auto", "messages": messages })
}

/// Predicted costs of `small` and `large`.
async fn predicted(rig: &Rig, talk: usize, n: usize, read: u64) -> [f64; 2] {
    let (input, details) = (200 + 10 * n, json!({ "cached_tokens": read }));
    rig.upstream
        .script(answer(&json!({ "prompt_tokens": input, "completion_tokens": 2, "prompt_tokens_details": details })));
    let request = rig.post(&turn(talk, n)).header("x-slarouter-metadata", "enabled");
    let body: Value = request.send().await.unwrap().json().await.unwrap();
    [0, 1].map(|place| body["slarouter"]["candidates"][place]["predicted_cost_usd"].as_f64().unwrap())
}

#[tokio::test]
async fn a_conversation_is_predicted_to_cost_less_where_its_prompt_is_cached() {
    let rig = Rig::start(&with_price("{ input = 1, output = 2, cached_input = 0.1 }")).await;
    // Not before a provider has said that it reads from its cache.
    for (n, read) in [(0, 0), (1, 180)] {
        let [small, large] = predicted(&rig, 0, n, read).await;
        assert!(small >= large * 0.5, "turn {n}: {small} and {large}");
    }
    let [small, large] = predicted(&rig, 0, 2, 200).await;
    assert!(small < large, "{small} and {large}");
    // Another conversation has nothing there when it begins, and its share when it goes on.
    let first = predicted(&rig, 1, 0, 0).await;
    let second = predicted(&rig, 1, 1, 190).await;
    assert!(second[0] < first[0] && second[1] >= first[1] * 0.5, "{first:?}, then {second:?}");
    let (_upstream, gateway, folder) = rig.into_parts();
    gateway.shutdown().await;
    made_again(&folder).await;
    verified(&folder).await;
}

#[tokio::test]
async fn what_is_logged_makes_every_decision_again() {
    let settings = Settings {
        route: Some("policy = \"certified\""),
        upstream: "retries = 0\nbreaker_failures = 1\nbreaker_open_s = 1000",
        ..with_price("{ input = 0.5, output = 2, cached_input = 0.1 }")
    };
    let rig = Rig::start(&settings).await;
    // Whether `small` is drawn is chance. Once it has answered a turn that is not the last, the next one knows what is saved there.
    let (mut talks, mut is_saved) = (0, false);
    while talks < 8 || !is_saved {
        assert!(talks < 100, "the other model is never tried");
        for n in 0..3 {
            predicted(&rig, talks, n, 150).await;
            is_saved |= n < 2 && rig.called().last().is_some_and(|model| model == "a/ok");
        }
        talks += 1;
    }
    // From here on one model is excluded.
    rig.upstream.script(Script::bare().cut());
    for talk in talks..talks + 4 {
        for n in 0..2 {
            let answered = rig.post(&turn(talk, n)).send().await.unwrap();
            assert_eq!(answered.status(), 200);
        }
    }
    let (_upstream, gateway, folder) = rig.into_parts();
    gateway.shutdown().await;
    let (savings, exclusions) = made_again(&folder).await;
    assert!(savings > 0 && exclusions > 0, "{savings} savings, {exclusions} exclusions");
    verified(&folder).await;
}

/// Makes every decision of the log again from what is in it; how many knew of a saving and of an exclusion.
async fn made_again(folder: &tempfile::TempDir) -> (u32, u32) {
    let store = slarouter_store::open(&url(folder)).await.unwrap();
    let mut learning = Learning::empty();
    let (mut savings, mut exclusions) = (0, 0);
    for event in store.events_after(0, 1_000).await.unwrap() {
        let Event::Decided { id, .. } = event else { continue };
        let record = store.decision(id).await.unwrap().unwrap().record;
        let logged = &record.decision;
        learning.catch_up_to(store.as_ref(), record.state_seq).await.unwrap();
        let excluded: Vec<&str> = logged.candidates.iter().filter(|c| c.excluded).map(|c| &*c.model).collect();
        let known = logged.savings();
        savings += u32::from(!known.is_empty());
        exclusions += u32::from(!excluded.is_empty());
        let context = Context { features: &record.features, input_tokens: record.input_tokens, excluded: &excluded };
        let router = learning.learners()[&record.route].router();
        let mut again = router.decide_with(&context, &known, &mut decision_rng(0, id)).unwrap();
        if logged.reason == Reason::Affinity {
            again = router.stay(&again, &logged.choice().model, &excluded).unwrap();
        }
        assert_eq!(&again, logged);
    }
    store.close().await;
    (savings, exclusions)
}

#[tokio::test]
async fn a_decision_knows_what_a_long_question_costs() {
    let settings = Settings {
        route: Some("policy = \"slarouter\""),
        ..with_price("{ input = 0.5, output = 1, long = { above = 100, input = 5, output = 1 } }")
    };
    let rig = Rig::start(&settings).await;
    // A question of a few words, and one of some 200.
    let short = json!({ "model": "auto", "messages": [{ "role": "user", "content": "one two" }] });
    let mut costs = Vec::new();
    for body in [short, turn(0, 0)] {
        let request = rig.post(&body).header("x-slarouter-metadata", "enabled");
        let body: Value = request.send().await.unwrap().json().await.unwrap();
        costs.push([0, 1].map(|at| body["slarouter"]["candidates"][at]["predicted_cost_usd"].as_f64().unwrap()));
    }
    let [[small, large], [small_long, large_long]] = costs[..] else { panic!("{costs:?}") };
    assert!(small < large && small_long > large_long, "{costs:?}");
    let (_upstream, gateway, folder) = rig.into_parts();
    gateway.shutdown().await;
    assert_eq!(made_again(&folder).await.0, 1, "the long one alone");
    verified(&folder).await;
}

#[tokio::test]
async fn long_questions_and_images_have_their_price_and_the_providers_figure_stands_beside_ours() {
    let price = "{ input = 1, output = 2, image_input = 10, long = { above = 100, input = 3, output = 4 } }";
    let rig = Rig::start(&with_price(price)).await;
    for (input, images, told, expected) in [
        (100, 0, Some(0.25), 100.0 + 20.0),
        (101, 0, None, 3.0 * 101.0 + 2.0 * 20.0),
        (50, 5, None, 45.0 + 50.0 + 20.0),
    ] {
        let mut usage = json!({ "prompt_tokens": input, "completion_tokens": 10 });
        usage["prompt_tokens_details"] = json!({ "image_tokens": images });
        if let Some(told) = told {
            usage["cost"] = told.into();
        }
        rig.upstream.script(answer(&usage));
        let answer = rig.ask(false).await;
        assert!(near(cost(&answer).unwrap(), expected / 1e6), "{input}: {:?}", cost(&answer));
        let header =
            answer.headers().get("x-slarouter-upstream-cost-usd").map(|cost| cost.to_str().unwrap().to_owned());
        assert_eq!(header, told.map(|told: f64| told.to_string()));
        let body: Value = answer.json().await.unwrap();
        assert!(near(body["usage"]["cost"].as_f64().unwrap(), expected / 1e6), "{body}");
        assert_eq!(body["usage"]["upstream_cost"].as_f64(), told);
    }
    rig.stop().await;
}
