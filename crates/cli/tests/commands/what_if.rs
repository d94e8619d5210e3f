//! `slarouter what-if`, on a database and beside a running gateway.

use slarouter_testkit::Upstream;

use crate::{ask, configure, run, serve, stop};

#[tokio::test(flavor = "multi_thread")]
async fn a_log_is_asked_beside_a_running_gateway() {
    let (folder, upstream) = (tempfile::tempdir().unwrap(), Upstream::start().await);
    let folder = folder.path();
    configure(folder, &upstream.base_url(), "", "");
    let error = run(&["what-if"], folder).failed();
    assert!(error.contains("there is no database"), "{error}");
    let daemon = serve(folder).await;
    for _ in 0..3 {
        assert_eq!(ask(&daemon, None, "what?").await.0, 200);
    }
    stop(daemon).await;

    let daemon = serve(folder).await;
    let plot = folder.join("plot.svg");
    let told = run(&["what-if", "--json", "--plot", plot.to_str().unwrap()], folder).succeeded();
    let answer: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert_eq!((&answer["requests"], &answer["ran"]["labels"]), (&3.into(), &0.into()), "{answer}");
    assert_eq!(answer["frontier"].as_array().unwrap().len(), 21);
    assert!(std::fs::read_to_string(&plot).unwrap().starts_with("<svg "));
    let told = run(&["what-if", "--alpha", "0.5"], folder).succeeded();
    assert!(told.contains("3 decisions, 0 ratings") && told.contains("what ran"), "{told}");
    stop(daemon).await;

    for (arguments, said) in [
        (&["--price", "small"][..], "small=0.15,0.6"),
        (&["--alpha", "0.5", "--without", "small"], "cannot be used with"),
        (&["--policy", "certified"], "`slarouter replay` simulates it"),
        (&["--route", "none"], "the log has no route \"none\""),
    ] {
        let error = run(&[&["what-if"], arguments].concat(), folder).failed();
        assert!(error.contains(said), "{error}");
    }
}
