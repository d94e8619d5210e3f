//! `slarouter doctor`.

use std::net::TcpListener;
use std::path::Path;

use serde_json::{Value, json};
use slarouter_testkit::{Script, Upstream};

use crate::{BIN, configuration, serve, write};

const SECRET: &str = "a-secret-that-nobody-sees";

/// Whether it succeeded, and what it printed.
async fn doctor(config: &Path, flags: &[&str]) -> (bool, String) {
    let mut command = tokio::process::Command::new(BIN);
    // The upstreams of these tests are on this machine.
    let command = command.args(["doctor", "--config"]).arg(config).args(flags).env("NO_PROXY", "*");
    let output = command.output().await.unwrap();
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(!text.contains(SECRET), "{text}");
    (output.status.success(), text)
}

/// The line of a check.
fn line<'a>(text: &'a str, name: &str) -> &'a str {
    let found = text.lines().find(|line| line[6..].starts_with(&format!("{name}: ")));
    found.unwrap_or_else(|| panic!("no {name} in\n{text}"))
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn models(names: &[&str]) -> Script {
    let data: Vec<_> = names.iter().map(|name| json!({ "id": name, "object": "model" })).collect();
    Script::json(200, &json!({ "object": "list", "data": data }))
}

fn with_key(text: &str) -> String {
    text.replace("upstream_model", &format!("api_key = \"{SECRET}\"\nupstream_model"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sound_configuration_passes_before_and_while_it_runs() {
    let (folder, upstream) = (tempfile::tempdir().unwrap(), Upstream::start().await);
    let server = format!("listen = \"127.0.0.1:{}\"\nmax_connections = 10", free_port());
    let path = write(
        folder.path(),
        &with_key(&configuration(folder.path(), &upstream.base_url(), &server, &["small", "large"])),
    );
    upstream.script(models(&["ok", "other"]));
    let (passed, text) = doctor(&path, &[]).await;
    assert!(passed, "{text}");
    for name in [
        "configuration",
        "clock",
        "database",
        "encoder",
        "listen",
        "open files",
        "keys",
        "upstream small",
        "upstream large",
    ] {
        assert!(line(&text, name).starts_with("ok    "), "{text}");
    }
    assert!(line(&text, "database").contains("will be made"), "{text}");
    assert!(line(&text, "route default").contains("nothing learnt yet: large serves"), "{text}");
    let asked = upstream.requests();
    assert_eq!((asked.len(), &*asked[0].method, &*asked[0].path), (1, "GET", "/v1/models"), "once for both models");
    let sent = asked[0].headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("authorization")).unwrap();
    assert_eq!(sent.1, format!("Bearer {SECRET}"));
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["slarouter.toml"], "it leaves nothing behind");

    let mut daemon = serve(&path, &["--log", "error"]).await;
    upstream.script(models(&[]));
    let (passed, text) = doctor(&path, &[]).await;
    assert!(passed, "{text}");
    assert!(line(&text, "database").contains("in use by a gateway"), "{text}");
    assert!(line(&text, "listen").contains("by the gateway"), "{text}");
    daemon.terminate().await.unwrap();
    assert!(daemon.wait().await.unwrap().success());
    upstream.script(models(&["ok"]));
    let (passed, text) = doctor(&path, &["--json"]).await;
    let report: Value = serde_json::from_str(&text).unwrap();
    assert!(passed && report["ok"] == true, "{text}");
    let database = report["checks"].as_array().unwrap().iter().find(|check| check["name"] == "database").unwrap();
    assert_eq!(database["level"], "ok");
    assert!(database["found"].as_str().unwrap().contains("no decision yet"), "{database}");
}

#[tokio::test(flavor = "multi_thread")]
async fn upstreams_fail_with_the_place_where_they_do() {
    let upstream = Upstream::start().await;
    let closed = format!("http://127.0.0.1:{}/v1", free_port());
    let plain = upstream.base_url().replace("http://", "https://");
    let error = |status| Some(Script::json(status, &json!({ "error": { "message": SECRET } })));
    for (base_url, script, passes, said) in [
        (upstream.base_url(), error(401), false, "refuses the key → set models.api_key"),
        (upstream.base_url(), error(503), false, "answers 503"),
        (upstream.base_url(), error(404), true, "has no list of models (404) → see that base_url"),
        (upstream.base_url(), error(429), true, "over its limit"),
        (
            upstream.base_url(),
            Some(Script::json(307, &json!({})).header("location", "http://elsewhere")),
            false,
            "sends elsewhere (307)",
        ),
        (upstream.base_url(), Some(models(&["llama"])), true, "does not list \"ok\" among its 1 models"),
        (upstream.base_url(), Some(Script::json(200, &json!("hello"))), true, "no list of models"),
        (upstream.base_url(), Some(Script::bare().cut()), false, "gives no answer"),
        (closed, None, false, "nothing accepts connections at 127.0.0.1:"),
        (plain, None, false, "something listens there, and the connection fails"),
        ("http://nowhere.invalid/v1".to_owned(), None, false, "the name nowhere.invalid is not known here"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let text = configuration(folder.path(), &base_url, "listen = \"127.0.0.1:0\"", &["small"]);
        let path = write(folder.path(), &with_key(&text));
        if let Some(script) = script {
            upstream.script(script);
        }
        let (passed, text) = doctor(&path, &[]).await;
        let line = line(&text, "upstream small");
        assert!(line.contains(said) && line.contains(" → "), "{said:?} is not in {line:?}");
        assert_eq!((passed, line.starts_with(if passes { "warn" } else { "fail" })), (passes, true), "{line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_on_this_machine_is_found() {
    let (folder, upstream) = (tempfile::tempdir().unwrap(), Upstream::start().await);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = format!("listen = \"{}\"\nmax_connections = 1000000000", taken.local_addr().unwrap());
    let text = configuration(folder.path(), &upstream.base_url(), &server, &["small"]);
    let path = write(folder.path(), &text);
    std::fs::write(folder.path().join("log.db"), "this is no database, however long one looks at it").unwrap();
    upstream.script(models(&["ok"]));
    let (passed, found) = doctor(&path, &[]).await;
    assert!(!passed);
    assert!(
        line(&found, "database").starts_with("fail") && line(&found, "database").contains("not a database"),
        "{found}"
    );
    assert!(
        line(&found, "listen").starts_with("fail") && line(&found, "listen").contains("is taken → stop"),
        "{found}"
    );
    assert!(line(&found, "route default").contains("only model"), "{found}");

    // A skewed clock, an open door, a folder that is not there, a model for nothing.
    let wrong = text
        .replace("127.0.0.1", "0.0.0.0")
        .replace(&format!("http://0.0.0.0:{}", upstream.addr().port()), &format!("http://{}", upstream.addr()))
        .replace(&folder.path().join("log.db").display().to_string(), "/no/such/folder/log.db")
        .replace("input = 0.5, output = 1", "input = 0, output = 0");
    let path = write(folder.path(), &wrong);
    upstream.script(models(&["ok"]).header("date", "Sat, 01 Jan 2000 00:00:00 GMT"));
    let (passed, found) = doctor(&path, &[]).await;
    assert!(!passed);
    assert!(
        line(&found, "clock").starts_with("warn") && line(&found, "clock").contains("ahead of that of 127.0.0.1"),
        "{found}"
    );
    assert!(line(&found, "keys").starts_with("fail"), "{found}");
    assert!(
        line(&found, "database").starts_with("fail") && line(&found, "database").contains("cannot be written"),
        "{found}"
    );
    assert!(line(&found, "price small").starts_with("warn"), "{found}");

    let path = write(
        folder.path(),
        &text.replace("0.9", "9").replace("[store]", &format!("api_keys = [\"${{UNSET_{}}}\"]\n[store]", 1)),
    );
    let (passed, found) = doctor(&path, &[]).await;
    assert!(!passed && found.lines().count() == 2, "{found}");
    assert!(found.lines().all(|line| line.starts_with("fail  configuration: ")), "{found}");
    assert!(found.contains("UNSET_1 is not set") && found.contains("between 0 and 1"), "{found}");
    let (passed, found) = doctor(&path, &["--json"]).await;
    let report: Value = serde_json::from_str(&found).unwrap();
    assert_eq!((passed, &report["ok"], report["checks"].as_array().unwrap().len()), (false, &json!(false), 2));
}
