//! Bodies that come compressed.

use std::io::Write;

use data_encoding::HEXLOWER;
use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use serde_json::Value;

use crate::setup::{Rig, Settings, error};

const QUESTION: &str = r#"{"model":"auto","messages":[{"role":"user","content":"one two"}]}"#;
/// The question, and 32 MiB of one letter, as Brotli's own encoder writes them.
const BROTLI: &str = "1b4000409c07b673b49d5c2898de7534be16d9db02d96e6f74775a87a5ab6f899481434e046edf6a1e5099d97488121795c3f19c8a58c43ce41af81d";
const BROTLI_BOMB: &str =
    "cbffff3ff825c2e2b14020f7fe8fffff7ff04b00c4611180eefd1fffffffe0970088c30200ddfbbffcffffc32f0110870500baf77f";

fn coded(coding: &str, plain: &[u8]) -> Vec<u8> {
    let best = Compression::best();
    match coding {
        "gzip" | "x-gzip" => {
            let mut encoder = GzEncoder::new(Vec::new(), best);
            encoder.write_all(plain).unwrap();
            encoder.finish().unwrap()
        }
        "deflate" => {
            let mut encoder = ZlibEncoder::new(Vec::new(), best);
            encoder.write_all(plain).unwrap();
            encoder.finish().unwrap()
        }
        "bare deflate" => {
            let mut encoder = DeflateEncoder::new(Vec::new(), best);
            encoder.write_all(plain).unwrap();
            encoder.finish().unwrap()
        }
        "br" if plain == QUESTION.as_bytes() => HEXLOWER.decode(BROTLI.as_bytes()).unwrap(),
        "br" => HEXLOWER.decode(BROTLI_BOMB.as_bytes()).unwrap(),
        "zstd" => zstd::encode_all(plain, 3).unwrap(),
        _ => plain.to_vec(),
    }
}

async fn send(rig: &Rig, codings: &str, body: Vec<u8>) -> (u16, Value, Option<String>) {
    let request = rig.client.post(rig.url("/v1/chat/completions")).header("content-type", "application/json");
    let answer = request.header("content-encoding", codings).body(body).send().await.unwrap();
    let taken = answer.headers().get("accept-encoding").map(|value| value.to_str().unwrap().to_owned());
    (answer.status().as_u16(), answer.json().await.unwrap(), taken)
}

#[tokio::test]
async fn every_usual_coding_is_taken_also_one_upon_another() {
    let rig = Rig::start(&Settings::default()).await;
    let plain = QUESTION.as_bytes();
    let nested = coded("zstd", &coded("gzip", plain));
    let (first, second) = plain.split_at(20);
    let members = [coded("gzip", first), coded("gzip", second)].concat();
    for (codings, body) in [
        ("gzip", coded("gzip", plain)),
        ("X-GZIP", coded("gzip", plain)),
        ("gzip", members),
        ("deflate", coded("deflate", plain)),
        ("deflate", coded("bare deflate", plain)),
        ("br", coded("br", plain)),
        ("zstd", coded("zstd", plain)),
        ("gzip, zstd", nested),
        ("identity", plain.to_vec()),
    ] {
        let (status, body, _) = send(&rig, codings, body).await;
        assert_eq!(
            (status, &body["choices"][0]["message"]["content"]),
            (200, &"You said: one two".into()),
            "{codings}"
        );
    }
    rig.stop().await;
}

#[tokio::test]
async fn what_grows_beyond_the_limit_gets_a_413() {
    let rig = Rig::start(&Settings::default()).await;
    let bomb = vec![b'a'; 32 << 20];
    for coding in ["gzip", "deflate", "br", "zstd"] {
        let body = coded(coding, &bomb);
        assert!(body.len() < 1 << 20, "{coding}");
        let (status, body, _) = send(&rig, coding, body).await;
        assert_eq!((status, &error(&body)["code"]), (413, &"request_too_large".into()), "{coding}");
    }
    // However deep it lies.
    let deep = coded("zstd", &coded("gzip", &coded("gzip", &bomb)));
    assert_eq!(send(&rig, "gzip, gzip, zstd", deep).await.0, 413);
    assert!(rig.called().is_empty());
    rig.stop().await;
}

#[tokio::test]
async fn what_cannot_be_decoded_is_refused_with_its_cause() {
    let rig = Rig::start(&Settings::default()).await;
    for codings in ["compress", "gzip, snappy", "gzip, gzip, gzip, gzip"] {
        let (status, body, taken) = send(&rig, codings, coded("gzip", QUESTION.as_bytes())).await;
        assert_eq!((status, &error(&body)["code"]), (415, &"unsupported_encoding".into()), "{codings}");
        assert!(error(&body)["message"].as_str().unwrap().contains("gzip, zstd, deflate, br"), "{body}");
        assert_eq!(taken.as_deref(), Some("gzip, zstd, deflate, br"));
    }
    for coding in ["gzip", "br", "zstd"] {
        let whole = coded(coding, QUESTION.as_bytes());
        for body in [QUESTION.as_bytes().to_vec(), whole[..whole.len() / 2].to_vec()] {
            let (status, body, _) = send(&rig, coding, body).await;
            assert_eq!((status, &error(&body)["code"]), (400, &"invalid_encoding".into()), "{coding}");
        }
    }
    // A window of a gigabyte, for a body of a few bytes.
    let (status, body, _) = send(&rig, "br", vec![0x11, 0x1e, 0x08, 0x00, 0x80, 0xaa]).await;
    assert_eq!((status, &error(&body)["code"]), (400, &"invalid_encoding".into()));
    assert!(error(&body)["message"].as_str().unwrap().contains("window"), "{body}");
    rig.stop().await;
}
