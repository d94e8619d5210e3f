//! The scripted upstream as a process, for tests in other languages: prints where it listens as one JSON line, and
//! serves until its standard input closes.

use std::io::{self, Write};

use slarouter_testkit::Upstream;

#[tokio::main]
async fn main() -> io::Result<()> {
    let upstream = Upstream::start().await;
    let ready = serde_json::json!({ "base_url": upstream.base_url(), "listening": upstream.addr().to_string() });
    writeln!(io::stdout(), "{ready}")?;
    tokio::task::spawn_blocking(|| io::copy(&mut io::stdin().lock(), &mut io::sink())).await??;
    Ok(())
}
