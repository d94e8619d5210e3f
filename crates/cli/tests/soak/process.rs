//! What Linux says of a process.

use std::fs;
use std::path::PathBuf;

pub(crate) struct Process(PathBuf);

impl Process {
    pub(crate) fn new(id: u32) -> Self {
        Self(PathBuf::from(format!("/proc/{id}")))
    }

    /// Resident memory in KiB.
    pub(crate) fn memory(&self) -> u64 {
        self.kib("VmRSS:")
    }

    /// The most that it has been.
    pub(crate) fn peak(&self) -> u64 {
        self.kib("VmHWM:")
    }

    fn kib(&self, name: &str) -> u64 {
        let status = fs::read_to_string(self.0.join("status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().strip_suffix(" kB").unwrap().parse().unwrap()
    }

    /// Open sockets, and other open files.
    pub(crate) fn open(&self) -> (usize, usize) {
        let entries = fs::read_dir(self.0.join("fd")).unwrap();
        // One may be closed while it is looked at.
        let links = entries.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
        let (sockets, files): (Vec<_>, Vec<_>) = links.partition(|link| link.to_string_lossy().starts_with("socket:"));
        (sockets.len(), files.len())
    }
}
