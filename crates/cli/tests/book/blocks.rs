//! The blocks of code in the pages.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

/// A fenced block.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    pub(crate) page: PathBuf,
    /// Of its fence, from 1.
    pub(crate) line: usize,
    pub(crate) language: String,
    /// What else the fence says, as in `not-run="it takes an hour"`; the value is empty where there is only a word.
    pub(crate) marks: BTreeMap<String, String>,
    pub(crate) text: String,
}

impl Block {
    pub(crate) fn mark(&self, name: &str) -> Option<&str> {
        self.marks.get(name).map(String::as_str)
    }

    pub(crate) fn is(&self, language: &str) -> bool {
        self.language == language
    }
}

impl fmt::Display for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.page.display(), self.line)
    }
}

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// The pages of the book that tell how to use the program, by their path from the root of the repository.
pub(crate) fn pages() -> BTreeMap<PathBuf, String> {
    let folder = std::fs::read_dir(root().join("docs")).unwrap();
    let names = folder.map(|entry| Path::new("docs").join(entry.unwrap().file_name()));
    let pages = names.filter(|path| path.extension().is_some_and(|kind| kind == "md"));
    let read = |path: PathBuf| (path.clone(), std::fs::read_to_string(root().join(path)).unwrap());
    pages.chain([PathBuf::from("README.md")]).map(read).collect()
}

pub(crate) fn all() -> Vec<Block> {
    pages().iter().flat_map(|(path, text)| blocks(path, text)).collect()
}

/// The fenced blocks of a text.
pub(crate) fn blocks(page: &Path, text: &str) -> Vec<Block> {
    let (mut found, mut open): (Vec<Block>, bool) = (Vec::new(), false);
    for (line, words) in (1..).zip(text.lines()) {
        match words.strip_prefix("```") {
            Some(_) if open => open = false,
            Some(fence) => {
                let (language, marks) = fence.split_once(' ').unwrap_or((fence, ""));
                let (page, language, marks) = (page.to_owned(), language.to_owned(), read(marks));
                found.push(Block { page, line, language, marks, text: String::new() });
                open = true;
            }
            None if open => {
                let block = found.last_mut().unwrap();
                block.text.push_str(words);
                block.text.push('\n');
            }
            None => {}
        }
    }
    assert!(!open, "{}: a block has no end", page.display());
    found
}

/// The lines of a text that are code by four blanks before them, with their numbers.
pub(crate) fn indented(text: &str) -> Vec<usize> {
    let (mut fenced, mut blank, mut list, mut found) = (false, true, false, Vec::new());
    for (number, line) in (1..).zip(text.lines()) {
        fenced ^= line.starts_with("```");
        let starts = line.trim_start();
        if line.starts_with("    ") && !fenced && blank && !list {
            found.push(number);
        }
        blank = starts.is_empty();
        if !blank && !line.starts_with(' ') {
            list = starts.starts_with("- ") || starts.split_once(". ").is_some_and(|(n, _)| n.parse::<u32>().is_ok());
        }
    }
    found
}

/// `name="value" word` as pairs.
fn read(marks: &str) -> BTreeMap<String, String> {
    let (mut found, mut rest) = (BTreeMap::new(), marks.trim());
    while !rest.is_empty() {
        let end = rest.find([' ', '=']).unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        let (value, after) = match after.strip_prefix("=\"") {
            Some(quoted) => quoted.split_once('"').unwrap(),
            None => ("", after),
        };
        found.insert(name.to_owned(), value.to_owned());
        rest = after.trim_start();
    }
    found
}

#[test]
fn fences_are_read() {
    let text =
        "a\n```sh not-run=\"it takes = long\" apart\nls\n\n```\n\n    code\n- list\n\n    of it\n```text\n    x\n```\n";
    let found = blocks(Path::new("a.md"), text);
    assert_eq!(found.len(), 2);
    assert_eq!((found[0].line, &*found[0].text, found[0].mark("not-run")), (2, "ls\n\n", Some("it takes = long")));
    assert_eq!((found[0].mark("apart"), found[0].mark("printed"), found[1].is("text")), (Some(""), None, true));
    assert_eq!(indented(text), [7]);
}
