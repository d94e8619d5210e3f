//! The dependency arrows between the crates, as ARCHITECTURE.md draws them.
#![expect(clippy::unwrap_used, reason = "a helper of tests may fail loudly")]

use std::collections::BTreeMap;

use cargo_metadata::{DependencyKind, MetadataCommand};

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
        ("store", vec!["core"]),
        ("lab", vec!["core", "text"]),
        ("learner", vec!["core", "store"]),
        ("gateway", vec!["config", "core", "learner", "protocol", "store", "text"]),
        ("demo", vec!["config", "core", "gateway", "lab"]),
        ("cli", vec!["config", "core", "demo", "gateway", "lab", "learner", "store"]),
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
