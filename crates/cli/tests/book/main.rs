//! The book is true: its commands are run, its configurations checked, its tables computed anew, and it has one word for one thing.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may fail loudly")]

mod blocks;
mod commands;
mod configurations;
mod tables;
mod words;

use blocks::{pages, root};

/// Each page stands in the book, once.
#[test]
fn every_page_is_in_the_summary() {
    let summary = std::fs::read_to_string(root().join("docs/SUMMARY.md")).unwrap();
    for page in pages().keys() {
        let name = page.file_name().unwrap().to_str().unwrap();
        let named = if page.starts_with("docs") { format!("]({name})") } else { format!("](../{name})") };
        let times = summary.matches(&named).count();
        assert_eq!(times, usize::from(name != "SUMMARY.md"), "{} in docs/SUMMARY.md", page.display());
    }
}
