//! From finished spans to the collector.
//!
//! The SDK's own batch processor has a thread without a runtime, and does not tell how much it drops.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use opentelemetry::Context;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanExporter, SpanProcessor};
use slarouter_config::ExportConfig;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout};

use crate::metrics::SpanCounts;

/// Finished spans on their way to the exporter.
#[derive(Debug)]
pub(super) struct Queue {
    spans: mpsc::Sender<SpanData>,
    counts: SpanCounts,
}

/// The task that sends them.
pub(super) struct Exporter {
    stop: watch::Sender<bool>,
    task: Mutex<Option<JoinHandle<()>>>,
}

struct Sending<E> {
    exporter: E,
    waiting: mpsc::Receiver<SpanData>,
    counts: SpanCounts,
    batch: usize,
    delay: Duration,
    timeout: Duration,
    /// Whether the last batch was not taken, so that the log says so once.
    failing: bool,
}

impl SpanProcessor for Queue {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        if span.span_context.is_sampled() && self.spans.try_send(span).is_err() {
            self.counts.add("dropped", 1);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

impl Exporter {
    pub(super) fn start<E: SpanExporter + 'static>(
        mut exporter: E,
        resource: Resource,
        config: &ExportConfig,
        counts: SpanCounts,
    ) -> (Queue, Self) {
        exporter.set_resource(&resource);
        let (spans, waiting) = mpsc::channel(config.queue);
        let (stop, stopped) = watch::channel(false);
        let sending = Sending {
            exporter,
            waiting,
            counts: counts.clone(),
            batch: config.batch,
            delay: config.delay,
            timeout: config.timeout,
            failing: false,
        };
        let task = Mutex::new(Some(tokio::spawn(sending.run(stopped))));
        (Queue { spans, counts }, Self { stop, task })
    }

    /// Sends what waits, for as long as `within` at most.
    pub(super) async fn stop(&self, within: Duration) {
        // The task may have ended; then there is nothing to stop.
        let _ = self.stop.send(true);
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut task) = task
            && timeout(within, &mut task).await.is_err()
        {
            task.abort();
        }
    }
}

impl<E: SpanExporter> Sending<E> {
    async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let mut spans = Vec::new();
        loop {
            let first = tokio::select! {
                first = self.waiting.recv() => first,
                _ = stop.changed() => break,
            };
            let Some(first) = first else { return };
            spans.push(first);
            let until = Instant::now() + self.delay;
            while spans.len() < self.batch {
                tokio::select! {
                    more = self.waiting.recv() => match more {
                        Some(span) => spans.push(span),
                        None => break,
                    },
                    () = sleep_until(until) => break,
                    _ = stop.changed() => break,
                }
            }
            self.send(&mut spans).await;
            if *stop.borrow() {
                break;
            }
        }
        while let Ok(span) = self.waiting.try_recv() {
            spans.push(span);
            if spans.len() == self.batch {
                self.send(&mut spans).await;
            }
        }
        self.send(&mut spans).await;
    }

    async fn send(&mut self, spans: &mut Vec<SpanData>) {
        let count = spans.len() as u64;
        if count == 0 {
            return;
        }
        // The exporter tries again by itself: this bounds all of it.
        let sent = timeout(self.timeout, self.exporter.export(std::mem::take(spans))).await;
        let error = match sent {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some("the collector took too long".to_owned()),
        };
        let failing = error.is_some();
        self.counts.add(if failing { "failed" } else { "exported" }, count);
        match error {
            Some(error) if !self.failing => tracing::warn!(error, "traces cannot be sent: requests go on without"),
            None if self.failing => tracing::info!("traces can be sent again"),
            _ => {}
        }
        self.failing = failing;
    }
}
