//! The scripted upstream as a process, for tests in other languages: prints where it listens as one JSON line, and
//! serves until its standard input closes.
//!
//! `slarouter-testkit-upstream [--listen ADDR] [--model NAME …]`: with models it lists these, and each of them answers.

use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr};

use slarouter_testkit::Upstream;

#[tokio::main]
async fn main() -> io::Result<()> {
    let (mut addr, mut models) = (SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), Vec::new());
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match (&*word, words.next()) {
            ("--listen", Some(value)) => addr = value.parse().map_err(|_| io::Error::other("--listen ADDR"))?,
            ("--model", Some(value)) => models.push(value),
            _ => return Err(io::Error::other("upstream [--listen ADDR] [--model NAME …]")),
        }
    }
    let models: Vec<_> = models.iter().map(String::as_str).collect();
    let upstream = Upstream::bound(addr, &models).await?;
    let ready = serde_json::json!({ "base_url": upstream.base_url(), "listening": upstream.addr().to_string() });
    writeln!(io::stdout(), "{ready}")?;
    tokio::task::spawn_blocking(|| io::copy(&mut io::stdin().lock(), &mut io::sink())).await??;
    Ok(())
}
