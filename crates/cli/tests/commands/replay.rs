//! `slarouter replay` on a small generated data set.

use std::fmt::Write as _;

use tempfile::TempDir;

use crate::{Done, run};

/// Two models: the cheap one satisfies 90 %, the expensive one 70 %.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut text = "prompt_id,prompt,score:cheap,cost:cheap,score:dear,cost:dear".to_owned();
    for row in 0..200 {
        write!(text, "\n{row},question {row},{},0.001,{},0.01", u8::from(row % 10 > 0), u8::from(row % 10 > 2))
            .unwrap();
    }
    std::fs::write(folder.path().join("a.csv"), text).unwrap();
    folder
}

pub(crate) fn replay(more: &[&str]) -> Done {
    run(&[&["replay", "--data", "a.csv", "--alpha", "0.8", "--seeds", "2"], more].concat(), folder().path())
}

#[test]
fn a_fallback_below_alpha_is_named() {
    let text = replay(&["--fallback", "most-expensive"]).succeeded();
    assert!(text.contains("the fallback dear satisfies 0.7000 only, which is below α"), "{text}");
    for named in ["best", "cheap"] {
        let text = replay(&["--fallback", named]).succeeded();
        assert!(!text.contains("the fallback"), "{text}");
    }
    // Other policies have none.
    assert!(!replay(&["--policy", "random", "--fallback", "dear"]).succeeded().contains("the fallback"));
}

#[test]
fn windows_have_a_row_each() {
    let text = replay(&["--window", "50", "--windows", "4"]).succeeded();
    assert!(text.contains("4 windows of 50 requests") && text.contains("% of the windows"), "{text}");
    let rows = text.lines().skip_while(|line| !line.contains("window ")).filter(|line| line.contains('%'));
    assert_eq!(rows.count(), 4, "{text}");
    let json = replay(&["--window", "50", "--windows", "4", "--json"]).json();
    assert_eq!((json["windows"].as_array().unwrap().len(), &json["fallback"]), (4, &"cheap".into()));
}

#[test]
fn what_cannot_be_replayed_is_refused() {
    for (more, said) in [
        (&["--fallback", "nobody"][..], "\"nobody\" is not in the zoo"),
        (&["--window", "0"], "at least 1"),
        (&["--window", "50", "--ordered"], "--ordered"),
        (&["--assurance", "2"], "assurance"),
        (&["--assurance", "0.9", "--policy", "random"], "no"),
    ] {
        let error = replay(more).failed();
        assert!(error.contains(said), "{more:?}: {error}");
    }
}
