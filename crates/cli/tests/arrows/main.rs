//! The dependency arrows between the crates, as ARCHITECTURE.md draws them, and between the files in them.
#![expect(clippy::unwrap_used, reason = "a helper of tests may fail loudly")]

mod modules;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use cargo_metadata::{DependencyKind, MetadataCommand};

use modules::{circles, imports, upward};

/// The floors of the gateway, from the lowest up, as ARCHITECTURE.md has them.
const FLOORS: [&[&str]; 8] = [
    &["apart", "aside", "clock", "error", "metrics", "prompts", "sessions", "tls", "words"],
    &["journal", "reloads", "upstream"],
    &["admission", "alerts", "features", "telemetry"],
    &["app", "doctor"],
    &["lookup"],
    &["chat"],
    &["api"],
    &["crate", "fuzz", "serve"],
];
/// Percent of all lines below `crates/*/src` that one crate may hold.
const MOST_LINES: usize = 30;

#[test]
fn arrows_point_down_only() {
    let metadata = MetadataCommand::new().no_deps().other_options(["--offline".to_owned()]).exec().unwrap();
    let mut arrows = BTreeMap::new();
    for package in metadata.workspace_packages() {
        let mut below: Vec<_> = package
            .dependencies
            .iter()
            .filter(|dependency| dependency.kind == DependencyKind::Normal)
            .filter_map(|dependency| dependency.name.strip_prefix("slarouter-"))
            .collect();
        below.sort_unstable();
        arrows.insert(package.name.strip_prefix("slarouter-").unwrap(), below);
    }
    let expected = BTreeMap::from([
        ("core", vec![]),
        ("text", vec![]),
        ("bench", vec![]),
        ("testkit", vec![]),
        ("protocol", vec!["text"]),
        ("config", vec!["core", "protocol", "text"]),
        ("pages", vec!["core"]),
        ("store", vec!["core"]),
        ("lab", vec!["core", "text"]),
        ("learner", vec!["core", "store"]),
        ("report", vec!["core", "learner", "store"]),
        ("export", vec!["core", "store"]),
        ("gateway", vec!["config", "core", "learner", "pages", "protocol", "report", "store", "text"]),
        ("demo", vec!["config", "core", "gateway", "lab"]),
        ("cli", vec!["config", "core", "demo", "export", "gateway", "lab", "learner", "report", "store"]),
    ]);
    assert_eq!(arrows, expected);
}

/// The dependencies of a crate by name, those of its tests aside.
fn dependencies(of: &str) -> Vec<String> {
    let metadata = MetadataCommand::new().no_deps().other_options(["--offline".to_owned()]).exec().unwrap();
    let package = metadata.workspace_packages().into_iter().find(|package| *package.name == of).unwrap();
    let normal = package.dependencies.iter().filter(|dependency| dependency.kind == DependencyKind::Normal);
    normal.map(|dependency| dependency.name.clone()).collect()
}

#[test]
fn the_core_does_no_io() {
    for dependency in dependencies("slarouter-core") {
        let pure = ["crc32fast", "libm", "postcard", "rand_chacha", "rand_core", "serde", "thiserror"];
        assert!(pure.contains(&dependency.as_str()), "{dependency} in the core");
    }
}

#[test]
fn the_protocols_do_no_io() {
    for dependency in dependencies("slarouter-protocol") {
        let pure = ["bytes", "http", "memchr", "serde", "serde_json", "slarouter-text", "thiserror"];
        assert!(pure.contains(&dependency.as_str()), "{dependency} in the protocols");
    }
}

#[test]
fn the_pages_do_no_io() {
    for dependency in dependencies("slarouter-pages") {
        let pure = ["askama", "data-encoding", "sha2", "slarouter-core"];
        assert!(pure.contains(&dependency.as_str()), "{dependency} in the pages");
    }
}

