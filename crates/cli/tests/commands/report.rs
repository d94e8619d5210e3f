//! `slarouter report`, on a database and beside a running gateway.

use slarouter_testkit::Upstream;

use crate::{ask, configure, run, serve, stop};

/// Whenever the test runs.
const EVER: [&str; 5] = ["report", "--from", "2020-01", "--to", "2100-01"];

#[tokio::test(flavor = "multi_thread")]
async fn a_report_is_made_again_to_the_byte_whatever_came_later() {
    let (folder, upstream) = (tempfile::tempdir().unwrap(), Upstream::start().await);
    let folder = folder.path();
    configure(folder, &upstream.base_url(), "", "");
    let error = run(&EVER, folder).failed();
    assert!(error.contains("there is no database"), "{error}");
    let daemon = serve(folder).await;
    for _ in 0..3 {
        assert_eq!(ask(&daemon, None, "what?").await.0, 200);
    }
    stop(daemon).await;

    let mut files = Vec::new();
    for format in ["html", "md", "json"] {
        let text = run(&[&EVER[..], &["--format", format]].concat(), folder).succeeded();
        let file = folder.join(format!("report.{format}"));
        std::fs::write(&file, &text).unwrap();
        files.push((file.display().to_string(), text));
    }
    let facts: serde_json::Value = serde_json::from_str(&files[2].1).unwrap();
    let routes: Vec<_> =
        facts["months"].as_array().unwrap().iter().flat_map(|month| month["routes"].as_array().unwrap()).collect();
    assert_eq!(
        (routes.len(), &routes[0]["requests"], &routes[0]["verdict"]),
        (1, &3.into(), &"not_decided".into()),
        "{facts}"
    );

    // More is asked, and the reports are as they were, also while a gateway runs.
    let daemon = serve(folder).await;
    assert_eq!(ask(&daemon, None, "what?").await.0, 200);
    for (file, text) in &files {
        assert!(run(&["report", "--verify", file], folder).succeeded().starts_with("the same"), "{file}");
        std::fs::write(file, text.replace("Not decided", "Kept").replace("not_decided", "kept")).unwrap();
        let error = run(&["report", "--verify", file], folder).failed();
        assert!(error.contains("is not what the log says; line"), "{error}");
    }
    stop(daemon).await;
    let error = run(&["report", "--from", "November"], folder).failed();
    assert!(error.contains("--from \"November\" must be a day from 1970 on"), "{error}");
    let error = run(&["report", "--from", "2026-11", "--to", "2026-11-01"], folder).failed();
    assert!(error.contains("--to must be after from"), "{error}");
}
