//! Configurations in the pages: ours are held to what `slarouter check` says, those of other programs are well-formed.

use std::process::Command;

use toml::{Table, Value};

use crate::blocks::{Block, all, pages};

/// What a fragment is put into.
const BASE: &str = "[[models]]\nname = 'small'\nbase_url = 'http://127.0.0.1:9/v1'\nprice = { input = 0.1, output = 0.4 }\n\
                    [[models]]\nname = 'large'\nbase_url = 'http://127.0.0.1:9/v1'\nprice = { input = 2.5, output = 10 }\n\
                    [routes.default]\nmodels = ['small', 'large']\nfallback = 'large'\nsla = { satisfaction = 0.9 }\n";
const SECRET: &str = "a-secret-of-more-than-32-letters-0123456789";

fn table(text: &str, what: &dyn std::fmt::Display) -> Table {
    text.parse().unwrap_or_else(|error| panic!("{what}: {error}"))
}

/// The fragment's keys in the place of the base's. A table of an array that names itself is one more, and another one goes into the first.
fn merge(base: &mut Table, fragment: Table) {
    for (key, value) in fragment {
        let Some(old) = base.get_mut(&key) else {
            base.insert(key, value);
            continue;
        };
        match (old, value) {
            (Value::Table(old), Value::Table(new)) => merge(old, new),
            (Value::Array(old), Value::Array(new)) if new.iter().all(Value::is_table) => {
                for one in new {
                    match (one, old.first_mut()) {
                        (Value::Table(one), Some(Value::Table(first))) if !one.contains_key("name") => {
                            merge(first, one)
                        }
                        (one, _) => old.push(one),
                    }
                }
            }
            (old, value) => *old = value,
        }
    }
}

/// The block as a whole configuration: itself, or what it is a part of.
fn whole(block: &Block) -> String {
    let fragment = table(&block.text, block);
    if fragment.contains_key("models") && fragment.contains_key("routes") && block.mark("in").is_none() {
        return block.text.clone();
    }
    let mut base = table(BASE, block);
    match block.mark("in") {
        Some(place) => {
            let inner = base.get_mut(place).and_then(Value::as_array_mut).and_then(|all| all[0].as_table_mut());
            merge(inner.unwrap_or_else(|| panic!("{block}: there is no {place}")), fragment);
        }
        None => merge(&mut base, fragment),
    }
    base.to_string()
}

/// `slarouter check` of a text; what it says against it.
fn check(block: &Block, text: &str) {
    let folder = tempfile::tempdir().unwrap();
    let text = text.replace("/run/secrets/", &format!("{}/", folder.path().display()));
    std::fs::write(folder.path().join("slarouter.toml"), &text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_slarouter"));
    command.arg("check").current_dir(folder.path());
    for part in text.split("${").skip(1) {
        let name = part.split('}').next().unwrap();
        match name.strip_prefix("file:") {
            Some(path) => std::fs::write(path, SECRET).unwrap(),
            None if name.ends_with("URL") => drop(command.env(name, "http://127.0.0.1:9/")),
            // No two keys may be the same.
            None => drop(command.env(name, format!("{SECRET}-{name}"))),
        }
    }
    let done = command.output().unwrap();
    assert!(done.status.success(), "{block}: {}\n{text}", String::from_utf8_lossy(&done.stderr));
}

#[test]
fn configurations_pass_the_check() {
    let blocks: Vec<_> = all().into_iter().filter(|block| block.is("toml") && block.mark("of").is_none()).collect();
    assert!(blocks.len() > 8, "{blocks:?}");
    for block in blocks {
        check(&block, &whole(&block));
    }
}

#[test]
fn what_is_written_for_other_programs_is_well_formed() {
    let python = "import ast, sys; compile(sys.stdin.read(), 'block', 'exec', ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)";
    for block in all() {
        match &*block.language {
            "toml" => drop(table(&block.text, &block)),
            "json" => drop(
                serde_json::from_str::<serde_json::Value>(&block.text)
                    .unwrap_or_else(|error| panic!("{block}: {error}")),
            ),
            "yaml" => {
                let read: Result<serde_json::Value, _> = serde_saphyr::from_str(&block.text);
                assert!(read.is_ok(), "{block}: {read:?}");
            }
            "python" => {
                let mut compiler = Command::new("python3");
                compiler.args(["-c", python]).stdin(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
                let mut compiler = compiler.spawn().unwrap();
                std::io::Write::write_all(&mut compiler.stdin.take().unwrap(), block.text.as_bytes()).unwrap();
                let done = compiler.wait_with_output().unwrap();
                assert!(done.status.success(), "{block}: {}", String::from_utf8_lossy(&done.stderr));
            }
            _ => {}
        }
    }
}

/// What the languages of fences mean: run, checked, or only shown.
const LANGUAGES: [&str; 11] =
    ["sh", "toml", "json", "yaml", "python", "sql", "rust", "text", "http", "nginx", "promql"];

#[test]
fn every_block_says_what_it_is() {
    for block in all() {
        assert!(LANGUAGES.contains(&&*block.language), "{block}: {:?} is none of {LANGUAGES:?}", block.language);
        let marks = ["not-run", "printed", "apart", "of", "in"];
        assert!(block.marks.keys().all(|mark| marks.contains(&&**mark)), "{block}: {:?}", block.marks);
        let looks_typed =
            |line: &str| ["slarouter ", "curl ", "make ", "cargo "].iter().any(|word| line.starts_with(word));
        let hidden = !block.is("sh") && block.mark("printed").is_none() && block.text.lines().any(looks_typed);
        assert!(!hidden, "{block}: commands belong into blocks of sh");
    }
    for (page, text) in pages() {
        let indented = crate::blocks::indented(&text);
        assert!(indented.is_empty(), "{}: code without a fence in lines {indented:?}", page.display());
    }
}
