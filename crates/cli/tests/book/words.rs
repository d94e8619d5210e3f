//! One word for one thing: those of `docs/glossary.md`.

use std::path::Path;

use crate::blocks::{pages, root};

/// Lines `other words -> the word`, with commas between those that are not to be used; `*` at the end of one stands for any ending.
const WORDS: &str = include_str!("words.txt");
/// Pages with the words of other products in them.
const FOREIGN: &str = "docs/migrate";

/// What is not to be written, in small letters, whether other endings count too, and what to write.
fn words() -> Vec<(String, bool, &'static str)> {
    let lines = WORDS.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let pairs = lines.map(|line| line.split_once(" -> ").unwrap_or_else(|| panic!("words.txt: {line}")));
    pairs
        .flat_map(|(others, word)| others.split(", ").map(move |other| (other, word)))
        .map(|(other, word)| (other.trim_end_matches('*').to_lowercase(), other.ends_with('*'), word))
        .collect()
}

/// The places of words that are not to be used in a text, code left out.
fn found(text: &str, words: &[(String, bool, &str)]) -> Vec<String> {
    let (mut fenced, mut all) = (false, Vec::new());
    for (number, line) in (1..).zip(text.lines()) {
        fenced ^= line.starts_with("```");
        if fenced {
            continue;
        }
        // What stands in backquotes is a name, and so is where a link leads.
        let plain: String = line.split('`').step_by(2).collect::<Vec<_>>().join(" ");
        let plain: String = plain
            .split("](")
            .enumerate()
            .map(|(n, part)| if n == 0 { part } else { part.split_once(')').map_or("", |(_, rest)| rest) })
            .collect();
        let plain = plain.to_lowercase();
        for (other, any_ending, word) in words {
            let begins = |at: usize| !plain[..at].ends_with(|c: char| c.is_alphanumeric() || c == '-');
            let ends = |at: usize| *any_ending || !plain[at + other.len()..].starts_with(|c: char| c.is_alphanumeric());
            if plain.match_indices(other.as_str()).any(|(at, _)| begins(at) && ends(at)) {
                all.push(format!("{number}: {other:?}: say {word}"));
            }
        }
    }
    all
}

#[test]
fn pages_have_one_word_for_one_thing() {
    let glossary = std::fs::read_to_string(root().join("docs/glossary.md")).unwrap();
    let words = words();
    for (other, _, word) in &words {
        let known = word.split(" or ").all(|word| glossary.to_lowercase().contains(&word.to_lowercase()));
        assert!(known, "words.txt: {word} (for {other}) is not in docs/glossary.md");
    }
    let pages = pages()
        .into_iter()
        .filter(|(page, _)| !page.starts_with("docs") || !page.to_str().unwrap().starts_with(FOREIGN));
    let wrong: Vec<_> = pages
        .flat_map(|(page, text)| found(&text, &words).into_iter().map(move |what| format!("{}:{what}", page.display())))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn words_are_found_in_prose_alone() {
    let words = words();
    let other = &words[0].0;
    let wrong = |text: String| found(&text, &words).len();
    assert_eq!(wrong(format!("A {other} here.")), 1);
    assert_eq!(wrong(format!("`{other}` and [x]({other}.md) and pre{other}\n```text\n{other}\n```\n")), 0);
    assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/book/words.txt").exists());
}