#[test]
fn learning_needs_no_http() {
    for dependency in dependencies("slarouter-learner") {
        let needed = [
            "arc-swap",
            "base64",
            "serde",
            "serde_json",
            "slarouter-core",
            "slarouter-store",
            "thiserror",
            "tokio",
            "tracing",
        ];
        assert!(needed.contains(&dependency.as_str()), "{dependency} in the learner");
    }
}

/// Nothing depends on `testkit` and `bench` but tests, as the arrows say; so they are left out where the binary alone is built.
#[test]
fn a_plain_build_is_of_the_binary_and_what_it_needs() {
    let metadata = MetadataCommand::new().no_deps().other_options(["--offline".to_owned()]).exec().unwrap();
    let built: Vec<_> = metadata.workspace_default_packages().iter().map(|package| package.name.to_string()).collect();
    assert_eq!(built, ["slarouter-cli"]);
}

/// The packages that are compiled into a crate on this machine, those of its tests aside.
fn compiled_into(of: &str) -> BTreeSet<String> {
    let arguments = ["tree", "--offline", "--edges", "normal", "--prefix", "none", "--format", "{p}", "--package", of];
    let listed = Command::new(env!("CARGO")).args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
    assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
    let lines = String::from_utf8(listed.stdout).unwrap();
    lines.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

#[test]
fn what_is_pure_compiles_without_a_runtime_a_server_or_a_database() {
    for (name, barred) in [
        ("slarouter-protocol", &["axum", "hyper", "reqwest", "rusqlite", "slarouter-store", "tokio"][..]),
        ("slarouter-config", &["axum", "hyper", "reqwest", "rusqlite", "slarouter-store", "tokio"]),
        ("slarouter-learner", &["axum", "hyper", "reqwest"]),
    ] {
        let compiled = compiled_into(name);
        assert!(compiled.contains("serde"), "{name}: {compiled:?}");
        for barred in barred {
            assert!(!compiled.contains(*barred), "{barred} is compiled into {name}");
        }
    }
}

/// The folders of sources, by crate.
fn sources() -> BTreeMap<String, PathBuf> {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let folders = fs::read_dir(crates).unwrap().map(|entry| entry.unwrap().path());
    let folders = folders.map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), path.join("src")));
    folders.filter(|(_, path)| path.exists()).collect()
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let sources = sources();
    assert!(sources.len() > 10, "{sources:?}");
    let mut found = BTreeMap::new();
    for (name, src) in sources {
        let imports = imports(&src);
        assert!(!imports.is_empty(), "no imports in {}", src.display());
        found.extend(circles(&imports).into_iter().map(|circle| (circle, name.clone())));
    }
    assert_eq!(found, BTreeMap::new(), "files that import each other, and their crate");
}

#[test]
fn in_the_gateway_no_import_runs_up() {
    let imports = imports(&sources()["gateway"]);
    assert!(imports.len() > 40, "{imports:?}");
    assert_eq!(upward(&imports, &FLOORS), Vec::<String>::new());
}

fn lines(folder: &Path) -> usize {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let lines = |path: PathBuf| match path.extension() {
        _ if path.is_dir() => lines(&path),
        Some(ending) if ending == "rs" => fs::read_to_string(&path).unwrap().lines().count(),
        _ => 0,
    };
    entries.map(lines).sum()
}

#[test]
fn no_crate_outgrows_the_others() {
    let counts: BTreeMap<String, usize> = sources().into_iter().map(|(name, src)| (name, lines(&src))).collect();
    let all: usize = counts.values().sum();
    for (name, count) in &counts {
        assert!(count * 100 <= all * MOST_LINES, "{name} has {count} of {all} lines, over {MOST_LINES} percent");
    }
}

