//! What the commands print, to the letter. `INSTA_UPDATE=always cargo test -p slarouter-cli --test commands text` writes what a change makes
//! of it, for the change to show.

use std::path::Path;

use insta::{assert_snapshot, with_settings};
use slarouter_testkit::Upstream;

use crate::{ask, command, configure, rate, run, serve, stop};

/// What differs from run to run and from machine to machine, in as many letters, so that tables keep their form.
const FILTERS: [(&str, &str); 10] = [
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "2026-01-01T00:00:00Z"),
    (r"(chatcmpl-)[0-9a-f-]{36}", "${1}00000000-0000-7000-8000-000000000000"),
    (r"key_[0-9a-f]{16}", "key_0000000000000000"),
    (r"slr_[0-9a-f]{8}…", "slr_00000000…"),
    (r"[0-9a-f]{64}", "0000000000000000000000000000000000000000000000000000000000000000"),
    (r"answered in \d+ ms", "answered in 1 ms"),
    (r"\d+ MiB free in \S+", "9999 MiB free in /folder"),
    (r"127\.0\.0\.1:\d\d+", "127.0.0.1:9999"),
    (r"(?m)^.{4}  open files: .*$", "ok    open files: enough"),
    (r"database: .*version \d+, \d+ MiB", "database: /folder/log.db: version 9, 9 MiB"),
];

fn told(name: &str, text: &str) {
    with_settings!({ filters => FILTERS, prepend_module_to_snapshot => false, omit_expression => true }, {
        assert_snapshot!(name, text);
    });
}

/// What `slarouter doctor` prints; the upstreams are on this machine.
fn doctor(folder: &Path) -> String {
    let output = command(&["doctor"], folder).env("NO_PROXY", "*").output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// The commands that a help text names.
fn commands(words: &[&str]) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let text = run(&[words, &["--help"]].concat(), folder.path()).succeeded();
    told(&format!("help {}", words.join(" ")).trim_end().replace(' ', "-"), &text);
    let Some((_, rest)) = text.split_once("\nCommands:\n") else { return Vec::new() };
    let lines = rest.lines().take_while(|line| !line.is_empty());
    let names = lines.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    names.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help").map(str::to_owned).collect()
}

#[test]
fn every_command_explains_itself() {
    let names = commands(&[]);
    assert!(names.len() > 10, "{names:?}");
    for name in &names {
        for below in commands(&[name]) {
            assert!(commands(&[name, &below]).is_empty());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_commands_say_of_a_gateway_that_has_served() {
    let (folder, upstream) = (tempfile::tempdir().unwrap(), Upstream::start().await);
    let folder = folder.path();
    configure(folder, &upstream.base_url(), "", "policy = \"fixed:small\"");
    let print = |name: &str, words: &[&str]| told(name, &run(words, folder).succeeded());
    print("check", &["check"]);
    let daemon = serve(folder).await;
    // What is predicted of a second one depends on how far the learner is with the first.
    let id = ask(&daemon, None, "what?").await.1;
    rate(&daemon, &id, "up").await;
    stop(daemon).await;
    print("explain", &["explain", &id]);
    let ever = ["--from", "2020-01", "--to", "2100-01"];
    print("totals", &[&["totals", "--by", "route,model,key"], &ever[..]].concat());
    print("verify", &["verify"]);
    told("doctor", &doctor(folder));
    run(&["keys", "create", "--name", "web", "--scope", "inference"], folder).succeeded();
    print("keys-list", &["keys", "list"]);
}

#[test]
fn what_the_commands_say_where_nothing_has_happened() {
    let folder = tempfile::tempdir().unwrap();
    configure(folder.path(), "http://127.0.0.1:9/v1", "", "");
    let print = |name: &str, words: &[&str]| told(name, &run(words, folder.path()).succeeded());
    print("keys-list-empty", &["keys", "list"]);
    print("report-empty", &["report", "--from", "2026-11", "--format", "md"]);
    print("totals-empty", &["totals", "--from", "2026-11"]);
    told("alert-test-of-none", &run(&["alert-test"], folder.path()).failed());
    told("explain-nothing", &run(&["explain", "x"], folder.path()).failed());
    told("doctor-upstreams-down", &doctor(folder.path()));
}

#[test]
fn what_a_replay_says() {
    let text = crate::replay::replay(&["--policy", "fixed:cheap"]).succeeded();
    told("replay", &text);
}
