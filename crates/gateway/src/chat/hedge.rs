//! A second call beside a slow one: the first good answer counts, and the other call is dropped at once. Nothing has gone to the
//! client by then.

use std::pin::pin;
use std::sync::Arc;

use slarouter_config::{Hedge, HedgeTo};
use tokio::time::{Instant, sleep};

use super::ask::{Callee, Inbound, Reply, ask, note_failure};
use super::exchange::Exchange;
use crate::app::App;
use crate::lookup::model;
use crate::telemetry::Call;
use crate::upstream::Failure;

/// Makes the call that has just been noted, and a second one beside it if it is slow: to the same model, or to the next of
/// `alternatives` that can be asked. A failure returned is the first call's.
pub(super) async fn call_hedged(
    app: &App,
    exchange: &mut Exchange,
    inbound: Inbound<'_>,
    hedge: Hedge,
    slow: Callee<'_>,
    alternatives: &[Arc<str>],
) -> Result<Reply, Failure> {
    let first = ask(app, slow, inbound, exchange.trace_context(inbound.headers, Call::First));
    let Some(usual) = slow.health.quantile(inbound.request.stream(), hedge.quantile) else { return first.await };
    let began = Instant::now();
    let mut other = None;
    let second = async {
        let callee = begin(app, exchange, slow, alternatives, hedge.to).await?;
        other = Some(callee);
        tracing::info!(request_id = exchange.public_id(), slow = %slow.model.name, model = %callee.model.name, "second call");
        let context = exchange.trace_context(inbound.headers, Call::Second);
        Some(ask(app, callee, inbound, context).await)
    };
    let raced = race(first, sleep(usual.max(hedge.min)), second).await;
    let name = &*slow.model.name;
    match raced {
        Raced::First(ended, second_failure) => {
            if let (Some(failure), Some(other)) = (second_failure, other) {
                app.metrics.hedged(name, "failed");
                note_failure(app, exchange.public_id(), other, &failure);
                exchange.second_failed(&failure);
            } else if exchange.drop_second() {
                app.metrics.hedged(name, "lost");
            }
            ended
        }
        Raced::Second(answer, first_failure) => {
            app.metrics.hedged(name, "won");
            match &first_failure {
                Some(failure) => note_failure(app, exchange.public_id(), slow, failure),
                // As long at least: left out, slow answers would make the model look fast.
                None => slow.health.took(inbound.request.stream(), began.elapsed()),
            }
            exchange.overtaken(first_failure.as_ref());
            Ok(answer)
        }
    }
}

/// Lets a second call begin, if there are attempts left and the retry budget of the slow model allows.
async fn begin<'a>(
    app: &'a App,
    exchange: &mut Exchange,
    slow: Callee<'a>,
    alternatives: &[Arc<str>],
    to: HedgeTo,
) -> Option<Callee<'a>> {
    if exchange.attempts() >= app.config.upstream.max_attempts {
        return None;
    }
    let available = |name: &Arc<str>| {
        let (model, health) = model(app, name).zip(app.health.of(name))?;
        app.health.is_available(name, Instant::now()).then_some(Callee { model, health })
    };
    let next = if to == HedgeTo::Next { alternatives.iter().find_map(available) } else { None };
    let callee = next.unwrap_or(slow);
    let admission = callee.health.enter(Instant::now(), false).await.ok()?;
    if !slow.health.may_retry() {
        app.metrics.retry_refused(&slow.model.name);
        return None;
    }
    exchange.second(callee.model, admission);
    app.metrics.called(&callee.model.name);
    Some(callee)
}

/// How two calls ended. What is not said of one is that it was dropped, or never made.
#[derive(Debug, PartialEq, Eq)]
enum Raced<T, E> {
    /// The end of the first, and why the second failed.
    First(Result<T, E>, Option<E>),
    /// The answer of the second, and why the first failed.
    Second(T, Option<E>),
}

