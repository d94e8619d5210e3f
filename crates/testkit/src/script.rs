//! What to answer, step by step.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;
use tokio::sync::Semaphore;

use crate::wire::Connection;

/// One answer: a head, then steps in their order. Nothing is checked, so that every rule can be broken.
///
/// The connection is kept alive after an answer that is whole (all of `content_length`, or `end` after chunks) and
/// closed after any other.
#[derive(Clone, Debug)]
pub struct Script {
    /// Status line and headers, without the framing header and the empty line; `None` for [`Script::bare`].
    head: Option<String>,
    framing: Framing,
    steps: Vec<Step>,
}

#[derive(Clone, Copy, Debug)]
enum Framing {
    UntilClose,
    Length(usize),
    Chunked,
}

#[derive(Clone, Debug)]
enum Step {
    Raw(Bytes),
    Chunk(Bytes),
    End,
    Gate(Arc<Semaphore>),
    Stall,
    Cut,
    Reset,
}

/// How an answer left its connection.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Left {
    Open,
    Closed,
    /// The client went first.
    HungUp,
}

impl Script {
    /// A status line, without a reason phrase: clients must not depend on it.
    pub fn new(status: u16) -> Self {
        Self { head: Some(format!("HTTP/1.1 {status} \r\n")), framing: Framing::UntilClose, steps: Vec::new() }
    }

    /// No status line and no headers: only what the steps write.
    pub fn bare() -> Self {
        Self { head: None, framing: Framing::UntilClose, steps: Vec::new() }
    }

    /// A whole JSON answer.
    pub fn json(status: u16, body: &Value) -> Self {
        Self::new(status).header("content-type", "application/json").whole(body.to_string())
    }

    /// A whole event stream of these data lines, with a clean end. `[DONE]` is a line like any other.
    pub fn sse(data: &[&str]) -> Self {
        let stream = Self::event_stream();
        data.iter().fold(stream, |stream, data| stream.chunk(format!("data: {data}\n\n"))).end()
    }

    /// The head of an event stream.
    pub fn event_stream() -> Self {
        Self::new(200).header("content-type", "text/event-stream; charset=utf-8")
    }

    /// Adds a header; a bare answer has none.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        if let Some(head) = &mut self.head {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        self
    }

    /// Declares a length in bytes, true or not.
    #[must_use]
    pub fn content_length(mut self, length: usize) -> Self {
        self.framing = Framing::Length(length);
        self
    }

    /// The rest of the answer: a body with its length.
    #[must_use]
    pub fn whole(self, body: impl Into<Bytes>) -> Self {
        let body = body.into();
        self.content_length(body.len()).raw(body)
    }

    /// Writes bytes as they are, in one write.
    #[must_use]
    pub fn raw(self, bytes: impl Into<Bytes>) -> Self {
        self.step(Step::Raw(bytes.into()))
    }

    /// Writes bytes as one HTTP chunk, in one write, and makes the answer a chunked one. No bytes would end the body,
    /// so nothing is written for them.
    #[must_use]
    pub fn chunk(mut self, bytes: impl Into<Bytes>) -> Self {
        self.framing = Framing::Chunked;
        let bytes = bytes.into();
        if bytes.is_empty() { self } else { self.step(Step::Chunk(bytes)) }
    }

    /// Writes the last chunk.
    #[must_use]
    pub fn end(mut self) -> Self {
        self.framing = Framing::Chunked;
        self.step(Step::End)
    }

    /// Waits for a permit, takes it, and goes on. The client going away ends the wait.
    #[must_use]
    pub fn gate(self, gate: &Arc<Semaphore>) -> Self {
        self.step(Step::Gate(gate.clone()))
    }

    /// Writes no more until the client goes away.
    #[must_use]
    pub fn stall(self) -> Self {
        self.step(Step::Stall)
    }

    /// Closes the connection.
    #[must_use]
    pub fn cut(self) -> Self {
        self.step(Step::Cut)
    }

    /// Closes the connection with a TCP reset.
    #[must_use]
    pub fn reset(self) -> Self {
        self.step(Step::Reset)
    }

    /// Keeps so many steps and closes the connection after them.
    #[must_use]
    pub fn cut_after(mut self, steps: usize) -> Self {
        self.steps.truncate(steps);
        self.cut()
    }

    /// Every body byte in a chunk and a write of its own.
    #[must_use]
    pub fn drip(mut self) -> Self {
        let drop_by_drop = |step| match step {
            Step::Chunk(bytes) => (0..bytes.len()).map(|at| Step::Chunk(bytes.slice(at..=at))).collect(),
            Step::Raw(bytes) => (0..bytes.len()).map(|at| Step::Raw(bytes.slice(at..=at))).collect(),
            other => vec![other],
        };
        self.steps = self.steps.into_iter().flat_map(drop_by_drop).collect();
        self
    }

    fn step(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    fn is_whole(&self) -> bool {
        match self.framing {
            Framing::UntilClose => false,
            Framing::Chunked => self.steps.iter().any(|step| matches!(step, Step::End)),
            Framing::Length(length) => {
                let raw = |step: &Step| if let Step::Raw(bytes) = step { bytes.len() } else { 0 };
                self.steps.iter().map(raw).sum::<usize>() == length
            }
        }
    }

    fn head(&self) -> String {
        let Some(head) = &self.head else { return String::new() };
        match self.framing {
            Framing::UntilClose => format!("{head}connection: close\r\n\r\n"),
            Framing::Length(length) => format!("{head}content-length: {length}\r\n\r\n"),
            Framing::Chunked => format!("{head}transfer-encoding: chunked\r\n\r\n"),
        }
    }

    pub(crate) async fn play(self, connection: &mut Connection) -> Left {
        let keep = self.is_whole();
        let head = self.head();
        if connection.write(head.as_bytes()).await.is_err() {
            return Left::HungUp;
        }
        for step in self.steps {
            let written = match step {
                Step::Raw(bytes) => connection.write(&bytes).await,
                Step::Chunk(bytes) => connection.write(&framed(&bytes)).await,
                Step::End => connection.write(b"0\r\n\r\n").await,
                Step::Gate(gate) => {
                    tokio::select! {
                        permit = gate.acquire() => if let Ok(permit) = permit { permit.forget() },
                        () = connection.gone() => return Left::HungUp,
                    }
                    Ok(())
                }
                Step::Stall => {
                    connection.gone().await;
                    return Left::HungUp;
                }
                Step::Cut => return Left::Closed,
                Step::Reset => {
                    drop(connection.stream.set_zero_linger());
                    return Left::Closed;
                }
            };
            if written.is_err() {
                return Left::HungUp;
            }
            // On a runtime of one thread the client gets to see each piece on its own.
            tokio::task::yield_now().await;
        }
        if keep { Left::Open } else { Left::Closed }
    }
}

fn framed(bytes: &[u8]) -> Vec<u8> {
    let mut chunk = format!("{:x}\r\n", bytes.len()).into_bytes();
    chunk.extend_from_slice(bytes);
    chunk.extend_from_slice(b"\r\n");
    chunk
}
