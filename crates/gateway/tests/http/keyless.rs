//! While there is no key, only programs of this machine are served: no web page, and nothing that a proxy passes on.

use reqwest::Method;
use serde_json::{Value, json};

use crate::setup::{Rig, Settings, error, question};

const PATHS: [(&str, bool); 8] = [
    ("/v1/chat/completions", true),
    ("/v1/messages/count_tokens", true),
    ("/v1/route", true),
    ("/v1/feedback", true),
    ("/v1/audits", false),
    ("/v1/models", false),
    ("/metrics", false),
    ("/admin/keys", false),
];

async fn ask(rig: &Rig, (path, posts): (&str, bool), headers: &[(&str, &str)]) -> (u16, Value) {
    let method = if posts { Method::POST } else { Method::GET };
    let request = rig.client.request(method, rig.url(path));
    let request = if posts { request.body(question(false).to_string()) } else { request };
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap_or_default())
}

#[tokio::test]
async fn web_pages_and_what_a_proxy_passes_on_get_a_403_that_says_how_to_mend_it() {
    let rig = Rig::start(&Settings::default()).await;
    for hostile in [
        // A page that had its own name resolve to this machine.
        &[("host", "evil.example")][..],
        &[("host", "localhost.evil.example")],
        &[("host", "127.0.0.1.evil.example:8080")],
        // A page of another site, which a browser lets send, though not read.
        &[("origin", "https://evil.example")],
        &[("origin", "null"), ("content-type", "text/plain")],
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "same-site")],
        &[("content-type", "text/plain;charset=UTF-8")],
        &[("content-type", "Multipart/Form-Data; boundary=x")],
        // A proxy on this machine.
        &[("x-forwarded-for", "10.0.0.1")],
        &[("x-forwarded-host", "gateway.example")],
        &[("x-forwarded-proto", "https")],
        &[("x-real-ip", "10.0.0.1")],
        &[("cf-connecting-ip", "10.0.0.1")],
        &[("true-client-ip", "10.0.0.1")],
        &[("via", "1.1 proxy")],
        &[("forwarded", "for=10.0.0.1")],
    ] {
        for path in PATHS {
            // What has no body is told by other marks.
            if !path.1 && hostile.iter().all(|(name, _)| *name == "content-type") {
                continue;
            }
            let (status, body) = ask(&rig, path, hostile).await;
            assert_eq!(status, 403, "{path:?} {hostile:?}: {body}");
            let said = body["error"]["message"].as_str().unwrap();
            assert!(said.contains("slarouter keys create"), "{path:?} {hostile:?}: {said}");
        }
    }
    assert!(rig.upstream.requests().is_empty(), "nobody's money was spent");
    rig.stop().await;
}

#[tokio::test]
async fn programs_of_this_machine_are_served_by_each_of_its_names() {
    let rig = Rig::start(&Settings::default()).await;
    for headers in [
        &[][..],
        &[("host", "localhost:8080")],
        &[("host", "LocalHost.:8080")],
        &[("host", "127.0.0.1")],
        &[("host", "[::1]:8080")],
        &[("sec-fetch-site", "none")],
        &[("sec-fetch-mode", "cors")],
        &[("content-type", "application/json")],
    ] {
        for path in [("/v1/chat/completions", true), ("/v1/models", false), ("/metrics", false)] {
            let (status, body) = ask(&rig, path, headers).await;
            assert_eq!(status, 200, "{path:?} {headers:?}: {body}");
        }
    }
    // HTTP/2 has the name in its pseudo-header.
    let client = reqwest::Client::builder().no_proxy().http2_prior_knowledge().build().unwrap();
    assert_eq!(client.get(rig.url("/v1/models")).send().await.unwrap().status(), 200);
    rig.stop().await;
}

#[tokio::test]
async fn with_a_key_or_the_operators_word_other_names_are_served() {
    for (server, key) in
        [("allow_unauthenticated = true", ""), ("api_keys = [\"sixteen-letters-1\"]", "sixteen-letters-1")]
    {
        let rig = Rig::start(&Settings { server, ..Settings::default() }).await;
        for headers in [&[("host", "gateway.example")][..], &[("x-forwarded-for", "10.0.0.1")]] {
            let request = rig.post(&question(false)).bearer_auth(key);
            let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
            assert_eq!(request.send().await.unwrap().status(), 200, "{server} {headers:?}");
        }
        rig.stop().await;
    }
    // A page's name is no way to the first key, whatever the operator allows others.
    let rig = Rig::start(&Settings { server: "allow_unauthenticated = true", ..Settings::default() }).await;
    let new = json!({ "name": "boss", "grants": { "scopes": ["admin"] } });
    let request = rig.client.post(rig.url("/admin/keys")).header("host", "gateway.example").json(&new);
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), 403);
    let body: Value = answer.json().await.unwrap();
    assert_eq!(error(&body)["code"], "no_admin_key");
    rig.stop().await;
}
