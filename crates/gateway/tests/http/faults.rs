//! Every way in which an upstream can fail: what the client gets, what is logged, what is learnt.

use serde_json::{Value, json};
use slarouter_store::Event;
use slarouter_testkit::{Script, until};

use crate::setup::{Left, Rig, Settings, chunk, error, read, verified};

/// The fallback `small` is asked first, by a policy that keeps an account of satisfaction.
const ROUTE: &str = "policy = \"certified\"\nfallback = \"small\"\nexploration = 0";
/// A healthy answer has to come in time as well.
const DEADLINES: &str = "retries = 0\nresponse_timeout_s = 1\nfirst_token_timeout_s = 1\nidle_timeout_s = 1";

fn status(code: u16) -> Script {
    let error = json!({ "message": "no", "type": "server_error", "param": null, "code": null });
    Script::json(code, &json!({ "error": error }))
}

fn one() -> Script {
    Script::event_stream().chunk(chunk("one", None))
}

fn json_head() -> Script {
    Script::new(200).header("content-type", "application/json")
}

/// Faults before the first byte: the name, whether the request streams, the answer, and the kind of the metric.
fn early() -> Vec<(&'static str, bool, Script, &'static str)> {
    let mut faults = vec![
        ("cut in the body", false, json_head().content_length(100).raw("{\"id\"").cut(), "broken"),
        ("reset in the body", false, json_head().content_length(100).raw("{\"id\"").reset(), "broken"),
        ("stall in the body", false, json_head().content_length(100).raw("{\"id\"").stall(), "timeout"),
        ("no answer in the JSON", false, json_head().whole("{\"id\": \"up\", \"choices\": [{\"mess"), "broken"),
        ("cut before the first event", true, Script::event_stream().chunk(": hello\n\n").cut(), "broken"),
        ("end before the first event", true, Script::event_stream().end(), "broken"),
        ("stall before the first event", true, Script::event_stream().stall(), "timeout"),
        ("comments and no event", true, Script::event_stream().chunk(": ping\n\n").stall(), "timeout"),
        ("half an event", true, Script::event_stream().chunk("data: {\"cho").cut(), "broken"),
    ];
    for stream in [false, true] {
        faults.extend([
            ("cut before the head", stream, Script::bare().cut(), "broken"),
            ("reset before the head", stream, Script::bare().reset(), "broken"),
            ("stall before the head", stream, Script::bare().stall(), "timeout"),
            ("stall in the head", stream, Script::bare().raw("HTTP/1.1 200 \r\ncont").stall(), "timeout"),
            ("no HTTP", stream, Script::bare().raw("220 mail.example ESMTP\r\n").cut(), "broken"),
            ("401", stream, status(401), "refused"),
            ("429", stream, status(429), "rate_limited"),
            ("429, later", stream, status(429).header("retry-after", "7"), "rate_limited"),
            ("500", stream, status(500), "server_error"),
            ("503", stream, status(503), "server_error"),
        ]);
    }
    faults
}

/// Shuts down and reads the log; how many answers the account of satisfaction speaks of.
async fn account(rig: Rig) -> (Left, u64) {
    let (_upstream, gateway, folder) = rig.into_parts();
    gateway.shutdown().await;
    let learning = verified(&folder).await;
    let certificate = learning.learners()["default"].router().certificate().unwrap();
    (read(&folder).await, certificate.requests)
}

fn reroutes(left: &Left) -> usize {
    left.events.iter().filter(|event| matches!(event, Event::Rerouted { .. })).count()
}

