//! What goes wrong is said once, with its cause.

use std::net::TcpListener;

use tempfile::TempDir;

use crate::{configure, configure_at, run};

/// No part of the message is in it twice, in whatever spelling.
fn said_once(stderr: &str) {
    let last = stderr.lines().last().unwrap_or_default();
    let message = last.strip_prefix("slarouter: ").unwrap_or_else(|| panic!("no error: {stderr}"));
    let parts: Vec<String> = message.split(": ").map(str::to_lowercase).collect();
    for (place, part) in parts.iter().enumerate() {
        let again = parts.iter().skip(place + 1).find(|later| later.contains(part.as_str()));
        assert!(again.is_none(), "{part:?} is said twice: {message}");
    }
}

#[test]
fn errors_say_their_causes_once() {
    let folder = TempDir::new().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = format!("listen = \"{}\"", taken.local_addr().unwrap());
    configure_at(folder.path(), &listen, "http://127.0.0.1:1/v1", "", "");
    let done = run(&["serve"], folder.path());
    assert!(done.code == Some(1) && done.stderr.contains("Address already in use"), "{}", done.stderr);
    said_once(&done.stderr);

    configure(folder.path(), "http://127.0.0.1:1/v1", "", "");
    // What is no database, and what cannot be one.
    let path = folder.path().join("log.db");
    std::fs::write(
        &path,
        "no database, whatever its name says, and longer than a header of SQLite's, which has 100 bytes",
    )
    .unwrap();
    for words in [&["serve"][..], &["verify"], &["keys", "list"]] {
        let done = run(words, folder.path());
        assert!(done.code == Some(1) && done.stderr.contains("not a database"), "{words:?}: {}", done.stderr);
        said_once(&done.stderr);
    }
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    let done = run(&["verify"], folder.path());
    assert_eq!(done.code, Some(1));
    said_once(&done.stderr);

    let done = run(&["keys", "list", "--url", "http://127.0.0.1:1", "--admin-key", "k"], folder.path());
    assert!(done.stderr.contains("http://127.0.0.1:1") && done.stderr.contains("refused"), "{}", done.stderr);
    said_once(&done.stderr);

    let done = run(&["train", "--data", "nowhere.csv", "--out", "warm.bin"], folder.path());
    assert!(done.stderr.contains("nowhere.csv"), "{}", done.stderr);
    said_once(&done.stderr);
}
