//! Secrets in files.

use serde_json::Value;
use slarouter_config::Config;
use slarouter_gateway::Gateway;
use slarouter_testkit::Upstream;
use tempfile::TempDir;

use crate::setup::{question, url};

const ADMIN: &str = "the-administrators-key";

#[tokio::test]
async fn secrets_come_from_files_which_a_reload_reads_again() {
    let (upstream, folder) = (Upstream::start().await, TempDir::new().unwrap());
    let path = |name: &str| folder.path().join(name);
    let write = |name: &str, bytes: &[u8]| std::fs::write(path(name), bytes).unwrap();
    write("client", b"the-first-clients-key\n");
    write("provider", b"sk-first\n");
    let text = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\nadmin_keys = [\"{ADMIN}\"]\napi_keys = ['${{file:{}}}']\n[store]\nurl = '{}'\n\
         [[models]]\nname = \"small\"\nbase_url = \"{}\"\nupstream_model = \"a/ok\"\napi_key = '${{file:{}}}'\n\
         price = {{ input = 1, output = 2 }}\n[routes.default]\nmodels = [\"small\"]\nsla = {{ satisfaction = 0.9 }}\n",
        path("client").display(),
        url(&folder),
        upstream.base_url(),
        path("provider").display(),
    );
    write("slarouter.toml", text.as_bytes());
    let config = Config::load(&path("slarouter.toml")).unwrap();
    let shown = format!("{config:?}");
    assert!(!shown.contains("sk-first") && !shown.contains("the-first"), "{shown}");
    let gateway = Gateway::start(config).await.unwrap();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let ask = async |key: &str| {
        let request = client.post(format!("http://{}/v1/chat/completions", gateway.addr())).bearer_auth(key);
        request.json(&question(false)).send().await.unwrap().status().as_u16()
    };
    let reload = async || {
        let request = client.post(format!("http://{}/admin/reload", gateway.addr())).bearer_auth(ADMIN);
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap())
    };
    let provider = || upstream.requests().last().unwrap().header("authorization").unwrap().to_owned();
    assert_eq!(ask("the-first-clients-key").await, 200);
    assert_eq!(provider(), "Bearer sk-first");

    write("client", b"the-second-clients-key");
    write("provider", b"sk-second\r\n");
    assert_eq!((ask("the-first-clients-key").await, provider()), (200, "Bearer sk-first".to_owned()));
    assert_eq!(reload().await.0, 200);
    assert_eq!((ask("the-first-clients-key").await, ask("the-second-clients-key").await), (401, 200));
    assert_eq!(provider(), "Bearer sk-second");

    // Whatever is wrong with a file, nothing changes, and nobody is shown what is in it.
    for (bytes, what) in [
        (Some(&b"sk-third\xff"[..]), "is not UTF-8 text"),
        (Some(b"\n"), "is empty"),
        (Some(b"sk-third\nsk-third"), "api_key must be printable ASCII"),
        (None, "cannot be read"),
    ] {
        match bytes {
            Some(bytes) => write("provider", bytes),
            None => std::fs::remove_file(path("provider")).unwrap(),
        }
        let (status, answer) = reload().await;
        let answer = answer.to_string();
        assert_eq!(status, 422, "{answer}");
        assert!(answer.contains(what) && !answer.contains("sk-third"), "{answer}");
        assert!(what.starts_with("api_key") || answer.contains("provider"), "{answer}");
        assert_eq!((ask("the-second-clients-key").await, provider()), (200, "Bearer sk-second".to_owned()));
    }
    write("provider", b"sk-fourth");
    assert_eq!((reload().await.0, ask("the-second-clients-key").await), (200, 200));
    assert_eq!(provider(), "Bearer sk-fourth");
    gateway.shutdown().await;
}
