//! `slarouter train`, and a gateway that begins with what it wrote.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Value, json};
use slarouter_testkit::{Daemon, Upstream};

use crate::{client, configure, rate, run, serve, stop};

const EASY: &str = "Say hello to guest number 7";
const HARD: &str = "Prove the theorem number 7";

/// Judged answers: the small model can greet and cannot prove.
fn judged(folder: &Path, rows: usize) {
    let mut text = "prompt,model,score\n".to_owned();
    for row in 0..rows {
        for (prompt, model, score) in [
            ("Say hello to guest", "small", 1.0),
            ("Prove the theorem", "small", 0.0),
            ("Prove the theorem", "large", 1.0),
            ("Prove the theorem", "foreign", 0.5),
        ] {
            writeln!(text, "\"{prompt} number {row}\",{model},{score}").unwrap();
        }
    }
    std::fs::write(folder.join("judged.csv"), text).unwrap();
}

const TRAIN: [&str; 5] = ["train", "--data", "judged.csv", "--out", "warm.bin"];

/// What the running gateway predicts of the small model.
async fn predicted(daemon: &Daemon, prompt: &str) -> f64 {
    let body = json!({ "messages": [{ "role": "user", "content": prompt }] });
    let answer = client().post(format!("http://{}/v1/route", daemon.addr())).json(&body).send().await.unwrap();
    let decision: Value = answer.json().await.unwrap();
    let candidates = decision["candidates"].as_array().unwrap();
    let small = candidates.iter().find(|candidate| candidate["model"] == "small").unwrap();
    small["predicted_satisfaction"].as_f64().unwrap_or_else(|| panic!("{decision}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_begins_with_what_was_trained() {
    let (folder, upstream) = (tempfile::tempdir().unwrap(), Upstream::start().await);
    let folder = folder.path();
    judged(folder, 50);
    configure(folder, &upstream.base_url(), "", "");
    let daemon = serve(folder).await;
    let cold = (predicted(&daemon, EASY).await, predicted(&daemon, HARD).await);
    stop(daemon).await;
    std::fs::remove_file(folder.join("log.db")).unwrap();

    let said = run(&TRAIN, folder).succeeded();
    for line in [
        "150 judged answers to 200 prompts",
        "50 answers of models that route default does not have were passed over",
        "  small: 100, mean 0.500",
        "  large: 50, mean 1.000",
        "written to warm.bin: set warm_start of route default to it",
    ] {
        assert!(said.lines().any(|said| said == line), "{line:?} is missing in\n{said}");
    }
    // The same file gives the same bytes.
    let bytes = std::fs::read(folder.join("warm.bin")).unwrap();
    run(&TRAIN, folder).succeeded();
    assert_eq!(std::fs::read(folder.join("warm.bin")).unwrap(), bytes);

    configure(folder, &upstream.base_url(), "", "warm_start = \"warm.bin\"");
    run(&["check"], folder).succeeded();
    let daemon = serve(folder).await;
    let warm = (predicted(&daemon, EASY).await, predicted(&daemon, HARD).await);
    stop(daemon).await;
    assert!((cold.0 - cold.1).abs() < 0.01, "{cold:?}");
    assert!(warm.0 > 0.7 && warm.1 < 0.3, "{warm:?}");
    // It is in the log: the file is needed no more, and a replay begins with it too.
    std::fs::remove_file(folder.join("warm.bin")).unwrap();
    let report = run(&["verify"], folder).json();
    assert_eq!((&report["same"], &report["refused"]), (&json!(true), &json!(0)), "{report}");
}

#[test]
fn what_cannot_be_learnt_from_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    judged(folder, 2);
    configure(folder, "http://127.0.0.1:9/v1", "", "");
    std::fs::write(folder.join("bad.csv"), "prompt,model,score\nwhat?,small,1\nwhat?,small,2\n").unwrap();
    std::fs::write(folder.join("foreign.csv"), "prompt,model,score\nwhat?,other,1\n").unwrap();
    std::fs::write(folder.join("empty.csv"), "").unwrap();
    std::fs::write(folder.join("broken.toml"), "[models").unwrap();
    let train = |data: &str, more: &[&str]| {
        run(&[&["train", "--data", data, "--out", "new.bin"], more].concat(), folder).failed()
    };
    for (data, more, said) in [
        ("bad.csv", &[][..], "line 3, column \"score\": \"2\" is no number from 0 to 1"),
        ("foreign.csv", &[], "no score of a model of the route"),
        ("empty.csv", &[], "the column \"prompt\" is missing"),
        ("nowhere.csv", &[], "nowhere.csv"),
        ("judged.csv", &["--route", "other"], "there is no route \"other\"; the configuration has default"),
        ("judged.csv", &["--worth", "0"], "--worth must be a positive number"),
        ("judged.csv", &["--worth", "NaN"], "--worth must be a positive number"),
        ("judged.csv", &["--config", "nowhere.toml"], "nowhere.toml"),
        ("judged.csv", &["--config", "broken.toml"], "broken.toml:1:"),
    ] {
        let error = train(data, more);
        assert!(error.contains(said), "{data} {more:?}: {error}");
        assert!(!folder.join("new.bin").exists(), "{data} {more:?}");
    }
    let error = run(&["train", "--data", "judged.csv", "--out", "nowhere/warm.bin"], folder).failed();
    assert!(error.contains("nowhere/warm.bin"), "{error}");
    let remote = "[features]\nencoder = \"remote\"\nbase_url = \"http://127.0.0.1:9/v1\"\nmodel = \"m\"\ndim = 8";
    configure(folder, "http://127.0.0.1:9/v1", remote, "");
    let error = train("judged.csv", &[]);
    assert!(error.contains("train cannot ask a remote encoder"), "{error}");
}

/// `check` and `serve` say the same of a file that a route cannot begin with, and the log stays without it.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_route_cannot_begin_with_is_refused() {
    let (folder, upstream) = (tempfile::tempdir().unwrap(), Upstream::start().await);
    let folder = folder.path();
    judged(folder, 2);
    configure(folder, &upstream.base_url(), "", "");
    run(&TRAIN, folder).succeeded();
    let bytes = std::fs::read(folder.join("warm.bin")).unwrap();
    std::fs::write(folder.join("cut.bin"), &bytes[..bytes.len() - 1]).unwrap();
    std::fs::write(folder.join("other.bin"), "what?").unwrap();
    for (file, features, said) in [
        ("cut.bin", "", "make it with `slarouter train`"),
        ("other.bin", "", "make it with `slarouter train`"),
        ("nowhere.bin", "", "nowhere.bin"),
        ("warm.bin", "[features]\nencoder = \"static\"", "train again with this [features]"),
    ] {
        configure(folder, &upstream.base_url(), features, &format!("warm_start = \"{file}\""));
        for word in ["check", "serve"] {
            let error = run(&[word], folder).failed();
            assert!(error.contains(said) && error.contains(file), "{word} with {file}: {error}");
        }
    }
}