/// Runs `first` and, once `slow` has passed, `second` beside it, which may decline. The first good end counts, and the
/// other is dropped.
async fn race<T, E>(
    first: impl Future<Output = Result<T, E>>,
    slow: impl Future<Output = ()>,
    second: impl Future<Output = Option<Result<T, E>>>,
) -> Raced<T, E> {
    let (mut first, mut second) = (pin!(first), pin!(second));
    tokio::select! {
        biased;
        ended = &mut first => return Raced::First(ended, None),
        () = slow => {}
    }
    tokio::select! {
        biased;
        ended = &mut first => match ended {
            Ok(answer) => Raced::First(Ok(answer), None),
            Err(failure) => match second.await {
                Some(Ok(answer)) => Raced::Second(answer, Some(failure)),
                other => Raced::First(Err(failure), other.and_then(Result::err)),
            },
        },
        ended = &mut second => match ended {
            Some(Ok(answer)) => Raced::Second(answer, None),
            other => Raced::First(first.await, other.and_then(Result::err)),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use tokio::sync::oneshot::{Sender, channel};

    use super::*;

    type End = Result<&'static str, &'static str>;

    /// Says so when it is dropped.
    struct Guard<'a>(&'a Cell<bool>);

    impl Drop for Guard<'_> {
        fn drop(&mut self) {
            self.0.set(true);
        }
    }

    /// Two calls and a clock, moved by hand.
    struct Calls {
        first: Sender<End>,
        slow: Sender<()>,
        second: Sender<Option<End>>,
    }

    /// Does `steps` while the race runs; its end, whether the second call was begun, and whether each was dropped unended.
    async fn run(steps: impl AsyncFnOnce(Calls)) -> (Raced<&'static str, &'static str>, bool, [bool; 2]) {
        let ((first, one), (slow, passed), (second, two)) = (channel(), channel(), channel());
        let (begun, gone) = (Cell::new(false), [Cell::new(false), Cell::new(false)]);
        let one = async {
            let guard = Guard(&gone[0]);
            let ended = one.await.unwrap();
            std::mem::forget(guard);
            ended
        };
        let two = async {
            begun.set(true);
            let guard = Guard(&gone[1]);
            let ended = two.await.unwrap();
            std::mem::forget(guard);
            ended
        };
        let race = race(one, async { drop(passed.await) }, two);
        let (raced, ()) = tokio::join!(race, steps(Calls { first, slow, second }));
        (raced, begun.get(), gone.map(|gone| gone.get()))
    }

    async fn pause() {
        for _ in 0..4 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_call_that_is_fast_stays_alone() {
        for end in [Ok("a"), Err("down")] {
            let ended = run(async |calls: Calls| {
                pause().await;
                calls.first.send(end).unwrap();
                pause().await;
                drop((calls.slow, calls.second));
            });
            assert_eq!(ended.await, (Raced::First(end, None), false, [false, false]));
        }
    }

    #[tokio::test]
    async fn the_first_good_answer_counts_and_the_other_call_is_dropped() {
        let ended = run(async |calls: Calls| {
            calls.slow.send(()).unwrap();
            pause().await;
            calls.second.send(Some(Ok("b"))).unwrap();
            pause().await;
            assert!(calls.first.send(Ok("a")).is_err());
        });
        assert_eq!(ended.await, (Raced::Second("b", None), true, [true, false]));
        let ended = run(async |calls: Calls| {
            calls.slow.send(()).unwrap();
            pause().await;
            calls.first.send(Ok("a")).unwrap();
            pause().await;
            assert!(calls.second.send(Some(Ok("b"))).is_err());
        });
        assert_eq!(ended.await, (Raced::First(Ok("a"), None), true, [false, true]));
    }

    #[tokio::test]
    async fn a_failure_waits_for_the_other_call() {
        for (second, expected) in [
            (Some(Ok("b")), Raced::Second("b", Some("down"))),
            (Some(Err("busy")), Raced::First(Err("down"), Some("busy"))),
            (None, Raced::First(Err("down"), None)),
        ] {
            for first_ends_first in [true, false] {
                // Without an end of its own to wait for, a good second call need not wait for the first.
                if !first_ends_first && second == Some(Ok("b")) {
                    continue;
                }
                let ended = run(async |calls: Calls| {
                    calls.slow.send(()).unwrap();
                    pause().await;
                    if first_ends_first {
                        calls.first.send(Err("down")).unwrap();
                        pause().await;
                        calls.second.send(second).unwrap();
                    } else {
                        calls.second.send(second).unwrap();
                        pause().await;
                        calls.first.send(Err("down")).unwrap();
                    }
                });
                let (raced, begun, dropped) = ended.await;
                assert_eq!((&raced, begun, dropped), (&expected, true, [false, false]), "{first_ends_first}");
            }
        }
    }
}
