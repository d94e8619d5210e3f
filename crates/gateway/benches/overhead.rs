//! What the gateway adds to a request: direct against through the gateway, same upstream, interleaved in one run, with
//! learning and durable logging on.

use std::io::Write;
use std::time::Duration;

use serde_json::json;
use slarouter_config::Config;
use slarouter_gateway::Gateway;
use slarouter_testkit::Upstream;
use tokio::time::Instant;

const ROUNDS: usize = 20;
const PER_ROUND: usize = 100;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let upstream = Upstream::start().await;
    let folder = tempfile::tempdir()?;
    let text = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\n[store]\nurl = 'sqlite://{}'\n[[models]]\nname = \"small\"\n\
         base_url = \"{url}\"\nupstream_model = \"ok\"\nprice = {{ input = 0.1, output = 0.4 }}\n[[models]]\n\
         name = \"large\"\nbase_url = \"{url}\"\nupstream_model = \"ok\"\nprice = {{ input = 1, output = 4 }}\n\
         [routes.default]\nmodels = [\"small\", \"large\"]\nsla = {{ satisfaction = 0.9 }}\n",
        folder.path().join("bench.db").display(),
        url = upstream.base_url(),
    );
    let gateway = Gateway::start(Config::parse(&text, &|_| None)?).await?;
    let direct = upstream.base_url();
    let through = format!("http://{}/v1", gateway.addr());
    let client = reqwest::Client::new();
    let mut out = std::io::stdout().lock();
    for streamed in [false, true] {
        let (mut plain, mut routed) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            for (base, model, times) in [(&direct, "ok", &mut plain), (&through, "auto", &mut routed)] {
                for _ in 0..PER_ROUND {
                    times.push(call(&client, base, model, streamed).await?);
                }
            }
        }
        let kind = if streamed { "stream" } else { "plain" };
        for (name, times) in [("direct", &mut plain), ("gateway", &mut routed)] {
            times.sort();
            let at = |share: f64| times[(share * times.len() as f64) as usize].as_secs_f64() * 1e6;
            writeln!(out, "{kind:6} {name:7}  p50 {:6.0} µs  p99 {:6.0} µs", at(0.5), at(0.99))?;
        }
    }
    drop(out);
    gateway.shutdown().await;
    Ok(())
}

async fn call(client: &reqwest::Client, base: &str, model: &str, stream: bool) -> reqwest::Result<Duration> {
    let content = "Explain in two sentences why the sky is blue. ".repeat(20);
    let body = json!({ "model": model, "stream": stream, "messages": [{ "role": "user", "content": content }] });
    let began = Instant::now();
    let reply = client.post(format!("{base}/chat/completions")).json(&body).send().await?;
    reply.error_for_status()?.bytes().await?;
    Ok(began.elapsed())
}