#[tokio::test]
async fn before_the_first_byte_another_model_answers_and_the_account_knows() {
    for (name, stream, script, kind) in early() {
        let rig = Rig::start(&Settings { upstream: DEADLINES, route: Some(ROUTE), ..Settings::default() }).await;
        rig.upstream.script(script);
        let answer = rig.ask(stream).await;
        assert_eq!(answer.status(), 200, "{name}");
        assert_eq!(answer.headers()["x-slarouter-model"], "large", "{name}");
        assert_eq!(answer.headers()["x-slarouter-decision"], "rerouted", "{name}");
        let text = answer.text().await.unwrap();
        assert_eq!(text.contains("[DONE]"), stream, "{name}: {text}");
        let metrics = rig.metrics().await;
        for line in [
            format!("slarouter_upstream_failures_total{{model=\"small\",kind=\"{kind}\"}} 1"),
            "slarouter_upstream_calls_total{model=\"small\"} 1".to_owned(),
            "slarouter_upstream_calls_total{model=\"large\"} 1".to_owned(),
            "slarouter_rerouted_total{route=\"default\",from=\"small\",to=\"large\"} 1".to_owned(),
        ] {
            assert!(metrics.contains(&line), "{name}: {line} is not in\n{metrics}");
        }
        let (left, counted) = account(rig).await;
        let [outcome] = &left.outcomes[..] else { panic!("{name}: {:?}", left.outcomes) };
        assert_eq!((outcome.status, outcome.ok, outcome.attempts, &*outcome.model), (200, true, 2, "large"), "{name}");
        assert_eq!((reroutes(&left), counted), (1, 1), "{name}");
    }
}

#[tokio::test]
async fn an_upstream_that_cannot_be_reached_is_passed_over() {
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let plain = slarouter_testkit::Upstream::start().await;
    for (name, url) in [
        ("refused", format!("http://{gone}/v1")),
        ("no such host", "http://upstream.invalid/v1".to_owned()),
        ("no TLS", format!("https://{}/v1", plain.addr())),
    ] {
        let settings = Settings { small_url: Some(url), route: Some(ROUTE), ..Settings::default() };
        let rig = Rig::start(&settings).await;
        let answer = rig.ask(false).await;
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["x-slarouter-model"]),
            (200, &"large".parse().unwrap())
        );
        let metrics = rig.metrics().await;
        assert!(metrics.contains("failures_total{model=\"small\",kind=\"unreachable\"} 2"), "{name}: {metrics}");
        let (left, counted) = account(rig).await;
        assert_eq!((left.outcomes[0].attempts, counted), (3, 1), "{name}");
    }
}

#[tokio::test]
async fn a_stream_that_breaks_off_ends_in_an_error_and_is_no_answer() {
    let faults = [
        ("cut", one().cut()),
        ("reset", one().reset()),
        ("stall", one().stall()),
        ("end without finish_reason", one().end()),
        ("half an event", one().chunk("data: {\"cho").cut()),
    ];
    for (name, script) in faults {
        for failures_count in [false, true] {
            let feedback = if failures_count { "failures_count = true" } else { "" };
            let settings = Settings { upstream: DEADLINES, route: Some(ROUTE), feedback, ..Settings::default() };
            let rig = Rig::start(&settings).await;
            rig.upstream.script(script.clone());
            let answer = rig.ask(true).await;
            assert_eq!(
                (answer.status().as_u16(), &answer.headers()["x-slarouter-model"]),
                (200, &"small".parse().unwrap())
            );
            let id = answer.headers()["x-request-id"].to_str().unwrap().to_owned();
            let text = answer.text().await.unwrap();
            let last = text.trim_end().rsplit("\n\n").next().unwrap();
            let last: Value = serde_json::from_str(last.strip_prefix("data: ").unwrap()).unwrap();
            assert_eq!(error(&last)["code"], "stream_truncated", "{name}");
            assert!(text.contains("one") && !text.contains("[DONE]"), "{name}: {text}");
            let metrics = rig.metrics().await;
            let line = "slarouter_upstream_failures_total{model=\"small\",kind=\"truncated\"} 1";
            assert!(metrics.contains(line), "{name}: {metrics}");
            // Of what was no answer nobody can learn whether it satisfies.
            let rating = json!({ "id": id, "rating": "down" });
            let rated = rig.client.post(rig.url("/v1/feedback")).json(&rating).send().await.unwrap();
            assert_eq!(rated.status(), 202, "{name}");
            let (_upstream, gateway, folder) = rig.into_parts();
            gateway.shutdown().await;
            let learning = verified(&folder).await;
            let router = learning.learners()["default"].router();
            let certificate = router.certificate().unwrap();
            assert_eq!((certificate.requests, certificate.labels), (u64::from(failures_count), 0), "{name}");
            assert_eq!(router.account().labels, 0, "{name}");
            let left = read(&folder).await;
            let [outcome] = &left.outcomes[..] else { panic!("{name}: {:?}", left.outcomes) };
            assert_eq!((outcome.status, outcome.ok, &*outcome.model), (200, false, "small"), "{name}");
        }
    }
}

