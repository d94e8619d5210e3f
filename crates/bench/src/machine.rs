//! What `/proc` tells of the machine and of processes. All of it is left out where there is no such thing.

use std::collections::BTreeSet;
use std::fs::read_to_string;

use serde::Serialize;

/// The machine, for whoever reads the figures.
#[derive(Serialize)]
pub(crate) struct Machine {
    pub(crate) cpu: String,
    pub(crate) cores: usize,
    pub(crate) memory_gib: f64,
    pub(crate) kernel: String,
    pub(crate) system: String,
}

/// Ticks of all cores since the start: all of them, and those that were not idle.
#[derive(Clone, Copy, Default)]
pub(crate) struct Ticks {
    all: u64,
    busy: u64,
    /// Those of the processes that were asked for, their children included.
    ours: u64,
}

impl Machine {
    pub(crate) fn read() -> Self {
        let line = |path: &str, name: &str, by: char| {
            let text = read_to_string(path).unwrap_or_default();
            let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
            line.trim_start().trim_start_matches(by).trim().trim_matches('"').to_owned()
        };
        let memory = line("/proc/meminfo", "MemTotal", ':');
        let kib: f64 = memory.split(' ').next().and_then(|kib| kib.parse().ok()).unwrap_or(0.0);
        Self {
            cpu: line("/proc/cpuinfo", "model name", ':'),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            memory_gib: kib / f64::from(1 << 20),
            kernel: read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned(),
            system: line("/etc/os-release", "PRETTY_NAME", '='),
        }
    }
}

impl Ticks {
    pub(crate) fn now(ours: &[u32]) -> Self {
        let text = read_to_string("/proc/stat").unwrap_or_default();
        let first = text.lines().next().unwrap_or_default();
        // The last two are guests, who are counted in the first two.
        let fields: Vec<u64> =
            first.split_whitespace().skip(1).take(8).filter_map(|field| field.parse().ok()).collect();
        let all = fields.iter().sum();
        let idle: u64 = fields.iter().skip(3).take(2).sum();
        let ours = family(ours).iter().map(|pid| ticks(*pid)).sum();
        Self { all, busy: all - idle, ours }
    }

    /// The share of the machine's time since `before` that went to others than ours.
    pub(crate) fn foreign_since(self, before: Self) -> f64 {
        let all = self.all.saturating_sub(before.all).max(1);
        let busy = self.busy.saturating_sub(before.busy);
        busy.saturating_sub(self.ours.saturating_sub(before.ours)) as f64 / all as f64
    }
}

/// MiB that a process and its children take: their own pages, and their share of those they have in common.
pub(crate) fn memory(pid: u32) -> f64 {
    let of = |pid: &u32| {
        let text = read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("Pss:")).unwrap_or_default();
        line.split_whitespace().next().and_then(|kib| kib.parse::<f64>().ok()).unwrap_or(0.0)
    };
    family(&[pid]).iter().map(of).sum::<f64>() / 1024.0
}

/// Processes with all that descend from them.
fn family(roots: &[u32]) -> BTreeSet<u32> {
    let mut found = BTreeSet::new();
    let mut left = roots.to_vec();
    while let Some(pid) = left.pop() {
        if found.insert(pid) {
            // A process may have threads that have started others.
            let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
            for task in tasks {
                let children = read_to_string(task.path().join("children")).unwrap_or_default();
                left.extend(children.split_whitespace().filter_map(|child| child.parse::<u32>().ok()));
            }
        }
    }
    found
}

/// Of a process, and of its children that have ended.
fn ticks(pid: u32) -> u64 {
    let text = read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name, in brackets, may hold anything.
    let rest = text.rsplit_once(')').map_or("", |(_, rest)| rest);
    rest.split_whitespace().skip(11).take(4).filter_map(|field| field.parse::<u64>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_seen_with_its_children() {
        let mut child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
        let all = family(&[std::process::id()]);
        assert!(all.contains(&child.id()) && all.len() >= 2, "{all:?}");
        assert!(memory(std::process::id()) > memory(child.id()));
        child.kill().unwrap();
        child.wait().unwrap();
        let (before, after) = (Ticks { all: 100, busy: 50, ours: 20 }, Ticks { all: 200, busy: 110, ours: 60 });
        assert!((after.foreign_since(before) - 0.2).abs() < 1e-9);
    }
}
