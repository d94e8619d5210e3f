//! `slarouter check` and `verify` where `[features]` names another encoder than the default.

use std::path::Path;

use serde_json::{Value, json};
use slarouter_testkit::Upstream;

use crate::{ask, configure, rate, run, serve, stop};

fn encoder(name: &str) -> String {
    format!("[features]\nencoder = \"{name}\"")
}

#[test]
fn check_loads_the_encoder_and_shows_it() {
    let folder = tempfile::tempdir().unwrap();
    let check = |features: &str| {
        configure(folder.path(), "http://127.0.0.1:9/v1", features, "");
        run(&["check"], folder.path())
    };
    for (features, shown) in [
        (String::new(), "encoder hashed, version 2, 128 dimensions"),
        (encoder("hashed"), "encoder hashed, version 2, 128 dimensions"),
        (encoder("static"), "encoder static, version 101, 96 dimensions"),
        (encoder("blend"), "encoder blend, version 201, 128 dimensions"),
    ] {
        let text = check(&features).succeeded();
        assert!(text.lines().any(|line| line == format!("  features: {shown}")), "{text}");
    }
    let built = cfg!(feature = "bert");
    for (features, said) in [
        (encoder("word2vec"), "slarouter.toml:"),
        (encoder("bert"), "path"),
        (format!("{}\npath = \"/nowhere\"", encoder("bert")), if built { "config.json" } else { "--features bert" }),
        (format!("{}\npath = \"/nowhere\"", encoder("static")), "slarouter.toml:"),
        (encoder("remote"), "slarouter.toml:"),
    ] {
        let done = check(&features);
        assert_eq!(done.code, Some(64), "{features}: {}", done.stderr);
        let error = done.failed();
        assert!(error.contains(said) && error.contains("slarouter.toml"), "{features}: {error}");
    }
}

/// Says what `verify` reports, which does not depend on the encoder that the configuration names.
fn verified(folder: &Path, upstream: &Upstream) -> Value {
    let reports = ["hashed", "static", "blend"].map(|name| {
        configure(folder, &upstream.base_url(), &encoder(name), "");
        run(&["verify"], folder).json()
    });
    assert!(reports.iter().all(|report| *report == reports[0]), "{reports:?}");
    let [report, ..] = reports;
    assert_eq!((&report["same"], &report["refused"]), (&json!(true), &json!(0)), "{report}");
    report
}

#[tokio::test(flavor = "multi_thread")]
async fn verify_replays_a_log_with_several_encoders() {
    let (folder, upstream) = (tempfile::tempdir().unwrap(), Upstream::start().await);
    let mut late: Option<String> = None;
    for (round, name) in ["blend", "static", "static", "hashed"].into_iter().enumerate() {
        configure(folder.path(), &upstream.base_url(), &encoder(name), "");
        let daemon = serve(folder.path()).await;
        if let Some(id) = late.take() {
            // A rating of an answer that another encoder saw.
            rate(&daemon, &id, "down").await;
        }
        for number in 0..6 {
            let (status, id, model) = ask(&daemon, None, &format!("question {number} of round {round}")).await;
            assert!(status == 200 && !model.is_empty());
            if number < 5 {
                rate(&daemon, &id, if number % 2 == 0 { "up" } else { "down" }).await;
            } else {
                late = Some(id);
            }
        }
        stop(daemon).await;
        let report = verified(folder.path(), &upstream);
        let (rounds, labels) = (round as u64 + 1, 6 * round as u64 + 5);
        assert_eq!((&report["decisions"], &report["feedback"]), (&json!(6 * rounds), &json!(labels)), "{report}");
        assert_eq!(report["routes"]["default"]["labels"], json!(labels), "{report}");
    }
}
