//! What the pages tell to type is typed.

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use slarouter_testkit::Upstream;

use crate::blocks::{Block, all, root};

/// Pages whose reader has nothing yet; the others speak to who has a gateway that has served.
const FRESH: [&str; 4] = ["README.md", "docs/start.md", "docs/operations.md", "docs/install.md"];
/// What the upstream has, for the ones and the others.
const MODELS: [[&str; 2]; 2] = [["gpt-4o", "gpt-4o-mini"], ["gpt-small", "gpt-large"]];

/// The commands of a page and the transcripts below them, as one script; the output of each goes to `out.LINE`.
fn script(page: &str, blocks: &[&Block], folder: &Path) -> String {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/book");
    let mut text = std::fs::read_to_string(here.join("prelude.sh")).unwrap();
    text.push_str("folder\n");
    if !FRESH.contains(&page) {
        text.push_str("running >/dev/null\n");
    }
    for (place, block) in blocks.iter().enumerate().filter(|(_, block)| runs(block)) {
        let transcript = blocks.get(place + 1).filter(|next| next.mark("printed").is_some());
        let path = folder.join(format!("transcript.{}", block.line));
        std::fs::write(&path, transcript.map_or("", |next| &next.text)).unwrap();
        let out = folder.join(format!("out.{}", block.line));
        writeln!(text, "echo '-- {block}' >&2\ntranscript='{}'\n{{", path.display()).unwrap();
        // What stands apart begins in an empty folder, and leaves what was begun before as it is.
        let (open, close) = if block.mark("apart").is_some() { ("( folder\n", "\n)") } else { ("", "") };
        writeln!(text, "{open}{}{close}\n}} >'{}' </dev/null", block.text, out.display()).unwrap();
    }
    text
}

fn runs(block: &Block) -> bool {
    block.is("sh") && block.mark("not-run").is_none()
}

/// Runs them; each transcript has to be in what the commands above it printed.
async fn run(page: &str, blocks: &[&Block]) {
    let (folder, upstream) =
        (tempfile::tempdir().unwrap(), Upstream::serving(&MODELS[usize::from(!FRESH.contains(&page))]).await);
    let (folder, base_url) = (folder.path(), upstream.base_url());
    let mut command = Command::new("bash");
    command.arg("-c").arg(script(page, blocks, folder)).current_dir(folder).stdin(Stdio::null());
    for name in ["SLAROUTER_LOG", "SLAROUTER_LOG_FORMAT", "SLAROUTER_ADMIN_KEY", "COLUMNS"] {
        command.env_remove(name);
    }
    for provider in ["OPENAI", "ANTHROPIC", "GEMINI", "OPENROUTER", "GROQ", "MISTRAL", "DEEPSEEK", "TOGETHER", "XAI"] {
        command.env_remove(format!("{provider}_API_KEY"));
    }
    for (name, value) in [
        ("REAL", env!("CARGO_BIN_EXE_slarouter")),
        ("HERE", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/book")),
        ("UPSTREAM", &*base_url),
        ("OPENAI_BASE_URL", &*base_url),
        ("OPENAI_API_KEY", "sk-of-a-test"),
        ("WORLD", folder.to_str().unwrap()),
        ("NO_PROXY", "*"),
        ("LC_ALL", "C.UTF-8"),
    ] {
        command.env(name, value);
    }
    let done = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let said = |line: usize| std::fs::read_to_string(folder.join(format!("out.{line}"))).unwrap_or_default();
    let printed: String = blocks.iter().map(|block| said(block.line)).collect();
    assert!(done.status.success(), "{page}: {}\n{}\n{printed}", done.status, String::from_utf8_lossy(&done.stderr));
    // From the end, as an update moves what is below it.
    for pair in blocks.windows(2).rev() {
        if runs(pair[0]) && pair[1].mark("printed").is_some() {
            let printed = said(pair[0].line);
            match holds(&printed, pair[1]) {
                Err(_) if std::env::var_os("BOOK_UPDATE").is_some() => update(&printed, pair[1]),
                result => result.unwrap_or_else(|what| panic!("{what}")),
            }
        }
    }
}

/// A transcript's lines follow each other in what was printed; a line `…` stands for any that are left out.
fn holds(printed: &str, transcript: &Block) -> Result<(), String> {
    let lines: Vec<_> = printed.lines().map(str::trim_end).collect();
    if transcript.text.trim().is_empty() {
        return Err(format!("{transcript}: it is empty"));
    }
    let mut from = 0;
    for part in transcript.text.split("…\n") {
        let wanted: Vec<_> = part.lines().map(str::trim_end).collect();
        let found = lines[from..].windows(wanted.len().max(1)).position(|part| part == wanted);
        let Some(found) = found.or(wanted.is_empty().then_some(0)) else {
            return Err(format!("{transcript}: these lines are not in what was printed:\n{part}\nwhich is\n{printed}"));
        };
        from += found + wanted.len();
    }
    Ok(())
}

/// Writes what was printed into the page.
fn update(printed: &str, transcript: &Block) {
    let path = root().join(&transcript.page);
    let page = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<_> = page.lines().collect();
    let end = transcript.line + transcript.text.lines().count();
    let new: Vec<_> = printed.lines().map(str::trim_end).collect();
    let parts = [&lines[..transcript.line], &new[..], &lines[end..]];
    std::fs::write(&path, parts.concat().join("\n") + "\n").unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_do_what_the_pages_say() {
    let all = all();
    let mut pages: Vec<_> = all.iter().map(|block| block.page.to_str().unwrap()).collect();
    pages.dedup();
    let mut ran = 0;
    for page in pages {
        let blocks: Vec<_> = all.iter().filter(|block| block.page.to_str() == Some(page)).collect();
        let count = blocks.iter().filter(|block| runs(block)).count();
        if count > 0 {
            run(page, &blocks).await;
        }
        ran += count;
    }
    assert!(ran > 20, "{ran} blocks ran");
}

/// What is printed here is why a block is not run.
#[test]
fn blocks_that_are_not_run_say_why_and_are_few() {
    let all = all();
    let left: Vec<_> = all.iter().filter_map(|block| Some((block, block.mark("not-run")?))).collect();
    for (block, reason) in &left {
        println!("{block}: not run: {reason}");
        assert!(block.is("sh") && reason.len() > 10, "{block}: {reason:?}");
    }
    let commands = all.iter().filter(|block| block.is("sh")).count();
    assert!(left.len() * 2 < commands, "{} of {commands} blocks of commands are not run", left.len());
}
