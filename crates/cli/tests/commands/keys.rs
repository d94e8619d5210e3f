//! `slarouter keys`, on the database and through a running gateway.

use std::net::TcpListener;
use std::path::Path;

use serde_json::{Value, json};
use slarouter_testkit::{Daemon, Upstream};

use crate::{Done, ask, command, configure, configure_at, run, serve, stop};

fn keys(folder: &Path, words: &[&str]) -> Done {
    run(&[&["keys"], words].concat(), folder)
}

fn text<'a>(key: &'a Value, field: &str) -> &'a str {
    key[field].as_str().unwrap_or_else(|| panic!("{field} of {key}"))
}

/// Name and status of all.
fn listed(list: &Value) -> Vec<(&str, &str)> {
    list.as_array().unwrap().iter().map(|key| (text(key, "name"), text(key, "status"))).collect()
}

/// Everything that SQLite has written.
fn database(folder: &Path) -> Vec<u8> {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files
        .filter(|path| path.display().to_string().contains("log.db"))
        .flat_map(|path| std::fs::read(path).unwrap())
        .collect()
}

fn holds(bytes: &[u8], part: &str) -> bool {
    bytes.windows(part.len()).any(|window| window == part.as_bytes())
}

async fn status(daemon: &Daemon, key: &str) -> u16 {
    ask(daemon, Some(key), "what?").await.0
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_live_from_create_to_revoke() {
    let (folder, upstream) = (tempfile::tempdir().unwrap(), Upstream::start().await);
    let folder = folder.path();
    // The fallback answers all, so that answers cost the same.
    configure(folder, &upstream.base_url(), "", "exploration = 0");
    assert_eq!(keys(folder, &["list", "--json"]).json(), json!([]));
    let first = keys(folder, &["create", "--name", "web", "--scope", "inference", "--models", "small,auto"]).json();
    let (id, secret) = (text(&first, "id"), text(&first, "key"));
    assert!(secret.starts_with("slr_") && secret.len() > 30, "{secret}");
    assert_eq!((&first["status"], &first["expires_ms"]), (&json!("live"), &Value::Null));
    assert_eq!(first["grants"]["models"], json!(["small", "auto"]));

    // Shown once: neither in the list nor in the database, which has its hash and its hint.
    let list = keys(folder, &["list", "--json"]).json();
    assert_eq!(listed(&list), [("web", "live")]);
    assert!(list[0].get("key").is_none() && !list.to_string().contains(secret), "{list}");
    let bytes = database(folder);
    assert!(holds(&bytes, id) && holds(&bytes, text(&first, "hint")));
    assert!(!holds(&bytes, secret) && !holds(&bytes, &secret[4..]));

    // Another one for the same account, while the old one lives on; and no third.
    let second = keys(folder, &["rotate", id]).json();
    assert_eq!((&second["name"], &second["grants"]), (&first["name"], &first["grants"]));
    assert_ne!(text(&second, "key"), secret);
    let error = keys(folder, &["rotate", text(&second, "id")]).failed();
    assert!(error.contains("two keys named \"web\" are live: revoke the older one first"), "{error}");
    // One that ends at once, and one whose days are counted by the fraction.
    let brief = keys(folder, &["create", "--name", "brief", "--expires-days", "1e-12"]).json();
    let long = keys(folder, &["create", "--name", "long", "--expires-days", "0.5"]).json();
    assert_eq!(long["expires_ms"].as_u64().unwrap() - long["created_ms"].as_u64().unwrap(), 43_200_000);

    let daemon = serve(folder).await;
    for (key, expected) in [
        (secret, 200),
        (text(&second, "key"), 200),
        (text(&brief, "key"), 401),
        (text(&long, "key"), 200),
        ("slr_x", 401),
    ] {
        assert_eq!(status(&daemon, key).await, expected, "{key}");
    }
    assert_eq!(ask(&daemon, None, "what?").await.0, 401);
    stop(daemon).await;

    assert_eq!(keys(folder, &["revoke", id]).json()["status"], "revoked");
    assert_eq!(keys(folder, &["revoke", id]).json()["status"], "revoked", "once more changes nothing");
    let third = keys(folder, &["rotate", text(&second, "id"), "--grace-hours", "0"]).json();
    let list = keys(folder, &["list", "--json"]).json();
    let expected = [("web", "revoked"), ("web", "expired"), ("brief", "expired"), ("long", "live"), ("web", "live")];
    assert_eq!(listed(&list), expected);
    // Of two keys of one name the account is one: it has paid for two answers, the other for one.
    let spent = |place: usize, field: &str| list[place][field].as_f64().unwrap();
    let one = spent(3, "spent_usd");
    assert!(one > 0.0, "{list}");
    for (place, answers) in [(0, 2.0), (1, 2.0), (2, 0.0), (3, 1.0), (4, 2.0)] {
        assert!((spent(place, "spent_usd") - answers * one).abs() < 1e-15, "{list}");
        assert_eq!(spent(place, "spent_month_usd"), spent(place, "spent_usd"), "{list}");
    }
    let daemon = serve(folder).await;
    for (key, expected) in [(secret, 401), (text(&second, "key"), 401), (text(&third, "key"), 200)] {
        assert_eq!(status(&daemon, key).await, expected, "{key}");
    }
    stop(daemon).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_gateway_is_asked_by_its_address() {
    let (folder, upstream) = (tempfile::tempdir().unwrap(), Upstream::start().await);
    let folder = folder.path();
    configure(folder, &upstream.base_url(), "", "");
    let boss = keys(folder, &["create", "--name", "boss", "--scope", "admin"]).json();
    let boss = text(&boss, "key");
    let daemon = serve(folder).await;
    let url = format!("http://{}/", daemon.addr());
    let ask = |words: &[&str]| keys(folder, &[words, &["--url", &url, "--admin-key", boss]].concat());
    let web = ask(&["create", "--name", "web", "--scope", "inference,feedback"]).json();
    assert_eq!(status(&daemon, text(&web, "key")).await, 200, "it works at once");
    let newer = ask(&["rotate", text(&web, "id"), "--grace-hours", "0"]).json();
    assert_eq!((status(&daemon, text(&web, "key")).await, status(&daemon, text(&newer, "key")).await), (401, 200));
    assert_eq!(ask(&["revoke", text(&newer, "id")]).json()["status"], "revoked");
    assert_eq!(status(&daemon, text(&newer, "key")).await, 401);
    assert_eq!(listed(&ask(&["list", "--json"]).json()), [("boss", "live"), ("web", "expired"), ("web", "revoked")]);

    // The key may come from the environment; without one, or with another one, it refuses.
    let mut command = command(&["keys", "list", "--url", &url], folder);
    assert!(command.env("SLAROUTER_ADMIN_KEY", boss).output().unwrap().status.success());
    for more in [&[][..], &["--admin-key", text(&web, "key")]] {
        let error = keys(folder, &[&["list", "--url", &url], more].concat()).failed();
        assert!(error.contains("refused with status 401"), "{error}");
        assert!(!error.contains("slr_"), "no key belongs in an error: {error}");
    }
    stop(daemon).await;
    let error = keys(folder, &["list", "--url", &url, "--admin-key", boss]).failed();
    assert!(error.contains(url.trim_end_matches('/')), "{error}");
}

/// Through the gateway that runs, with the secret that lies beside the database for as long as there is no key.
#[tokio::test(flavor = "multi_thread")]
async fn the_first_key_is_made_with_the_file_beside_the_database() {
    let (folder, upstream) = (tempfile::tempdir().unwrap(), Upstream::start().await);
    let folder = folder.path();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    configure_at(folder, &format!("listen = \"127.0.0.1:{port}\""), &upstream.base_url(), "", "");
    let daemon = serve(folder).await;
    let file = folder.join("log.db.first-key");
    let secret = std::fs::read_to_string(&file).unwrap();
    let boss = keys(folder, &["create", "--name", "boss", "--scope", "admin"]).json();
    assert!(!file.exists(), "it is used up");
    let error = keys(folder, &["list"]).failed();
    assert!(error.contains("refused with status 401"), "{error}");
    let list = keys(folder, &["list", "--json", "--admin-key", text(&boss, "key")]).json();
    assert_eq!(listed(&list), [("boss", "live")]);
    let said = stop(daemon).await;
    assert!(said.contains(&*file.display().to_string()) && !said.contains(&secret), "{said}");
}

/// Without `--url` the gateway that holds the database is found by its configuration.
#[tokio::test(flavor = "multi_thread")]
async fn the_gateway_that_holds_the_database_is_found() {
    let (folder, upstream) = (tempfile::tempdir().unwrap(), Upstream::start().await);
    let folder = folder.path();
    let [port, admin] = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port());
    let own = format!("listen = \"127.0.0.1:{port}\"\nadmin_keys = [\"sixteen-letters-1\"]");
    let at = |server: &str| configure_at(folder, server, &upstream.base_url(), "", "");
    at(&own);
    let daemon = serve(folder).await;
    let web = keys(folder, &["create", "--name", "web"]).json();
    assert_eq!(status(&daemon, text(&web, "key")).await, 200);
    // Behind TLS it is not to be found by its address, as its certificate is for a name: unless its admin API is on loopback.
    let tls = "tls = { cert = \"cert.pem\", key = \"key.pem\" }";
    at(&format!("{own}\n{tls}"));
    let error = keys(folder, &["list"]).failed();
    assert!(error.contains(&format!("--url, as in https://gateway.example:{port}")), "{error}");
    at(&format!("{own}\n{tls}\nadmin_listen = \"127.0.0.1:{admin}\""));
    let error = keys(folder, &["list"]).failed();
    assert!(error.contains(&format!("http://127.0.0.1:{admin}")), "nobody is there: {error}");
    stop(daemon).await;
}

#[test]
fn mistakes_make_no_key() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    configure(
        folder,
        "http://127.0.0.1:9/v1",
        "[[keys]]\nname = \"ours\"\nkey = \"sixteen-letters-1\"\nscopes = [\"inference\"]\n",
        "",
    );
    let made = keys(folder, &["create", "--name", "web"]).json();
    let before = keys(folder, &["list", "--json"]).json();
    for (words, said) in [
        (&["create", "--name", "web"][..], "there is a live key named \"web\""),
        (&["create", "--name", "ours"], "there is a live key named \"ours\""),
        (&["create", "--name", "Web!"], "lower-case"),
        (&["create", "--name", ""], "lower-case"),
        (&["create", "--name", "x", "--scope", "root"], "a scope is inference, feedback, audit, view or admin"),
        (&["create", "--name", "x", "--expires-days", "0"], "expires_days must be above 0"),
        (&["create", "--name", "x", "--expires-days", "NaN"], "expires_days must be above 0"),
        (&["create", "--name", "x", "--expires-days=-1"], "expires_days must be above 0"),
        (&["create", "--name", "x", "--usd-per-day", "NaN"], "usd_per_day"),
        (&["create", "--name", "x", "--requests-per-minute", "0"], "requests_per_minute"),
        (&["create"], "--name"),
        (&["rotate", "key_none"], "there is no key \"key_none\""),
        (&["rotate", text(&made, "id"), "--grace-hours=-1"], "grace_hours must be from 0"),
        (&["revoke", "key_none"], "there is no key \"key_none\""),
        (&["list", "--config", "nowhere.toml"], "nowhere.toml"),
    ] {
        let error = keys(folder, words).failed();
        assert!(error.contains(said), "{words:?}: {error}");
    }
    assert_eq!(keys(folder, &["list", "--json"]).json(), before);
}

/// The models' variables are none of its business.
#[tokio::test(flavor = "multi_thread")]
async fn the_list_is_a_table_and_needs_the_database_alone() {
    let (folder, upstream) = (tempfile::tempdir().unwrap(), Upstream::start().await);
    let folder = folder.path();
    let path = configure(folder, &upstream.base_url(), "", "");
    let made = keys(folder, &["create", "--name", "web", "--models", "small,auto", "--expires-days", "1"]).json();
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(
        &path,
        text.replace("upstream_model", "api_key = \"${A_VARIABLE_THAT_IS_NOT_SET}\"\nupstream_model"),
    )
    .unwrap();
    assert!(run(&["check"], folder).failed().contains("A_VARIABLE_THAT_IS_NOT_SET is not set"));
    let table = keys(folder, &["list"]).succeeded();
    let row = table.lines().find(|line| line.contains("web")).unwrap();
    for part in [self::text(&made, "id"), self::text(&made, "hint"), "live", "inference, feedback", "small, auto", "Z "]
    {
        assert!(row.contains(part), "{part} is not in\n{table}");
    }
    assert_eq!(listed(&keys(folder, &["list", "--json"]).json()), [("web", "live")]);
}
