//! Slow encoders off the threads that must not block.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread::JoinHandle;

use crate::{Conversation, Encoder};

/// Conversations that are encoded together at most.
const BATCH: usize = 16;

/// Threads of its own for an encoder, with a bounded queue in front that any task can await.
///
/// What waits is encoded in batches. A [`Pending`] that is dropped before its turn costs nothing. When the worker is
/// dropped, its threads finish what waits and end.
pub struct Worker {
    encoder: Arc<dyn Encoder>,
    sender: Option<SyncSender<Job>>,
    threads: Vec<JoinHandle<()>>,
    queue: usize,
}

/// Why there is no vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WorkerError {
    /// The queue is full.
    #[error("{0} prompts wait to be encoded already: give the encoder more threads, or take a lighter one")]
    Busy(usize),
    /// The encoder has failed; its threads are gone.
    #[error("the threads of the encoder have ended: restart, and report what they printed")]
    Stopped,
}

/// A vector that is on its way: await it, or [`Pending::wait`].
#[must_use = "dropping it takes the conversation out of the queue"]
pub struct Pending(Arc<Answer>);

#[derive(Default)]
struct Answer {
    slot: Mutex<Slot>,
    ready: Condvar,
}

#[derive(Default)]
struct Slot {
    result: Option<Result<Vec<f32>, WorkerError>>,
    waker: Option<Waker>,
}

struct Job {
    conversation: Conversation,
    answer: Arc<Answer>,
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { encoder, threads, queue, .. } = self;
        write!(f, "Worker({encoder:?}, {} threads, queue of {queue})", threads.len())
    }
}

impl fmt::Debug for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pending")
    }
}

impl Worker {
    /// Starts `threads` threads (at least one); up to `queue` conversations wait for them.
    ///
    /// # Errors
    /// What the system says if it starts no thread.
    pub fn start(encoder: Arc<dyn Encoder>, threads: usize, queue: usize) -> std::io::Result<Self> {
        let (sender, receiver) = sync_channel(queue);
        let receiver = Arc::new(Mutex::new(receiver));
        let thread = |number: usize| {
            let (encoder, receiver) = (encoder.clone(), receiver.clone());
            let name = format!("encoder-{number}");
            std::thread::Builder::new().name(name).spawn(move || work(encoder.as_ref(), &receiver))
        };
        let threads = (0..threads.max(1)).map(thread).collect::<Result<_, _>>()?;
        Ok(Self { encoder, sender: Some(sender), threads, queue })
    }

    /// The encoder.
    #[must_use]
    pub fn encoder(&self) -> &Arc<dyn Encoder> {
        &self.encoder
    }

    /// Puts a conversation into the queue; never blocks.
    ///
    /// # Errors
    /// [`WorkerError`] at once if the queue is full, or if the threads have ended.
    pub fn submit(&self, conversation: Conversation) -> Result<Pending, WorkerError> {
        let answer = Arc::new(Answer::default());
        let job = Job { conversation, answer: answer.clone() };
        let sender = self.sender.as_ref().ok_or(WorkerError::Stopped)?;
        match sender.try_send(job) {
            Ok(()) => Ok(Pending(answer)),
            Err(TrySendError::Full(_)) => Err(WorkerError::Busy(self.queue)),
            Err(TrySendError::Disconnected(_)) => Err(WorkerError::Stopped),
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.sender = None;
        for thread in self.threads.drain(..) {
            // One that has panicked has said so itself.
            let _ = thread.join();
        }
    }
}

impl Pending {
    /// Blocks until the vector is there.
    ///
    /// # Errors
    /// [`WorkerError::Stopped`] if the encoder has failed.
    pub fn wait(self) -> Result<Vec<f32>, WorkerError> {
        let mut slot = self.0.lock();
        loop {
            if let Some(result) = slot.result.take() {
                return result;
            }
            slot = self.0.ready.wait(slot).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Future for Pending {
    type Output = Result<Vec<f32>, WorkerError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut slot = self.0.lock();
        if let Some(result) = slot.result.take() {
            return Poll::Ready(result);
        }
        slot.waker = Some(context.waker().clone());
        Poll::Pending
    }
}

impl Answer {
    fn lock(&self) -> MutexGuard<'_, Slot> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn give(&self, result: Result<Vec<f32>, WorkerError>) {
        let mut slot = self.lock();
        slot.result = Some(result);
        let waker = slot.waker.take();
        drop(slot);
        self.ready.notify_all();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Drop for Job {
    /// Also when the encoder panics, nobody waits for ever. After a result was given nobody looks here any more.
    fn drop(&mut self) {
        let answered = Arc::strong_count(&self.answer) == 1 || self.answer.lock().result.is_some();
        if !answered {
            self.answer.give(Err(WorkerError::Stopped));
        }
    }
}

fn work(encoder: &dyn Encoder, receiver: &Mutex<Receiver<Job>>) {
    let dim = encoder.dim();
    loop {
        let mut jobs: VecDeque<Job> = {
            let receiver = receiver.lock().unwrap_or_else(PoisonError::into_inner);
            let Ok(first) = receiver.recv() else { return };
            std::iter::once(first).chain(receiver.try_iter().take(BATCH - 1)).collect()
        };
        // Nobody else holds the answer: whoever asked has given up.
        jobs.retain(|job| Arc::strong_count(&job.answer) > 1);
        let conversations: Vec<&Conversation> = jobs.iter().map(|job| &job.conversation).collect();
        let mut out = vec![0.0; dim * jobs.len()];
        encoder.encode_batch(&conversations, &mut out);
        for (job, vector) in jobs.iter().zip(out.chunks_exact(dim)) {
            job.answer.give(Ok(vector.to_vec()));
        }
    }
}
