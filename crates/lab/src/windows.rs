//! What became of the windows of a run.

use serde::{Deserialize, Serialize};

/// The running mean counts from this share of a window on: before it, chance rules.
const SETTLED: f64 = 0.2;

/// One window of the SLA; of a run without windows, all of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct WindowRun {
    /// Mean true satisfaction with the answers given, seen or not.
    pub satisfaction: f64,
    /// Mean USD per request.
    pub cost: f64,
}

/// Sums over the window that is running, and the means of those that are over.
pub(crate) struct Windows {
    length: usize,
    requests: usize,
    satisfaction: f64,
    cost: f64,
    over: Vec<WindowRun>,
}

impl Windows {
    /// Of `length` requests each, at least 1.
    pub(crate) fn new(length: usize) -> Self {
        Self { length, requests: 0, satisfaction: 0.0, cost: 0.0, over: Vec::new() }
    }

    /// Enters a request, which is the first of a new window where the last one is full.
    pub(crate) fn add(&mut self, satisfaction: f64, cost: f64) {
        if self.requests == self.length {
            self.close();
        }
        self.requests += 1;
        self.satisfaction += satisfaction;
        self.cost += cost;
    }

    /// Mean satisfaction since the window began.
    pub(crate) fn mean(&self) -> f64 {
        self.satisfaction / self.requests as f64
    }

    /// Whether the running mean counts.
    pub(crate) fn is_settled(&self) -> bool {
        self.requests >= (SETTLED * self.length as f64).ceil() as usize
    }

    /// All windows, the last one as far as it has come.
    pub(crate) fn finish(mut self) -> Vec<WindowRun> {
        if self.requests > 0 {
            self.close();
        }
        self.over
    }

    fn close(&mut self) {
        let n = self.requests as f64;
        self.over.push(WindowRun { satisfaction: self.satisfaction / n, cost: self.cost / n });
        (self.requests, self.satisfaction, self.cost) = (0, 0.0, 0.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_by_hand() {
        let mut windows = Windows::new(10);
        let mut means = Vec::new();
        for t in 0..25 {
            windows.add(f64::from(u8::from(t < 15)), 2.0);
            if windows.is_settled() {
                means.push(windows.mean());
            }
        }
        assert_eq!(means.len(), 9 + 9 + 4, "from the second request of ten on");
        assert_eq!((means[8], means[17], means[18]), (1.0, 0.5, 0.0));
        let satisfaction: Vec<_> = windows.finish().iter().map(|window| window.satisfaction).collect();
        assert_eq!(satisfaction, [1.0, 0.5, 0.0]);
    }
}
