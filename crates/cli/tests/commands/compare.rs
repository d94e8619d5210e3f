//! `slarouter compare` on small generated data sets.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Stdio;

use serde_json::Value;
use tempfile::TempDir;

use crate::{Done, command, run};

const MODELS: [(&str, f64); 3] = [("small", 1e-5), ("middle", 1e-4), ("large", 1e-3)];

/// Two kinds of prompts, told apart by their words; the small model can do the first. In the form that the data sets have.
fn data(folder: &Path, name: &str, rows: usize) {
    let mut text = "prompt_id,benchmark,prompt".to_owned();
    for (model, _) in MODELS {
        write!(text, ",score:{model},cost:{model}").unwrap();
    }
    for row in 0..rows {
        let hard = usize::from(row.is_multiple_of(3));
        write!(text, "\n{row},{name},\"{}, number {row}\"", ["Say hello to guest", "Prove the theorem"][hard]).unwrap();
        for (model, (_, cost)) in MODELS.iter().enumerate() {
            let luck = (row * 7_919 + model * 31) % 1_000;
            write!(text, ",{},{cost}", u8::from(luck < [[950, 960, 970], [100, 300, 950]][hard][model])).unwrap();
        }
    }
    std::fs::write(folder.join(format!("{name}.csv")), text).unwrap();
}

fn folder(sets: &[(&str, usize)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    sets.iter().for_each(|(name, rows)| data(folder.path(), name, *rows));
    folder
}

/// `compare` with the data in the working folder.
fn compare(folder: &TempDir, more: &[&str]) -> Done {
    run(&[&["compare", "--data", "."], more].concat(), folder.path())
}

/// What a run leaves behind, in bytes: results, report and the plots, by name.
fn left(out: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    for folder in [out.to_owned(), out.join("plots")] {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                files.push((path.strip_prefix(out).unwrap().display().to_string(), std::fs::read(&path).unwrap()));
            }
        }
    }
    files.sort();
    files
}

#[test]
fn a_quick_run_says_and_keeps_the_same_whatever_the_threads() {
    let folder = folder(&[("hello", 120), ("theorems", 150)]);
    let quick = ["--quick", "--seeds", "2", "--rates", "0.5,1", "--fractions", "0.5"];
    let text = compare(&folder, &[&quick[..], &["--out", "one", "--threads", "1", "--cells"]].concat()).succeeded();
    for part in
        ["hello, operator's zoo, shuffled, 3 models, 120 requests", "theorems, ", "certified against the targets"]
    {
        assert!(text.contains(part), "{part} is missing in\n{text}");
    }
    assert!(text.find("certified against the targets") < text.find("hello, operator's zoo"), "the summary comes first");
    for contender in ["certified", "slarouter", "best-single", "linucb"] {
        assert!(text.lines().any(|line| line.contains(contender)), "{contender} is missing in\n{text}");
    }
    assert!(text.ends_with(&format!("Report and plots: {}\n", Path::new("one").join("report.md").display())), "{text}");
    let again = compare(&folder, &[&quick[..], &["--out", "two", "--threads", "3", "--cells"]].concat()).succeeded();
    assert_eq!(again.replace("two", "one"), text);
    let [one, two] = ["one", "two"].map(|out| left(&folder.path().join(out)));
    assert_eq!(one, two);
    let names: Vec<_> = one.iter().map(|(name, _)| &**name).collect();
    for name in ["report.json", "report.md", "results.jsonl"] {
        assert!(names.contains(&name), "{names:?}");
    }
    assert!(names.iter().any(|name| name.starts_with("plots/") && name.ends_with(".svg")), "{names:?}");
    // Without --out the same figures, and nothing is kept.
    let json = compare(&folder, &[&quick[..], &["--json"]].concat()).json();
    let report = one.iter().find(|(name, _)| name == "report.json").unwrap();
    assert_eq!(json, serde_json::from_slice::<Value>(&report.1).unwrap());
}

#[test]
fn streams_and_harm_are_told() {
    let folder = folder(&[("a", 200)]);
    let words = ["--quick", "--window", "60", "--windows", "7", "--rates", "0.5", "--assurance", "0.8,0.95"];
    let text = compare(&folder, &[&words[..], &["--policies", "certified,cheapest"]].concat()).succeeded();
    for part in ["Do no harm", "First window, and windows 6 on", "certified:assurance=0.8", "7 windows of 60 requests"]
    {
        assert!(text.contains(part), "{part} is missing in\n{text}");
    }
    let json = compare(&folder, &[&words[..], &["--policies", "certified", "--json"]].concat()).json();
    assert_eq!(json["streams"][0]["windows"].as_array().unwrap().len(), 7);
    assert_eq!(json["harm"][0]["name"], "certified:assurance=0.8");
}

