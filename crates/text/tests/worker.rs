//! The worker answers everybody, refuses at once when it is full, and never leaves anyone waiting.
#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::future::Future;
use std::pin::pin;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

use slarouter_text::{Conversation, Encoder, HashedNgrams, Pending, Worker, WorkerError, features};

/// Says that it has begun, and waits for leave; fails on the prompt "fail".
#[derive(Debug)]
struct Gated {
    begun: Sender<usize>,
    leave: Mutex<Receiver<()>>,
}

fn gated() -> (Arc<Gated>, Receiver<usize>, Sender<()>) {
    let ((begun, begun_receiver), (leave_sender, leave)) = (channel(), channel());
    (Arc::new(Gated { begun, leave: Mutex::new(leave) }), begun_receiver, leave_sender)
}

impl Encoder for Gated {
    fn name(&self) -> &str {
        "gated"
    }

    fn version(&self) -> u32 {
        7
    }

    fn dim(&self) -> usize {
        HashedNgrams.dim()
    }

    fn encode(&self, conversation: &Conversation, out: &mut [f32]) {
        assert_ne!(*conversation, Conversation::from_prompt("fail"), "as ordered");
        HashedNgrams.encode(conversation, out);
    }

    fn encode_batch(&self, conversations: &[&Conversation], out: &mut [f32]) {
        let _ = self.begun.send(conversations.len());
        let _ = self.leave.lock().unwrap().recv();
        out.chunks_exact_mut(self.dim()).zip(conversations).for_each(|(out, one)| self.encode(one, out));
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn block_on(pending: Pending) -> Result<Vec<f32>, WorkerError> {
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut pending = pin!(pending);
    loop {
        match pending.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(result) => return result,
            Poll::Pending => std::thread::park(),
        }
    }
}

fn prompt(number: usize) -> Conversation {
    Conversation::from_prompt(&format!("What is {number}?"))
}

#[test]
fn everybody_gets_the_own_vector() {
    let worker = Worker::start(Arc::new(HashedNgrams), 2, 1_000).unwrap();
    let pending: Vec<Pending> = (0..500).map(|number| worker.submit(prompt(number)).unwrap()).collect();
    for (number, pending) in pending.into_iter().enumerate() {
        let got = if number % 2 == 0 { block_on(pending) } else { pending.wait() };
        assert_eq!(got.unwrap(), features(&prompt(number)));
    }
}

#[test]
fn a_full_queue_refuses_at_once_and_what_waits_goes_together() {
    let (encoder, begun, leave) = gated();
    let worker = Worker::start(encoder, 1, 3).unwrap();
    let first = worker.submit(prompt(0)).unwrap();
    assert_eq!(begun.recv().unwrap(), 1);
    let mut waiting: Vec<Pending> = (1..4).map(|number| worker.submit(prompt(number)).unwrap()).collect();
    assert_eq!(worker.submit(prompt(4)).unwrap_err(), WorkerError::Busy(3));
    drop(waiting.remove(1));
    leave.send(()).unwrap();
    assert_eq!(block_on(first).unwrap(), features(&prompt(0)));
    assert_eq!(begun.recv().unwrap(), 2, "the rest in one batch, without the one that was dropped");
    leave.send(()).unwrap();
    for (pending, number) in waiting.into_iter().zip([1, 3]) {
        assert_eq!(pending.wait().unwrap(), features(&prompt(number)));
    }
}

#[test]
fn an_encoder_that_fails_leaves_nobody_waiting() {
    let (encoder, begun, leave) = gated();
    let worker = Worker::start(encoder, 1, 8).unwrap();
    let doomed = worker.submit(Conversation::from_prompt("fail")).unwrap();
    begun.recv().unwrap();
    let behind = worker.submit(prompt(1)).unwrap();
    leave.send(()).unwrap();
    assert_eq!(block_on(doomed).unwrap_err(), WorkerError::Stopped);
    assert_eq!(block_on(behind).unwrap_err(), WorkerError::Stopped);
    // The last thread has gone, or is about to; from some point on nothing is taken any more.
    while let Ok(pending) = worker.submit(prompt(2)) {
        assert_eq!(pending.wait().unwrap_err(), WorkerError::Stopped);
    }
}
