//! `[feedback.judge]`: its defaults, and what is wrong with one.

use std::time::Duration;

use slarouter_config::{Config, Judge, VerdictUse};

/// What is made of these keys of `[feedback]`.
fn judged(feedback: &str) -> Result<Option<Judge>, String> {
    let text = format!(
        "[feedback]\n{feedback}\n[[models]]\nname = \"m\"\nbase_url = \"http://h/v1\"\nprice = {{ input = 1, output = 2 }}\n\
         [routes.default]\nmodels = [\"m\"]\nsla = {{ satisfaction = 0.9 }}\n"
    );
    Config::parse(&text, &|_| None).map(|config| config.judge).map_err(|errors| errors.to_string())
}

#[test]
fn nobody_judges_unless_asked_to_and_then_as_a_prediction() {
    assert_eq!(judged(""), Ok(None));
    let judge = judged("judge = { model = \"m\", usd_per_day = 0.5 }").unwrap().unwrap();
    assert_eq!((&*judge.model, judge.usd_per_day), ("m", 0.5));
    assert_eq!(judge.counts_as, VerdictUse::Prediction { rate: 1.0 });
    assert_eq!((judge.timeout, judge.max_concurrency, judge.queue), (Duration::from_secs(60), 4, 256));
    assert!(judge.rubric.starts_with("Does the answer satisfy"), "{}", judge.rubric);
    let judge =
        judged("judge = { model = \"m\", usd_per_day = 1, rate = 0.25, rubric = \"Is it JSON?\" }").unwrap().unwrap();
    assert_eq!((judge.counts_as, &*judge.rubric), (VerdictUse::Prediction { rate: 0.25 }, "Is it JSON?"));
    let auditor =
        judged("audit_rate = 0.1\njudge = { model = \"m\", usd_per_day = 1, counts_as = \"audit\" }").unwrap().unwrap();
    assert_eq!(auditor.counts_as, VerdictUse::Audit);
}

#[test]
fn what_cannot_be_is_refused_with_what_would_mend_it() {
    for (judge, told) in [
        ("model = \"n\"", "the judge is none of [[models]]: there are \"m\""),
        ("model = \"m\", counts_as = \"label\"", "counts_as is \"prediction\" or \"audit\""),
        ("model = \"m\", counts_as = \"audit\"", "the judge would have nothing to audit: set feedback.audit_rate"),
        ("model = \"m\", rate = 0", "must be above 0 and at most 1, not 0"),
        ("model = \"m\", rate = 1.5", "must be above 0 and at most 1, not 1.5"),
        ("model = \"m\", rubric = \" \"", "rubric must say when an answer satisfies"),
        ("model = \"m\", max_concurrency = 0", "must be from 1"),
    ] {
        let found = judged(&format!("judge = {{ usd_per_day = 1, {judge} }}")).unwrap_err();
        assert!(found.contains(told), "{judge}: {found}");
        assert_eq!(found.lines().count(), 1, "{found}");
    }
    let found = judged("audit_rate = 1\njudge = { model = \"m\", usd_per_day = 0, counts_as = \"audit\", rate = 0.5 }")
        .unwrap_err();
    assert!(found.contains("what is audited is drawn by feedback.audit_rate"), "{found}");
    assert!(found.contains("must be above 0 and at most 1000000000, not 0"), "{found}");
}
