//! `slarouter init`, by flags and on a terminal.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::json;
use slarouter_testkit::{Daemon, Script, Upstream};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};

use crate::{BIN, Done, ask, command, finish, stop};

const SECRET: &str = "a-secret-that-nobody-sees";
/// Ports that are free for certain.
const ANYWHERE: [&str; 4] = ["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"];

/// The command with the key of the server `lab`, which is on this machine.
fn keyed(words: &[&str], folder: &Path) -> Command {
    let mut command = command(words, folder);
    command.env("LAB_API_KEY", SECRET).env("NO_PROXY", "*");
    command
}

fn init(folder: &Path, words: &[&str]) -> Done {
    finish(&mut keyed(&[&["init"], words].concat(), folder))
}

fn lab(upstream: &Upstream) -> String {
    format!("lab={}", upstream.base_url())
}

fn models(names: &[&str]) -> Script {
    let data: Vec<_> = names.iter().map(|name| json!({ "id": name, "object": "model" })).collect();
    Script::json(200, &json!({ "object": "list", "data": data }))
}

/// The names in a folder.
fn files(folder: &Path) -> Vec<String> {
    std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn flags_alone_make_a_configuration_that_serves() {
    let (folder, upstream) = (tempfile::tempdir().unwrap(), Upstream::start().await);
    let folder = folder.path();
    upstream.script(models(&["ok", "big/ok"]));
    let server = lab(&upstream);
    let chosen = ["--server", &server, "--model", "lab/ok", "--model", "lab/big/ok", "--fallback", "big/ok"];
    let priced = ["--price", "ok=0.1,0.4", "--price", "lab/big/ok=1,4", "--alpha", "0.8"];
    let said = init(folder, &[&chosen[..], &priced, &ANYWHERE].concat()).succeeded();
    for part in ["\nwrote slarouter.toml\nok: 2 models, 1 routes", "slarouter doctor ", "--json", "dashboard"] {
        assert!(said.contains(part), "{part:?} is not in\n{said}");
    }
    assert!(!said.contains("warning"), "{said}");
    let asked = upstream.requests();
    assert_eq!((asked.len(), &*asked[0].path), (1, "/v1/models"), "the provider of the named models alone");
    let sent = asked[0].headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("authorization")).unwrap();
    assert_eq!(sent.1, format!("Bearer {SECRET}"));
    assert_eq!(files(folder), ["slarouter.toml"]);
    let text = std::fs::read_to_string(folder.join("slarouter.toml")).unwrap();
    assert!(text.contains("api_key = \"${LAB_API_KEY}\"") && !text.contains(SECRET), "{text}");

    let checked = finish(&mut keyed(&["check"], folder)).succeeded();
    assert!(said.contains(&checked), "it said what `check` says: {said}\n{checked}");
    let daemon = Daemon::spawn(&mut keyed(&["serve"], folder).into()).await.unwrap();
    let (status, _, model) = ask(&daemon, None, "what?").await;
    // The fallback, or what is tried beside it.
    assert!(status == 200 && ["big/ok", "ok"].contains(&&*model), "{status} {model}");
    let log = stop(daemon).await;
    assert!(!log.contains("base URL"), "steps are for terminals: {log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_written_where_something_is_wrong_or_there() {
    let (folder, upstream) = (tempfile::tempdir().unwrap(), Upstream::start().await);
    let folder = folder.path();
    let server = lab(&upstream);
    let with = |words: &[&str]| init(folder, &[&["--server", &server], words].concat());
    for (words, said) in [
        (&["--yes"][..], "say --model PROVIDER/MODEL, once for each; there are lab"),
        (&["--model", "lab/a", "--model", "lab/b"], "say --fallback MODEL"),
        (&["--model", "lab/a", "--alpha", "1"], "cannot be kept"),
        (&["--model", "lab/a", "--config", "none/slarouter.toml"], "none/slarouter.toml is not written: "),
    ] {
        let error = with(words).stderr;
        assert!(error.contains(said), "{words:?}: {error}");
        assert!(files(folder).is_empty(), "{words:?}");
    }
    std::fs::write(folder.join("slarouter.toml"), "mine").unwrap();
    let error = with(&["--model", "lab/a"]).failed();
    assert!(error.contains("slarouter.toml is there already: --force replaces it"), "{error}");
    assert_eq!(std::fs::read_to_string(folder.join("slarouter.toml")).unwrap(), "mine");
    upstream.set_health(500);
    let said = with(&["--model", "lab/a", "--force"]).succeeded();
    for part in
        [&*format!("lab: {} answers 500; a is taken unseen", upstream.base_url()), "warning: no model costs less"]
    {
        assert!(said.contains(part), "{part:?} is not in\n{said}");
    }
    assert!(std::fs::read_to_string(folder.join("slarouter.toml")).unwrap().contains("[routes.default]"));
}

/// Runs on a terminal: what is written to standard input is typed, and standard output has the screen.
fn on_a_terminal(words: &[&str], folder: &Path) -> tokio::process::Child {
    let mut terminal = tokio::process::Command::new("script");
    terminal.args(["-qec", &format!("exec {BIN} {}", words.join(" ")), "/dev/null"]).current_dir(folder);
    terminal.env("NO_PROXY", "*").env_remove("SLAROUTER_LOG").env_remove("SLAROUTER_LOG_FORMAT");
    terminal.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_on_a_terminal_make_one_too_and_serve_says_how_to_go_on() {
    let (folder, upstream) = (tempfile::tempdir().unwrap(), Upstream::start().await);
    let folder = folder.path();
    upstream.script(models(&["ok", "big/ok"]));
    let server = lab(&upstream);
    let mut asking = on_a_terminal(&[&["init", "--server", &server], &ANYWHERE[..]].concat(), folder);
    // The server that was named stands before those that happen to run here. The second answer is none.
    asking.stdin.take().unwrap().write_all(b"1,2\nboth\n2\n0.1,0.4\n1,4\n\n\n").await.unwrap();
    let mut screen = String::new();
    asking.stdout.take().unwrap().read_to_string(&mut screen).await.unwrap();
    assert!(asking.wait().await.unwrap().success(), "{screen}");
    for part in ["\"both\" is none of the chosen models: say ok or big/ok", "wrote slarouter.toml"] {
        assert!(screen.contains(part), "{part:?} is not in\n{screen}");
    }

    let mut serving = on_a_terminal(&["serve"], folder);
    let mut lines = BufReader::new(serving.stdout.take().unwrap()).lines();
    let mut screen = Vec::new();
    while let Some(line) = lines.next_line().await.unwrap() {
        screen.push(line);
        if screen.last().is_some_and(|line| line.starts_with("dashboard")) {
            // Ctrl-C.
            serving.stdin.as_mut().unwrap().write_all(b"\x03").await.unwrap();
        }
    }
    let ready = screen.iter().find_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let ready = ready.unwrap_or_else(|| panic!("no line of JSON: {screen:?}"));
    let said = screen.join("\n");
    assert!(said.contains(&format!("base URL http://{}/v1", ready["listening"].as_str().unwrap())), "{said}");
    assert!(said.contains(&format!("dashboard  http://{}/dashboard", ready["admin"].as_str().unwrap())), "{said}");
    assert!(serving.wait().await.unwrap().success(), "{said}");
}