#[tokio::test]
async fn a_slow_drip_is_whole() {
    let rig = Rig::start(&Settings { upstream: DEADLINES, route: Some(ROUTE), ..Settings::default() }).await;
    let stop = chunk("", Some("stop"));
    rig.upstream.script(one().chunk(stop).chunk("data: [DONE]\n\n").end().drip());
    let text = rig.ask(true).await.text().await.unwrap();
    assert!(text.contains("one") && text.ends_with("data: [DONE]\n\n"), "{text}");
    let (left, counted) = account(rig).await;
    assert_eq!((left.outcomes[0].ok, left.outcomes[0].attempts, counted), (true, 1, 1));
}

#[tokio::test]
async fn when_all_fail_the_last_words_are_passed_on_and_the_account_says_what_was_configured() {
    for (code, feedback, counted) in
        [(500, "", 0), (503, "", 0), (429, "", 0), (500, "failures_count = true", 1), (429, "failures_count = true", 1)]
    {
        let rig =
            Rig::start(&Settings { upstream: DEADLINES, route: Some(ROUTE), feedback, ..Settings::default() }).await;
        rig.upstream.script(Script::bare().cut());
        rig.upstream.script(status(code).header("retry-after", "7").header("retry-after-ms", "6500"));
        let answer = rig.ask(false).await;
        assert_eq!(answer.status(), code);
        for (header, value) in [("retry-after", "7"), ("retry-after-ms", "6500"), ("x-should-retry", "true")] {
            assert_eq!(answer.headers()[header], value);
        }
        let (left, in_account) = account(rig).await;
        assert_eq!((left.outcomes[0].status, left.outcomes[0].ok, in_account), (code, false, counted), "{feedback}");
        assert_eq!(reroutes(&left), 0, "nobody answered");
    }
}

#[tokio::test]
async fn the_clients_own_faults_cost_the_model_nothing() {
    let settings = Settings { upstream: "breaker_failures = 1", ..Settings::default() };
    let rig = Rig::start(&settings).await;
    for code in [400, 404, 413, 422] {
        rig.upstream.script(status(code));
        // A 404 may be the model's, so that another one is asked, which says the same here.
        rig.upstream.script(status(code));
        let answer = rig.ask(false).await;
        assert_eq!(answer.status(), code);
        while rig.called().len() % 2 == 1 {
            rig.ask(false).await;
        }
    }
    assert!(rig.metrics().await.contains("slarouter_circuit_state{model=\"small\"} 0"));
    rig.stop().await;
}

/// Whoever stops an answer and rates it has seen enough of it.
#[tokio::test]
async fn a_rating_of_an_answer_that_its_client_broke_off_is_learnt() {
    for failures_count in [false, true] {
        let feedback = if failures_count { "failures_count = true" } else { "" };
        let rig = Rig::start(&Settings { route: Some(ROUTE), feedback, ..Settings::default() }).await;
        rig.upstream.script(one().stall());
        let mut answer = rig.ask(true).await;
        let id = answer.headers()["x-request-id"].to_str().unwrap().to_owned();
        assert!(answer.chunk().await.unwrap().is_some());
        drop(answer);
        // The outcome is in the log before the rating.
        until("the client's leaving is logged", async || rig.metrics().await.contains("status=\"499\"} 1")).await;
        let rating = json!({ "id": id, "rating": "down" });
        let rated = rig.client.post(rig.url("/v1/feedback")).json(&rating).send().await.unwrap();
        assert_eq!(rated.status(), 202);
        let (_upstream, gateway, folder) = rig.into_parts();
        gateway.shutdown().await;
        let learning = verified(&folder).await;
        let router = learning.learners()["default"].router();
        let certificate = router.certificate().unwrap();
        assert_eq!((certificate.requests, certificate.labels), (1, 1), "{feedback}");
        assert_eq!((router.account().labels, router.account().satisfied), (1, 0.0), "{feedback}");
        let left = read(&folder).await;
        assert_eq!((left.outcomes[0].status, left.outcomes[0].ok), (499, false), "{feedback}");
    }
}
