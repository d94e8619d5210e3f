//! Reading requests from a socket.

use std::io;

use bytes::{Bytes, BytesMut};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const MAX_HEADERS: usize = 128;

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Received {
    /// `POST`, say.
    pub method: String,
    /// The target, with its query.
    pub path: String,
    /// In their order, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, without its framing.
    pub body: Bytes,
}

impl Received {
    /// The first header of this name (in lower case).
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The body as JSON; null if it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// One connection and what has been read ahead on it.
pub(crate) struct Connection {
    pub(crate) stream: TcpStream,
    buffer: BytesMut,
}

impl Connection {
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self { stream, buffer: BytesMut::new() }
    }

    /// The next request; `None` when the client has closed between two of them.
    pub(crate) async fn request(&mut self) -> io::Result<Option<Received>> {
        let mut request = loop {
            if let Some(head) = self.head()? {
                break head;
            }
            if !self.more().await? {
                return if self.buffer.is_empty() { Ok(None) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
            }
        };
        if request.header("transfer-encoding").is_some() {
            request.body = self.chunks().await?;
        } else if let Some(length) = request.header("content-length") {
            let length = length.parse().map_err(invalid)?;
            request.body = self.take(length).await?;
        }
        Ok(Some(request))
    }

    /// Returns when the client has gone.
    pub(crate) async fn gone(&mut self) {
        while matches!(self.more().await, Ok(true)) {}
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }

    async fn more(&mut self) -> io::Result<bool> {
        Ok(self.stream.read_buf(&mut self.buffer).await? > 0)
    }

    fn head(&mut self) -> io::Result<Option<Received>> {
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut head = httparse::Request::new(&mut headers);
        let httparse::Status::Complete(length) = head.parse(&self.buffer).map_err(invalid)? else { return Ok(None) };
        let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        let received = Received {
            method: head.method.unwrap_or_default().to_owned(),
            path: head.path.unwrap_or_default().to_owned(),
            headers: head.headers.iter().map(|h| (h.name.to_ascii_lowercase(), text(h.value))).collect(),
            body: Bytes::new(),
        };
        drop(self.buffer.split_to(length));
        Ok(Some(received))
    }

    async fn take(&mut self, length: usize) -> io::Result<Bytes> {
        while self.buffer.len() < length {
            if !self.more().await? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(self.buffer.split_to(length).freeze())
    }

    async fn chunks(&mut self) -> io::Result<Bytes> {
        let mut body = BytesMut::new();
        loop {
            let size = httparse::parse_chunk_size(&self.buffer).map_err(|_| invalid("chunk size"))?;
            let httparse::Status::Complete((line, length)) = size else {
                if !self.more().await? {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                continue;
            };
            self.take(line).await?;
            let length = usize::try_from(length).map_err(invalid)?;
            body.extend_from_slice(&self.take(length).await?);
            self.take(2).await?;
            if length == 0 {
                return Ok(body.freeze());
            }
        }
    }
}

fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