#[test]
fn a_run_that_was_killed_goes_on_where_it_was() {
    let folder = folder(&[("a", 300), ("b", 300)]);
    let words = ["compare", "--data", ".", "--quick", "--threads", "1", "--out"];
    run(&[&words[..], &["whole"]].concat(), folder.path()).succeeded();
    let lines = |out: &str| {
        let text = std::fs::read_to_string(folder.path().join(out).join("results.jsonl")).unwrap_or_default();
        text.lines().filter(|line| serde_json::from_str::<Value>(line).is_ok()).map(str::to_owned).collect::<Vec<_>>()
    };
    let all = lines("whole");
    assert!(all.len() > 50, "{}", all.len());
    let mut child = command(&[&words[..], &["cut"]].concat(), folder.path()).stdout(Stdio::null()).spawn().unwrap();
    while lines("cut").len() < 5 {
        assert!(child.try_wait().unwrap().is_none(), "it has ended by itself");
    }
    child.kill().unwrap();
    assert!(!child.wait().unwrap().success());
    let kept = lines("cut");
    assert!(kept.len() < all.len(), "there is nothing left to do");
    // Results that are kept are not made again: one that is altered stays so.
    let path = folder.path().join("cut/results.jsonl");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replacen("\"about\":\"", "\"about\":\"kept: ", 1)).unwrap();
    run(&[&words[..], &["cut"]].concat(), folder.path()).succeeded();
    let after = lines("cut");
    assert_eq!(after.iter().filter(|line| line.contains("\"about\":\"kept: ")).count(), 1);
    assert_eq!(after.iter().map(|line| line.replace("kept: ", "")).collect::<Vec<_>>(), all);
    let reports = |out: &str| {
        left(&folder.path().join(out)).into_iter().filter(|(name, _)| name != "results.jsonl").collect::<Vec<_>>()
    };
    assert_eq!(reports("cut"), reports("whole"));
    // And all are made again if that is asked for.
    run(&[&words[..], &["cut", "--fresh"]].concat(), folder.path()).succeeded();
    assert_eq!(left(&folder.path().join("cut")), left(&folder.path().join("whole")));
}

#[test]
fn what_cannot_be_compared_is_refused_with_its_place() {
    let folder = folder(&[("good", 30)]);
    let path = |name: &str| folder.path().join(name);
    std::fs::create_dir(path("empty")).unwrap();
    std::fs::create_dir(path("bad")).unwrap();
    data(&path("bad"), "zeroeval", 20);
    let header = "prompt_id,prompt,score:a,cost:a,score:b,cost:b\n";
    for (name, rows) in [
        ("word", "1,hi,1,1,0,2\n2,ho,good,1,0,2\n"),
        ("nan", "1,hi,1,1,0,2\n2,ho,NaN,1,0,2\n"),
        ("short", "1,hi,1,1,0,2\n2,ho,1,1\n"),
        ("minus", "1,hi,1,1,0,2\n2,ho,1,-1,0,2\n"),
        ("none", ""),
    ] {
        std::fs::write(path("bad").join(format!("{name}.csv")), format!("{header}{rows}")).unwrap();
    }
    for (data, more, said) in [
        ("empty", &[][..], "no *.csv"),
        ("nowhere", &[], "name one with --data"),
        (".", &["--datasets", "other"], "it has good"),
        ("bad", &["--datasets", "word"], "line 3, column \"score:a\""),
        ("bad", &["--datasets", "nan"], "line 3, column \"score:a\""),
        ("bad", &["--datasets", "short"], "line 3: 4 fields where the header has 6"),
        ("bad", &["--datasets", "minus"], "line 3, column \"cost:a\""),
        ("bad", &["--datasets", "none"], "none.csv"),
        // A set of the protocol without the models of its operator's zoo.
        ("bad", &["--datasets", "zeroeval"], "gemma-2-2b-it"),
        (".", &["--policies", "fixed:nobody"], "nobody"),
        (".", &["--policies", "linucp"], "linucb"),
        (".", &["--fractions", "nan"], "between 0 and 1"),
        (".", &["--rates", "1.5"], "between 0 and 1"),
        (".", &["--seeds", "0"], "at least one seed"),
        (".", &["--limit", "0"], "at least one row"),
        (".", &["--zoo", "mine"], "operator"),
        (".", &["--order", "sorted"], "shuffled"),
        (".", &["--encoder", "word2vec"], "hashed"),
        (".", &["--fresh"], "--out"),
        (".", &["--fallback", "nobody"], "\"nobody\" is not in the zoo"),
        (".", &["--assurance", "1"], "strictly between 0 and 1"),
        (".", &["--window", "0"], "at least one request in a window"),
        (".", &["--windows", "5"], "--window"),
        (".", &["--window", "9", "--order", "source"], "--order"),
        // A folder cannot be where a file is.
        (".", &["--out", "good.csv"], "name another folder with --out"),
        (".", &["--out", "good.csv/below"], "name another folder with --out"),
    ] {
        let error = run(&[&["compare", "--quick", "--data", data], more].concat(), folder.path()).failed();
        assert!(error.contains(said), "{more:?}: {error}");
    }
    let report = path("report");
    std::fs::create_dir_all(report.join("report.md")).unwrap();
    let error = compare(&folder, &["--quick", "--policies", "cheapest", "--out", "report"]);
    assert!(error.code == Some(1) && error.stderr.contains("report.md"), "{}", error.stderr);
}