/// The log's own answers teach like those of a file, with the features that they were decided from.
#[tokio::test(flavor = "multi_thread")]
async fn the_log_of_a_gateway_is_judged_answers_too() {
    let (folder, upstream) = (tempfile::tempdir().unwrap(), Upstream::start().await);
    let folder = folder.path();
    configure(folder, &upstream.base_url(), "", "");
    let daemon = serve(folder).await;
    for (n, rating) in ["up", "down", "up"].into_iter().enumerate() {
        let ask = json!({ "model": "small", "messages": [{ "role": "user", "content": format!("question {n}") }] });
        let url = format!("http://{}/v1/chat/completions", daemon.addr());
        let answer = client().post(url).json(&ask).send().await.unwrap();
        let id = answer.headers()["x-request-id"].to_str().unwrap().to_owned();
        // What is said last counts.
        rate(&daemon, &id, "down").await;
        rate(&daemon, &id, rating).await;
    }
    stop(daemon).await;
    let said = run(&["train", "--data", "log.db", "--out", "warm.bin"], folder).succeeded();
    assert!(said.contains("3 judged answers to 3 prompts") && said.contains("  small: 3, mean 0.667"), "{said}");
    configure(folder, &upstream.base_url(), "[features]\nencoder = \"static\"\n", "");
    let error = run(&["train", "--data", "log.db", "--out", "other.bin"], folder).failed();
    assert!(error.contains("its 5 ratings are of answers that were decided with another encoder"), "{error}");
}