/// A crate with these files.
fn planted(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::TempDir::new().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

#[test]
fn a_planted_circle_is_found() {
    let circle = |files: &[&str]| vec![files.iter().map(|file| (*file).to_owned()).collect::<BTreeSet<_>>()];
    let (lib, a) = ("mod a;\nmod b;\n", "use crate::b::B;\npub(crate) struct A(B);\n");
    for (b, expected) in [
        ("pub(crate) struct B(Option<Box<crate::a::A>>);", circle(&["a", "b"])),
        ("use super::{a::{self, A}, c};", circle(&["a", "b"])),
        ("#[derive(Clone)]\n#[note(of = crate::a::A)]\npub(crate) struct B;", circle(&["a", "b"])),
        ("mod inside { pub(super) fn f() { super::super::a::g(); } }", circle(&["a", "b"])),
        ("fn f() { print!(\"{}\", crate::a::NAME); }", circle(&["a", "b"])),
        // Neither a comment nor a string nor a test is an import of the crate's.
        ("/// As [`crate::a::A`].\npub(crate) struct B; // crate::a", vec![]),
        ("const B: &str = \"crate::a::A\";", vec![]),
        ("pub(crate) struct B;\n#[cfg(test)]\nmod tests { use crate::a::A; }", vec![]),
        ("#[cfg(test)]\nuse crate::a::A;\npub(crate) struct B;", vec![]),
    ] {
        let files = planted(&[("lib.rs", lib), ("a.rs", a), ("b.rs", b)]);
        assert_eq!(circles(&imports(files.path())), expected, "{b}");
    }

    let parts = planted(&[
        ("main.rs", "mod whole;\n"),
        ("whole.rs", "mod part;\n#[cfg(test)]\nmod tests;\nuse part::Part;\nstruct Whole(Part);\n"),
        ("whole/part.rs", "use super::Whole;\npub(super) struct Part(Vec<Whole>);\n"),
        ("whole/tests.rs", "use super::*;\n"),
    ]);
    assert_eq!(circles(&imports(parts.path())), circle(&["whole", "whole::part"]));

    // What a file names for others is the file's where it is defined, and not its own.
    let named = [
        ("lib.rs", "pub mod folder;\n"),
        ("folder.rs", "mod one;\nmod two;\npub use one::One;\npub use two::Two;\n"),
        ("folder/one.rs", "pub struct One;\n"),
        ("folder/two.rs", "pub struct Two(super::One);\n"),
    ];
    assert_eq!(circles(&imports(planted(&named).path())), Vec::<BTreeSet<String>>::new());
    let mut back = named;
    back[2].1 = "pub struct One(Option<Box<crate::folder::Two>>);\n";
    assert_eq!(circles(&imports(planted(&back).path())), circle(&["folder::one", "folder::two"]));
}

#[test]
fn a_planted_import_that_runs_up_is_found() {
    let floors: [&[&str]; 3] = [&["base"], &["middle", "top::part"], &["crate", "top"]];
    let found = |base: &str| {
        let files = planted(&[
            ("lib.rs", "mod base;\nmod middle;\nmod top;\npub use top::Top;\n"),
            ("base.rs", base),
            ("middle.rs", "pub(crate) use crate::top::part::Part;\nuse crate::base::Base;\n"),
            ("top.rs", "pub(crate) mod part;\npub struct Top(crate::middle::Part, part::Part);\n"),
            ("top/part.rs", "pub(crate) struct Part(crate::base::Base);\n"),
        ]);
        upward(&imports(files.path()), &floors)
    };
    assert_eq!(found("pub(crate) struct Base;"), Vec::<String>::new());
    assert_eq!(found("use crate::top::part;"), ["base on floor 1 imports top::part on floor 2"]);
    assert_eq!(found("fn f() -> crate::Top { todo!() }"), ["base on floor 1 imports top on floor 3"]);
    let lost = planted(&[("lib.rs", "mod a;\nuse a::A;\n"), ("a.rs", "pub(crate) struct A;\n")]);
    assert_eq!(upward(&imports(lost.path()), &[&["crate"]]), ["a stands on no floor"]);
}
