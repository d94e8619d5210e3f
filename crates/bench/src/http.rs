//! Just enough HTTP/1.1 for both ends of a bench: what is spent here is spent on every gateway alike, so it is little.

use std::io;
use std::net::SocketAddr;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const MAX_HEADERS: usize = 64;

/// A connection and what has been read ahead on it.
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: BytesMut,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Framing {
    Length(u64),
    Chunked,
    UntilClose,
}

impl Connection {
    pub(crate) async fn open(addr: SocketAddr) -> io::Result<Self> {
        Self::over(TcpStream::connect(addr).await?)
    }

    pub(crate) fn over(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: BytesMut::with_capacity(8192) })
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// Sends a request and hands over the pieces of the answer's body as they come. The status.
    pub(crate) async fn exchange(&mut self, request: &[u8], body: &mut impl FnMut(&[u8])) -> io::Result<u16> {
        self.write(request).await?;
        let (status, framing) = loop {
            let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
            let mut head = httparse::Response::new(&mut headers);
            if let httparse::Status::Complete(length) = head.parse(&self.buffer).map_err(invalid)? {
                let found = (head.code.unwrap_or(0), framing(head.headers, Framing::UntilClose)?);
                self.buffer.advance(length);
                break found;
            }
            self.more().await?;
        };
        self.body(framing, body).await?;
        Ok(status)
    }

    /// The body of the next request; `None` when the client has closed.
    pub(crate) async fn request(&mut self) -> io::Result<Option<Vec<u8>>> {
        let framing = loop {
            let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
            let mut head = httparse::Request::new(&mut headers);
            if let httparse::Status::Complete(length) = head.parse(&self.buffer).map_err(invalid)? {
                let found = framing(head.headers, Framing::Length(0))?;
                self.buffer.advance(length);
                break found;
            }
            match self.more().await {
                Err(_) if self.buffer.is_empty() => return Ok(None),
                result => result?,
            }
        };
        let mut body = Vec::new();
        self.body(framing, &mut |piece| body.extend_from_slice(piece)).await?;
        Ok(Some(body))
    }

    async fn body(&mut self, framing: Framing, body: &mut impl FnMut(&[u8])) -> io::Result<()> {
        match framing {
            Framing::Length(length) => self.take(length, body).await,
            Framing::Chunked => loop {
                let length = loop {
                    match httparse::parse_chunk_size(&self.buffer).map_err(|_| invalid("chunk size"))? {
                        httparse::Status::Complete((line, length)) => {
                            self.buffer.advance(line);
                            break length;
                        }
                        httparse::Status::Partial => self.more().await?,
                    }
                };
                self.take(length, body).await?;
                self.take(2, &mut |_| {}).await?;
                if length == 0 {
                    return Ok(());
                }
            },
            Framing::UntilClose => loop {
                body(&self.buffer);
                self.buffer.clear();
                match self.more().await {
                    Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
                    result => result?,
                }
            },
        }
    }

    async fn take(&mut self, mut length: u64, body: &mut impl FnMut(&[u8])) -> io::Result<()> {
        loop {
            let here = self.buffer.len().min(usize::try_from(length).unwrap_or(usize::MAX));
            if here > 0 {
                body(&self.buffer[..here]);
                self.buffer.advance(here);
                length -= here as u64;
            }
            if length == 0 {
                return Ok(());
            }
            self.more().await?;
        }
    }

    async fn more(&mut self) -> io::Result<()> {
        match self.stream.read_buf(&mut self.buffer).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}

fn framing(headers: &[httparse::Header<'_>], otherwise: Framing) -> io::Result<Framing> {
    for header in headers {
        if header.name.eq_ignore_ascii_case("transfer-encoding") {
            return Ok(Framing::Chunked);
        }
        if header.name.eq_ignore_ascii_case("content-length") {
            let length = std::str::from_utf8(header.value).map_err(invalid)?;
            return Ok(Framing::Length(length.trim().parse().map_err(invalid)?));
        }
    }
    Ok(otherwise)
}

fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    async fn pair() -> (Connection, Connection) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = Connection::open(listener.local_addr().unwrap()).await.unwrap();
        (client, Connection::over(listener.accept().await.unwrap().0).unwrap())
    }

    /// What the client reads of an answer whose bytes come one by one.
    async fn answer(bytes: &'static [u8]) -> io::Result<(u16, String)> {
        let (mut client, mut server) = pair().await;
        let serving = tokio::spawn(async move {
            let body = server.request().await.unwrap().unwrap();
            for byte in bytes {
                server.write(&[*byte]).await.unwrap();
            }
            body
        });
        let mut text = Vec::new();
        let request = b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc";
        let status = client.exchange(request, &mut |piece| text.extend_from_slice(piece)).await?;
        assert_eq!(serving.await.unwrap(), b"abc");
        Ok((status, String::from_utf8(text).unwrap()))
    }

    #[tokio::test]
    async fn every_framing_is_read() {
        let length = answer(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello").await.unwrap();
        assert_eq!(length, (200, "hello".to_owned()));
        let chunks = answer(b"HTTP/1.1 201 \r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n");
        assert_eq!(chunks.await.unwrap(), (201, "hello".to_owned()));
        assert_eq!(answer(b"HTTP/1.1 502 x\r\n\r\nhello").await.unwrap(), (502, "hello".to_owned()));
        assert!(answer(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhello").await.is_err(), "cut off");
    }

    #[tokio::test]
    async fn chunked_requests_follow_one_another() {
        let (mut client, mut server) = pair().await;
        let one = b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n";
        client.write(&[&one[..], &one[..]].concat()).await.unwrap();
        drop(client);
        for _ in 0..2 {
            assert_eq!(server.request().await.unwrap().unwrap(), b"a");
        }
        assert_eq!(server.request().await.unwrap(), None);
    }
}
