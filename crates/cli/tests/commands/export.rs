//! `slarouter export`, on a database and beside a running gateway.

use std::fs::{File, read_dir};
use std::path::Path;
use std::process::Command;

use parquet::file::reader::{FileReader, SerializedFileReader};
use slarouter_testkit::Upstream;

use crate::{BIN, ask, configure, finish, rate, run, serve, stop};

/// The names in a folder that begin so, hidden ones too.
fn names(folder: &Path, begin: &str) -> Vec<String> {
    let names = read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter(|name| name.trim_start_matches('.').starts_with(begin)).collect();
    names.sort();
    names
}

/// Rows of all files of Parquet below this folder.
fn rows(folder: &Path) -> i64 {
    let below = read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let count = |path: &Path| {
        SerializedFileReader::new(File::open(path).unwrap()).unwrap().metadata().file_metadata().num_rows()
    };
    below.map(|path| if path.is_dir() { rows(&path) } else { count(&path) }).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_is_exported_beside_a_running_gateway() {
    let (folder, upstream) = (tempfile::tempdir().unwrap(), Upstream::start().await);
    let folder = folder.path();
    configure(folder, &upstream.base_url(), "keep_prompts = true", "");
    let error = run(&["export", "out"], folder).failed();
    assert!(error.contains("there is no database"), "{error}");
    let daemon = serve(folder).await;
    for _ in 0..3 {
        let (status, id, _) = ask(&daemon, None, "what?").await;
        assert_eq!(status, 200);
        rate(&daemon, &id, "up").await;
    }
    // Ratings wait for the disk, and what was logged before them is there with them.
    let said = run(&["export", "out"], folder).json();
    assert_eq!((&said["rows"]["decisions"], &said["rows"]["feedback"]), (&3.into(), &3.into()), "{said}");
    assert_eq!((&said["rows"]["candidates"], &said["unreadable"]), (&6.into(), &0.into()));
    assert_eq!(rows(&folder.join("out/decisions")), 3);
    stop(daemon).await;

    let said = run(&["export", "later", "--format", "csv", "--prompts", "--to", "2020-01"], folder).json();
    assert_eq!((&said["rows"]["decisions"], &said["rows"]["outcomes"]), (&0.into(), &0.into()), "{said}");
    for (arguments, what) in [
        (&["out"][..], "out is there already: name a folder that is not"),
        (&["none/out"], "none/out cannot be written: "),
        (&["new", "--until", "999"], "the log ends at event "),
        (&["new", "--from", "soon"], "--from \"soon\" must be a day"),
        (&["new", "--format", "orc"], "[possible values: parquet, csv]"),
    ] {
        let error = run(&[&["export"], arguments].concat(), folder).failed();
        assert!(error.contains(what), "{error}");
    }
    assert!(names(folder, "new").is_empty());
}

/// Text that no compression makes much smaller; the same in every run.
fn noise(bytes: usize) -> String {
    let mut state = 7_u64;
    let mut letter = || {
        // Knuth's MMIX generator; its upper bits are good enough here.
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(b'0' + (state >> 58) as u8)
    };
    (0..bytes).map(|_| letter()).collect()
}

/// The process may write no file of more than 64 KiB, which the kernel sees to: enough for what SQLite keeps beside a database.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_said_and_nothing_is_left() {
    let (folder, upstream) = (tempfile::tempdir().unwrap(), Upstream::start().await);
    let folder = folder.path();
    configure(folder, &upstream.base_url(), "keep_prompts = true", "");
    let daemon = serve(folder).await;
    assert_eq!(ask(&daemon, None, &noise(200_000)).await.0, 200);
    stop(daemon).await;
    let mut confined = Command::new("sh");
    let script = "trap '' XFSZ; ulimit -S -f 128; exec \"$0\" export full --prompts";
    let error = finish(confined.current_dir(folder).args(["-c", script, BIN])).failed();
    assert!(error.contains(".parquet cannot be written: File too large"), "{error}");
    assert!(names(folder, "full").is_empty(), "{:?}", names(folder, "full"));
    // With room it is there.
    run(&["export", "full", "--prompts"], folder).succeeded();
    assert_eq!(names(folder, "full"), ["full"]);
}
