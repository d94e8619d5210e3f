//! The documents can be read: tables whose cells fit a screen, links and paths that lead somewhere, no file longer than
//! anybody reads.
#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

/// Longest cell of a table in characters; what is longer belongs in a section.
const WIDEST_CELL: usize = 160;
/// Longest document; what a command can make again does not belong in the tree.
const MOST_LINES: usize = 500;
const MOST_LINES_OF_A_RECORD: usize = 25;
/// Folders that hold what was built or installed.
const FOREIGN: [&str; 4] = ["target", "node_modules", "venv", "site-packages"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// All files of the repository by their path from its root.
fn files() -> Vec<PathBuf> {
    let root = root();
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let (path, name) = entry.map(|entry| (entry.path(), entry.file_name())).unwrap();
            let name = name.to_str().unwrap();
            if path.is_dir() && !path.is_symlink() && !name.starts_with('.') && !FOREIGN.contains(&name) {
                folders.push(path);
            } else {
                found.push(path.strip_prefix(&root).unwrap().to_owned());
            }
        }
    }
    found
}

/// The repository's Markdown files by their path from its root.
fn documents() -> BTreeMap<PathBuf, String> {
    let root = root();
    let documents = files().into_iter().filter(|path| path.extension().is_some_and(|kind| kind == "md"));
    let found: BTreeMap<_, _> =
        documents.map(|path| (path.clone(), std::fs::read_to_string(root.join(path)).unwrap())).collect();
    assert!(found.contains_key(Path::new("README.md")) && found.contains_key(Path::new("docs/api.md")), "{found:?}");
    found
}

/// The lines outside of code, with their numbers from 1.
fn prose(text: &str) -> Vec<(usize, &str)> {
    let mut fenced = false;
    let mut is_prose = |line: &str| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        !fence && !fenced && !line.starts_with("    ")
    };
    (1..).zip(text.lines()).filter(|(_, line)| is_prose(line)).collect()
}

/// The cells of a row of a table; a bar that is escaped or in code parts no cells.
fn cells(row: &str) -> Vec<String> {
    let mut cells = vec![String::new()];
    let (mut escaped, mut code) = (false, false);
    for c in row.trim().trim_matches('|').chars() {
        let parts = c == '|' && !escaped && !code;
        code ^= c == '`' && !escaped;
        escaped = c == '\\' && !escaped;
        match cells.last_mut() {
            Some(cell) if !parts => cell.push(c),
            _ => cells.push(String::new()),
        }
    }
    cells
}

/// The targets of the links in a line, code left out.
fn links(line: &str) -> Vec<&str> {
    let plain = line.split('`').step_by(2);
    plain.flat_map(|part| part.split("](").skip(1)).filter_map(|rest| rest.split(')').next()).collect()
}

/// The name by which GitHub links to a heading.
fn anchor(heading: &str) -> String {
    let kept = |c: &char| c.is_alphanumeric() || [' ', '-', '_'].contains(c);
    heading.trim().to_lowercase().chars().filter(kept).map(|c| if c == ' ' { '-' } else { c }).collect()
}

fn anchors(text: &str) -> Vec<String> {
    let headings = prose(text).into_iter().filter(|(_, line)| line.starts_with('#'));
    headings.map(|(_, line)| anchor(line.trim_start_matches('#'))).collect()
}

/// `to` as seen from the folder of `from`, without `..`; `None` if it leads out of the repository.
fn joined(from: &Path, to: &str) -> Option<PathBuf> {
    let mut path = PathBuf::new();
    for part in from.parent().unwrap_or(Path::new("")).join(to).components() {
        match part {
            Component::ParentDir if !path.pop() => return None,
            Component::ParentDir | Component::CurDir => {}
            other => path.push(other),
        }
    }
    Some(path)
}

/// What is wrong with the links of a document, given all of them and whether a file is there.
fn dead_links(path: &Path, all: &BTreeMap<PathBuf, String>, exists: &dyn Fn(&Path) -> bool) -> Vec<String> {
    let mut dead = Vec::new();
    for (number, line) in prose(&all[path]) {
        for link in links(line).into_iter().filter(|link| !link.contains("://") && !link.starts_with("mailto:")) {
            let (file, place) = link.split_once('#').map_or((link, None), |(file, place)| (file, Some(place)));
            let target = if file.is_empty() { Some(path.to_owned()) } else { joined(path, file) };
            let sound = target.is_some_and(|target| {
                let there = |place: &str| all.get(&target).is_some_and(|text| anchors(text).iter().any(|a| a == place));
                exists(&target) && place.is_none_or(there)
            });
            if !sound {
                dead.push(format!("{}:{number}: {link}", path.display()));
            }
        }
    }
    dead
}

