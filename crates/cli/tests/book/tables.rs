//! Tables in the pages that the binary computes. `BOOK_UPDATE=1` writes what is computed now.

use std::process::Command;

use serde_json::Value;
use slarouter_core::told_count;

use crate::blocks::root;

/// A column of the table: what its head says, and the flags that it stands for.
const COLUMNS: [(&str, &[&str]); 5] = [
    ("φ = 0.01", &["--rate", "0.01"]),
    ("φ = 0.05", &["--rate", "0.05"]),
    ("φ = 0.2", &["--rate", "0.2"]),
    ("audits, 0.02", &["--rate", "0.02", "--audits"]),
    ("audits, 0.05", &["--rate", "0.05", "--audits"]),
];
const SATISFACTIONS: [&str; 5] = ["0.91", "0.92", "0.94", "0.96", "0.98"];

/// Labels and answers until α = 0.9 is proven.
fn cell(satisfaction: &str, flags: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_slarouter"));
    command.args(["labels", "--json", "--alpha", "0.9", "--window", "run", "--satisfaction", satisfaction]).args(flags);
    let done = command.output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let known = &serde_json::from_slice::<Value>(&done.stdout).unwrap()["decided"];
    let count = |what: &str| told_count(known[what].as_u64().unwrap());
    format!("{} ({})", count("labels"), count("answers"))
}

#[test]
fn the_table_of_labels_is_what_the_certificate_says() {
    let head: String = COLUMNS.iter().map(|(name, _)| format!(" {name} |")).collect();
    let mut table = vec![format!("| satisfaction |{head}"), format!("| --- |{}", " --- |".repeat(COLUMNS.len()))];
    for satisfaction in SATISFACTIONS {
        let cells: String = COLUMNS.iter().map(|(_, flags)| format!(" {} |", cell(satisfaction, flags))).collect();
        table.push(format!("| {satisfaction} |{cells}"));
    }
    let path = root().join("docs/choosing.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<_> = page.lines().collect();
    let from = lines.iter().position(|line| line.starts_with("| satisfaction |")).unwrap();
    let kept = &lines[from..(from + table.len()).min(lines.len())];
    if std::env::var_os("BOOK_UPDATE").is_some() && kept != table {
        let whole = lines[..from].iter().map(|line| (*line).to_owned()).chain(table.clone());
        let rest = lines[from + table.len()..].iter().map(|line| (*line).to_owned());
        std::fs::write(&path, whole.chain(rest).collect::<Vec<_>>().join("\n") + "\n").unwrap();
    } else {
        assert_eq!(kept, table, "docs/choosing.md: BOOK_UPDATE=1 writes the table anew");
    }
}
