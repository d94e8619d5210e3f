//! `slarouter alert-test`, and what `slarouter check` says of a fallback that misses its target.

use serde_json::Value;
use slarouter_testkit::{Script, Upstream};

use crate::{configure, run};

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_is_tried_before_it_is_needed() {
    let (folder, receiver) = (tempfile::tempdir().unwrap(), Upstream::start().await);
    let test = |more: &str| {
        configure(folder.path(), "http://127.0.0.1:9/v1", more, "");
        tokio::task::block_in_place(|| run(&["alert-test"], folder.path()))
    };
    let error = test("").failed();
    assert!(error.contains("slarouter.toml has no [[alerts]]"), "{error}");
    let alerts = format!("[[alerts]]\nurl = \"http://{}/sesame\"\nshape = \"alertmanager\"", receiver.addr());
    for status in [200, 200, 403] {
        receiver.script(Script::json(status, &Value::Null));
    }
    assert_eq!(test(&alerts).succeeded(), "ok    127.0.0.1 (alertmanager): took an alert and its end\n");
    let bodies: Vec<_> = receiver.requests().iter().map(|message| message.json()).collect();
    assert_eq!((&bodies[0]["status"], &bodies[1]["status"]), (&"firing".into(), &"resolved".into()));
    let refused = test(&alerts);
    assert_eq!(
        (refused.code, &*refused.stdout),
        (Some(1), "fail  127.0.0.1 (alertmanager): it answered 403 Forbidden\n")
    );
}

#[test]
fn a_fallback_that_is_believed_to_miss_alpha_is_named_where_a_prior_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let check = |prior: &str| {
        configure(folder.path(), "http://127.0.0.1:9/v1", "", "");
        let path = folder.path().join("slarouter.toml");
        let text = std::fs::read_to_string(&path).unwrap();
        let (before, large) = text.split_once("name = \"large\"\n").unwrap();
        std::fs::write(&path, format!("{before}name = \"large\"\n{prior}\n{large}")).unwrap();
        run(&["check"], folder.path()).succeeded()
    };
    let warning = "warning: default: its fallback large is believed to satisfy 0.790 at most, by its prior or warm start, which is below 0.8:";
    assert!(check("prior = 0.79").contains(warning), "{}", check("prior = 0.79"));
    assert!(!check("prior = 0.8").contains("warning"), "{}", check("prior = 0.8"));
    assert!(!check("").contains("warning"), "nobody has said anything");
}

#[test]
fn a_judge_of_its_own_answers_is_named_and_one_that_is_no_model_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let check = |model: &str| {
        configure(folder.path(), "http://127.0.0.1:9/v1", "", "");
        let path = folder.path().join("slarouter.toml");
        let text = std::fs::read_to_string(&path).unwrap();
        let other =
            "[[models]]\nname = \"other\"\nbase_url = \"http://127.0.0.1:9/v1\"\nprice = { input = 1, output = 1 }\n";
        std::fs::write(&path, format!("{text}\n{other}[feedback.judge]\nmodel = \"{model}\"\nusd_per_day = 5\n"))
            .unwrap();
        run(&["check"], folder.path())
    };
    let own = check("large").succeeded();
    assert!(
        own.contains("judge: large, of 1 of the answers, as predictions of what people will say; at most 5 USD a day"),
        "{own}"
    );
    assert!(own.contains("warning: default: large judges its own answers here"), "{own}");
    let other = check("other").succeeded();
    assert!(other.contains("judge: other") && !other.contains("warning"), "{other}");
    let none = check("largest");
    assert_eq!(none.code, Some(64));
    assert!(none.stderr.contains("the judge is none of [[models]]: there are "), "{}", none.stderr);
}