#[test]
fn links_lead_to_files_and_headings_that_are_there() {
    let all = documents();
    let root = root();
    let dead: Vec<_> = all.keys().flat_map(|path| dead_links(path, &all, &|file| root.join(file).exists())).collect();
    assert!(dead.is_empty(), "links that lead nowhere:\n{}", dead.join("\n"));
}

/// Paths of source files that a document names in code, by their end; those of records and the changelog are history.
#[test]
fn source_files_that_are_named_are_there() {
    let (files, mut gone) = (files(), Vec::new());
    for (path, text) in documents() {
        if path.starts_with("docs/decisions") || path.ends_with("CHANGELOG.md") {
            continue;
        }
        let all = path.ends_with("ARCHITECTURE.md");
        for (number, line) in prose(&text) {
            let named = line.split('`').skip(1).step_by(2).filter(|word| word.ends_with(".rs") && !word.contains(' '));
            for name in named.filter(|word| all || word.contains('/')) {
                if !files.iter().any(|file| file.ends_with(name)) {
                    gone.push(format!("{}:{number}: {name}", path.display()));
                }
            }
        }
    }
    assert!(gone.is_empty(), "files that are named and not there:\n{}", gone.join("\n"));
}

#[test]
fn cells_of_tables_fit_a_screen() {
    let all = documents();
    let rows =
        all.iter().flat_map(|(path, text)| prose(text).into_iter().map(move |(number, line)| (path, number, line)));
    let wide: Vec<_> = rows
        .filter(|(_, _, line)| line.starts_with('|'))
        .filter(|(_, _, line)| cells(line).iter().any(|cell| cell.trim().chars().count() > WIDEST_CELL))
        .map(|(path, number, _)| format!("{}:{number}", path.display()))
        .collect();
    assert!(wide.is_empty(), "cells over {WIDEST_CELL} characters:\n{}", wide.join("\n"));
}

#[test]
fn rows_of_a_table_have_as_many_cells_as_its_head() {
    for (path, text) in documents() {
        let mut width = None;
        for (number, line) in prose(&text) {
            let found = line.starts_with('|').then(|| cells(line).len());
            assert!(
                width.is_none() || found.is_none() || width == found,
                "{}:{number}: {found:?}, not {width:?}",
                path.display()
            );
            width = found;
        }
    }
}

#[test]
fn no_document_is_longer_than_anybody_reads() {
    for (path, text) in documents() {
        let lines = text.lines().count();
        assert!(lines <= MOST_LINES, "{} has {lines} lines, {MOST_LINES} at most", path.display());
    }
}

#[test]
fn records_of_decisions_are_short_and_listed() {
    let all = documents();
    let folder = Path::new("docs/decisions");
    let index = &all[&folder.join("README.md")];
    let records = all.iter().filter(|(path, _)| path.starts_with(folder) && !path.ends_with("README.md"));
    for (path, text) in records {
        let (name, shown) = (path.file_name().unwrap().to_str().unwrap(), path.display());
        assert!(index.contains(&format!("]({name})")), "{shown} is not in docs/decisions/README.md");
        let headings: Vec<_> = text.lines().filter(|line| line.starts_with("## ")).collect();
        assert_eq!(headings, ["## Context", "## Decision", "## What lost"], "{shown}");
        assert!(text.lines().count() <= MOST_LINES_OF_A_RECORD, "{shown} has over {MOST_LINES_OF_A_RECORD} lines");
    }
}

/// The checks see what they are to see.
#[test]
fn dead_links_and_wide_cells_are_found() {
    let text = "# A `b` c: d\n[one](b.md) [two](#a-b-c-d) [three](c.md#x) `[code](none.md)`\n```\n[fence](none.md)\n```\n\
                [out](../../x) [web](https://example.org) [four](sub/../b.md#here) [five](#none) [six](gone.md)\n";
    let all = BTreeMap::from([
        (PathBuf::from("docs/a.md"), text.to_owned()),
        (PathBuf::from("docs/b.md"), "## Here\n".to_owned()),
        (PathBuf::from("docs/c.md"), String::new()),
    ]);
    let dead = dead_links(Path::new("docs/a.md"), &all, &|file| all.contains_key(file));
    let expected = ["2: c.md#x", "6: ../../x", "6: #none", "6: gone.md"];
    assert_eq!(dead, expected.map(|link| format!("docs/a.md:{link}")));
    assert_eq!(cells("| a `x|y` | b \\| c | |"), [" a `x|y` ", " b \\| c ", " "]);
}
