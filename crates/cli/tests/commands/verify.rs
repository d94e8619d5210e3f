//! `slarouter verify` where the saved state is not what the log says; and what all commands do when their reader goes away.

use std::path::Path;
use std::process::Stdio;

use serde_json::Value;
use slarouter_core::Timestamp;
use slarouter_learner::Learning;
use slarouter_testkit::Upstream;

use crate::{ask, command, configure, rate, run, serve, stop};

fn url(folder: &Path) -> String {
    format!("sqlite://{}", folder.join("log.db").display())
}

/// A database after so many requests, the first of them rated.
async fn used(folder: &Path, upstream: &Upstream, requests: usize) {
    configure(folder, &upstream.base_url(), "", "");
    let daemon = serve(folder).await;
    for request in 0..requests {
        let (status, id, _) = ask(&daemon, None, "what?").await;
        assert_eq!(status, 200);
        if request == 0 {
            rate(&daemon, &id, "up").await;
        }
    }
    stop(daemon).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_difference_is_shown_where_it_is() {
    let upstream = Upstream::start().await;
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    used(one.path(), &upstream, 3).await;
    used(other.path(), &upstream, 5).await;
    assert_eq!(run(&["verify"], one.path()).json()["same"], true);

    // What another gateway has learnt.
    let store = slarouter_store::open(&url(other.path())).await.unwrap();
    let states = Learning::load(store.as_ref()).await.unwrap().states().unwrap();
    store.close().await;
    let store = slarouter_store::open(&url(one.path())).await.unwrap();
    let seq = Learning::load(store.as_ref()).await.unwrap().seq();
    store.save_snapshots(seq, Timestamp(1), states).await.unwrap();
    store.close().await;

    let done = run(&["verify"], one.path());
    assert_eq!(done.code, Some(1), "{}", done.stderr);
    let report: Value = serde_json::from_str(&done.stdout).unwrap();
    let difference = &report["differences"]["default"];
    let parts: Vec<_> = difference["parts"].as_array().unwrap().iter().map(|part| part.as_str().unwrap()).collect();
    assert!(parts.contains(&"account") && parts.contains(&"policy") && !parts.contains(&"encoder"), "{report:#}");
    assert_eq!((&difference["saved"]["requests"], &difference["log"]["requests"]), (&5.into(), &3.into()));
    assert!(done.stderr.contains(&format!("saved at event {seq}")) && done.stderr.contains("DELETE FROM snapshots"));
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_cannot_be_read_are_named_by_verify_and_doctor() {
    let (folder, upstream) = (tempfile::tempdir().unwrap(), Upstream::start().await);
    let folder = folder.path();
    used(folder, &upstream, 2).await;
    let database = rusqlite::Connection::open(folder.join("log.db")).unwrap();
    database
        .execute("UPDATE decisions SET candidates = x'00' WHERE seq = (SELECT MIN(seq) FROM decisions)", [])
        .unwrap();
    let row = |table: &str| {
        let row = database.query_row(&format!("SELECT MIN(seq) FROM {table}"), [], |row| row.get::<_, i64>(0));
        format!("{table} {}", row.unwrap())
    };
    // The first decision, and the rating of it; the saved state knows them still.
    let named = format!("{}, {}", row("decisions"), row("feedback"));
    let done = run(&["verify"], folder);
    let report: Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!((done.code, &report["same"], &report["unreadable"]["count"]), (Some(1), &false.into(), &2.into()));
    assert_eq!(report["differences"]["rows that cannot be read"]["saved"]["count"], 0, "{report:#}");
    assert!(done.stderr.contains(&named), "{}", done.stderr);

    database.execute("DELETE FROM snapshots", []).unwrap();
    drop(database);
    stop(serve(folder).await).await;
    let report = run(&["verify"], folder).json();
    assert_eq!((&report["same"], &report["unreadable"]["rows"][0]["table"]), (&true.into(), &"decisions".into()));
    assert_eq!(report["routes"]["default"]["requests"], 1, "the other one is learnt");
    let told = command(&["doctor"], folder).env("NO_PROXY", "*").output().unwrap();
    let told = String::from_utf8(told.stdout).unwrap();
    let line = told.lines().find(|line| line.starts_with("warn  log: ")).unwrap_or_else(|| panic!("{told}"));
    assert!(
        line.contains(&format!("2 rows cannot be read: {named}."))
            && line.contains("SELECT * FROM decisions WHERE seq ="),
        "{line}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_has_seen_enough_is_no_failure() {
    let (folder, upstream) = (tempfile::tempdir().unwrap(), Upstream::start().await);
    used(folder.path(), &upstream, 1).await;
    for words in [
        &["doctor"][..],
        &["doctor", "--json"],
        &["verify"],
        &["check"],
        &["keys", "list"],
        &["keys", "list", "--json"],
        &["keys", "create", "--name", "web"],
        &["demo", "--json", "--requests", "1", "--rate", "2000"],
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = command(words, folder.path()).env("NO_PROXY", "*").stdout(writer).stderr(Stdio::piped()).output();
        let output = output.unwrap();
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        assert!(output.stderr.is_empty(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
}
