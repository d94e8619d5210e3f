//! `slarouter serve`: SIGHUP and log lines.

use serde_json::{Value, json};
use slarouter_testkit::{Daemon, Script, Upstream, until};

use crate::{client, configuration, serve, write};

const LISTEN: &str = "listen = \"127.0.0.1:0\"";

async fn text(daemon: &Daemon, path: &str) -> String {
    client().get(format!("http://{}{path}", daemon.addr())).send().await.unwrap().text().await.unwrap()
}

async fn ask(daemon: &Daemon) {
    let body = json!({ "model": "auto", "messages": [{ "role": "user", "content": "one" }] });
    let answer =
        client().post(format!("http://{}/v1/chat/completions", daemon.addr())).json(&body).send().await.unwrap();
    assert_eq!(answer.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn sighup_takes_a_good_file_and_leaves_a_bad_one() {
    let (folder, upstream) = (tempfile::tempdir().unwrap(), Upstream::start().await);
    let good = |models: &[&str]| configuration(folder.path(), &upstream.base_url(), LISTEN, models);
    let path = write(folder.path(), &good(&["small", "large"]));
    let mut daemon = serve(&path, &[]).await;
    ask(&daemon).await;
    write(folder.path(), &good(&["small", "fresh"]));
    daemon.hang_up().await.unwrap();
    until("the new model is listed", async || text(&daemon, "/v1/models").await.contains("\"fresh\"")).await;
    assert!(!text(&daemon, "/v1/models").await.contains("\"large\""));
    write(folder.path(), &good(&["small", "fresh"]).replace("0.9", "9"));
    daemon.hang_up().await.unwrap();
    let failed = "slarouter_config_reloads_total{result=\"failure\"} 1";
    until("the bad file is refused", async || text(&daemon, "/metrics").await.contains(failed)).await;
    assert!(text(&daemon, "/v1/models").await.contains("\"fresh\""));
    ask(&daemon).await;
    daemon.terminate().await.unwrap();
    assert!(daemon.wait().await.unwrap().success());
    let errors = daemon.stderr();
    let refusal = errors.lines().find(|line| line.contains("configuration not reloaded")).unwrap();
    assert!(refusal.contains("slarouter.toml:") && refusal.contains("between 0 and 1"), "{refusal}");
}

#[tokio::test(flavor = "multi_thread")]
async fn log_lines_are_json_or_text_as_asked_for() {
    let upstream = Upstream::start().await;
    for (key, flag, is_json) in
        [("", "", true), ("text", "", false), ("json", "", true), ("json", "text", false), ("text", "json", true)]
    {
        let folder = tempfile::tempdir().unwrap();
        let key = if key.is_empty() { String::new() } else { format!("log_format = \"{key}\"") };
        let server = format!("{LISTEN}\n{key}");
        let path = write(folder.path(), &configuration(folder.path(), &upstream.base_url(), &server, &["small"]));
        let flags = if flag.is_empty() { vec![] } else { vec!["--log-format", flag] };
        let mut daemon = serve(&path, &flags).await;
        ask(&daemon).await;
        daemon.terminate().await.unwrap();
        assert!(daemon.wait().await.unwrap().success());
        let lines = daemon.stderr();
        assert!(lines.lines().count() > 2 && !lines.contains('\u{1b}'), "{lines}");
        let parsed: Vec<Value> = lines.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        if !is_json {
            assert!(parsed.is_empty() && lines.contains(" INFO "), "{lines}");
            continue;
        }
        assert_eq!(parsed.len(), lines.lines().count(), "every line is an object:\n{lines}");
        for line in &parsed {
            assert!(
                line["timestamp"].is_string() && line["level"].is_string() && line["message"].is_string(),
                "{line}"
            );
        }
        let request = parsed.iter().find(|line| line["message"] == "request").unwrap();
        assert!(request["request_id"].as_str().unwrap().starts_with("chatcmpl-"), "{request}");
        assert_eq!(
            (&request["model"], &request["status"], &request["ok"]),
            (&json!("small"), &json!(200), &json!(true))
        );
        assert!(request["cost_usd"].is_number() && request["latency_ms"].is_number(), "{request}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_interrupt_waits_for_nobody() {
    let (folder, upstream) = (tempfile::tempdir().unwrap(), Upstream::start().await);
    let path = write(folder.path(), &configuration(folder.path(), &upstream.base_url(), LISTEN, &["small"]));
    let mut daemon = serve(&path, &[]).await;
    upstream.script(Script::bare().stall());
    let body = json!({ "model": "auto", "messages": [{ "role": "user", "content": "one" }] });
    let url = format!("http://{}/v1/chat/completions", daemon.addr());
    let open = tokio::spawn(client().post(url).json(&body).send());
    upstream.arrived(1).await;
    daemon.interrupt().await.unwrap();
    while !daemon.stderr().contains("stopping") {
        tokio::task::yield_now().await;
    }
    daemon.interrupt().await.unwrap();
    assert_eq!(daemon.wait().await.unwrap().code(), Some(130), "{}", daemon.stderr());
    assert!(open.await.unwrap().is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn no_line_of_the_log_has_a_prompts_words() {
    let (folder, upstream) = (tempfile::tempdir().unwrap(), Upstream::start().await);
    let path = write(folder.path(), &configuration(folder.path(), &upstream.base_url(), LISTEN, &["small"]));
    let mut daemon = serve(&path, &["--log", "debug"]).await;
    let words = "the-words-of-a-prompt";
    let said = json!({ "error": { "message": format!("cannot answer: {}", words.repeat(1_000)) } });
    let chunk = json!({ "id": "u", "object": "chat.completion.chunk", "model": "m", "choices": [{ "index": 0, "delta": { "content": "a" } }] });
    upstream
        .script(Script::event_stream().chunk(format!("data: {chunk}\n\n")).chunk(format!("data: {said}\n\n")).end());
    upstream.script(Script::json(400, &said));
    upstream.script(Script::json(200, &json!({ "id": "u", "choices": words })));
    for stream in [true, false, false] {
        let body = json!({ "model": "small", "stream": stream, "messages": [{ "role": "user", "content": words }] });
        let url = format!("http://{}/v1/chat/completions", daemon.addr());
        client().post(url).json(&body).send().await.unwrap().bytes().await.unwrap();
    }
    daemon.terminate().await.unwrap();
    assert!(daemon.wait().await.unwrap().success());
    let log = daemon.stderr();
    assert!(log.matches("\"message\":\"request\"").count() == 3 && !log.contains(words), "{log}");
}
