//! Floods of HTTP/2 frames: each ends with its connection, and others are served meanwhile.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::setup::{Rig, Settings};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Bytes of a flood that nobody may take, far more than the buffers of both sides hold.
const FLOOD: usize = 64 << 20;
/// A guard against a hang, not a measure.
const PATIENCE: Duration = Duration::from_secs(60);

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// RFC 9113, 4.1.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// The head of a request for this path, as RFC 7541 writes it without its tables: method, scheme, path, authority.
fn head(method: u8, path: &str) -> Vec<u8> {
    let text = |text: &str| [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
    [vec![0x80 | method, 0x86, 0x04], text(path), vec![0x01], text("localhost")].concat()
}

const GET: u8 = 2;
const POST: u8 = 3;

/// What one connection sends, again and again.
struct Flood {
    what: &'static str,
    /// Once, before the others.
    opening: Vec<u8>,
    /// The n-th of the others.
    frames: Box<dyn FnMut(u32) -> Vec<u8>>,
    /// Whether what comes back is read.
    reads: bool,
}

impl Flood {
    fn new(what: &'static str, opening: &[u8], frames: impl FnMut(u32) -> Vec<u8> + 'static) -> Self {
        Self { what, opening: opening.to_vec(), frames: Box::new(frames), reads: true }
    }

    fn deaf(self) -> Self {
        Self { reads: false, ..self }
    }

    /// Sends it; whether the gateway ends the connection before it has taken the whole flood.
    async fn ends(mut self, rig: &Rig) -> bool {
        let stream = TcpStream::connect(rig.gateway.addr()).await.unwrap();
        let (mut reader, mut writer) = stream.into_split();
        let reads = self.reads;
        let reading = tokio::spawn(async move {
            let mut read = [0; 4096];
            while reads && matches!(reader.read(&mut read).await, Ok(1..)) {}
            // Closed no earlier than the other half: that would end the connection from this side.
            std::future::pending::<()>().await;
            drop(reader);
        });
        let opening = [PREFACE, &frame(SETTINGS, 0, 0, &[]), &self.opening].concat();
        let mut sent = writer.write_all(&opening).await;
        let (mut taken, mut round) = (0, 0);
        while sent.is_ok() && taken < FLOOD {
            let piece: Vec<u8> = (0..64).flat_map(|n| (self.frames)(round * 64 + n)).collect();
            (taken, round) = (taken + piece.len(), round + 1);
            sent = timeout(PATIENCE, writer.write_all(&piece)).await.unwrap();
        }
        reading.abort();
        sent.is_err()
    }
}

fn floods() -> Vec<Flood> {
    let odd = |n: u32| 2 * n + 1;
    // A header of 16 kB that is in no table: a name and a value with their lengths.
    let header = [&[0x00, 1, b'x', 0x7f, 0x81, 0x7c][..], &[b'y'; 16_000]].concat();
    let begun = frame(HEADERS, END_STREAM, 1, &head(GET, "/healthz"));
    let reset = move |n| {
        let asked = frame(HEADERS, END_STREAM | END_HEADERS, odd(n), &head(GET, "/healthz"));
        [asked, frame(RESET, 0, odd(n), &8_u32.to_be_bytes())].concat()
    };
    let broken = move |n| {
        let asked = frame(HEADERS, END_HEADERS, odd(n), &head(POST, "/v1/chat/completions"));
        [asked, frame(WINDOW_UPDATE, 0, odd(n), &[0; 4])].concat()
    };
    vec![
        Flood::new("heads without an end", &begun, move |_| frame(CONTINUATION, 0, 1, &header)),
        Flood::new("empty pieces of a head", &begun, |_| frame(CONTINUATION, 0, 1, &[])),
        Flood::new("streams that are reset at once", &[], reset),
        Flood::new("streams that break the protocol", &[], broken),
        Flood::new("settings", &[], |_| frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 9])).deaf(),
        Flood::new("pings", &[], |_| frame(PING, 0, 0, &[7; 8])).deaf(),
    ]
}

#[tokio::test]
async fn floods_of_frames_end_their_connection() {
    let rig = Rig::start(&Settings { server: "idle_timeout_s = 1", ..Settings::default() }).await;
    for flood in floods() {
        let what = flood.what;
        // On a connection of its own, as the last one may have been idle for too long.
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let honest = client.get(rig.url("/healthz")).send();
        let (ended, honest) = tokio::join!(flood.ends(&rig), honest);
        assert_eq!(honest.unwrap().status(), 200, "beside {what}");
        assert!(ended, "{what}");
    }
    rig.stop().await;
}

#[tokio::test]
async fn an_endless_body_of_empty_pieces_ends_with_its_time() {
    let rig =
        Rig::start(&Settings { server: "body_timeout_s = 0.5\nidle_timeout_s = 0.5", ..Settings::default() }).await;
    let asked = frame(HEADERS, END_HEADERS, 1, &head(POST, "/v1/chat/completions"));
    assert!(Flood::new("empty pieces of a body", &asked, |_| frame(DATA, 0, 1, &[])).ends(&rig).await);
    rig.stop().await;
}
