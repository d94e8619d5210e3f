//! The dependency arrows between the crates, as ARCHITECTURE.md draws them.

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
        ("store", vec!["core"]),
        ("lab", vec!["core", "text"]),
        ("gateway", vec!["core", "store", "text"]),
        ("demo", vec!["core", "gateway", "lab"]),
        ("cli", vec!["core", "demo", "gateway", "lab", "store"]),
    ]);
    assert_eq!(arrows, expected);
}

#[test]
fn the_core_does_no_io() {
    let metadata = MetadataCommand::new().no_deps().other_options(["--offline".to_owned()]).exec().unwrap();
    let core = metadata.workspace_packages().into_iter().find(|package| *package.name == "slarouter-core").unwrap();
    for dependency in core.dependencies.iter().filter(|dependency| dependency.kind == DependencyKind::Normal) {
        let pure = ["libm", "postcard", "rand_chacha", "rand_core", "serde", "thiserror"];
        assert!(pure.contains(&dependency.name.as_str()), "{} in the core", dependency.name);
    }
}
