//! What waits for a database that is away: a bounded file of records in order, which outlives the process.
//!
//! A file has a head, and then frames: the length of a body and its checksum (CRC-32), four bytes each in little-endian order, and the body. The first
//! byte of a body says what it is. Records are never changed in place; that they are written elsewhere is a frame of its own, and so is, before that, the
//! number of the transaction that tries to: if the process ends between the two, the database is asked whether that was committed.

use std::fs::{File, TryLockError};
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use uuid::Uuid;

const MAGIC: &[u8; 8] = b"SLRSPL01";
/// Bytes before a body.
const FRAME: u64 = 8;
/// A body longer than this is none: its length is damaged.
const LONGEST: u32 = 256 << 20;
/// What was written elsewhere is taken out of the file once it is more than this and more than what is left.
const COMPACT: u64 = if cfg!(test) { 16 << 10 } else { 1 << 20 };
/// Bytes of records that are read at a time: prompts may be among them.
const AT_ONCE: usize = 4 << 20;
/// Files in one folder: as many gateways may share it.
const FILES: usize = 64;

const RECORD: u8 = 1;
const BEGUN: u8 = 2;
const DONE: u8 = 3;
const NOT_DONE: u8 = 4;

/// A transaction that was begun and of which it is not known whether it was committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Begun {
    /// Its number among those of the process.
    pub(crate) written: i64,
    /// How many of the first records are in it.
    pub(crate) records: u64,
}

/// Why a record is not kept.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotKept {
    #[error("the database is away and {0} is full: see that the database comes back, or raise store.spool_bytes")]
    Full(String),
    #[error("the database is away and {path} cannot be written: {source}")]
    Io { path: String, source: io::Error },
}

/// The file.
#[derive(Debug)]
pub(crate) struct Spool {
    file: File,
    path: PathBuf,
    /// What the process is known by whose records these are.
    boot: Uuid,
    /// Whose records they are for.
    place: String,
    /// Bytes that the file may have.
    room: u64,
    /// Where the head ends, where the first record is that waits, and where the file ends.
    head: u64,
    first: u64,
    end: u64,
    /// Records that wait.
    records: u64,
    begun: Option<Begun>,
}

/// A frame as it was read: the first byte of its body, and the rest.
struct Frame {
    kind: u8,
    body: Vec<u8>,
}

impl Spool {
    /// Opens a file that nobody has open: `path`, or `path` with a number after it. One in which something waits goes before an empty one, so
    /// that what a process left is taken up by the next; `boot` is what the process is known by if nothing waits, else see [`Spool::boot`].
    ///
    /// # Errors
    /// If the folder cannot be written, or a file is none of these.
    pub(crate) fn open(path: &Path, place: &str, boot: Uuid, room: u64) -> io::Result<Self> {
        let mut empty = None;
        for number in 0..FILES {
            let mut path = path.as_os_str().to_owned();
            if number > 0 {
                path.push(format!(".{number}"));
            }
            let path = PathBuf::from(path);
            let is_new = !path.exists();
            if is_new && empty.is_some() {
                break;
            }
            let Some(spool) = Self::claim(&path, place, boot, room)? else { continue };
            if spool.place != place {
                tracing::warn!(path = %path.display(), of = spool.place, "entries for another database wait in a file, which is left as it is");
            } else if !spool.is_empty() {
                return Ok(spool);
            } else if empty.is_none() {
                empty = Some(spool);
            }
            if is_new {
                break;
            }
        }
        empty.ok_or_else(|| io::Error::other("all files of that name are in use"))
    }

    /// `None` where another process has it.
    fn claim(path: &Path, place: &str, boot: Uuid, room: u64) -> io::Result<Option<Self>> {
        let mut options = File::options();
        options.create(true).truncate(false).read(true).write(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        let mut spool = Self {
            file,
            path: path.to_owned(),
            boot,
            place: place.to_owned(),
            room,
            head: 0,
            first: 0,
            end: 0,
            records: 0,
            begun: None,
        };
        spool.load()?;
        if spool.is_empty() {
            (spool.boot, spool.place) = (boot, place.to_owned());
            spool.clear()?;
        }
        Ok(Some(spool))
    }

    /// Reads the whole file. What a crash left half written at its end was never promised to anybody, and is cut off.
    fn load(&mut self) -> io::Result<()> {
        let length = self.file.metadata()?.len();
        let mut reader = BufReader::new(&self.file);
        let mut magic = [0; 8];
        if length < MAGIC.len() as u64 {
            return Ok(());
        }
        if reader.read_exact(&mut magic).is_err() || &magic != MAGIC {
            let what = format!("{} is no file of waiting entries of this release: move it away", self.path.display());
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        let Some((frame, size)) = next(&mut reader)? else { return Ok(()) };
        let Some((boot, place)) = frame.body.split_first_chunk::<16>() else { return Ok(()) };
        (self.boot, self.place) = (Uuid::from_bytes(*boot), String::from_utf8_lossy(place).into_owned());
        self.head = MAGIC.len() as u64 + size;
        (self.first, self.end) = (self.head, self.head);
        // Where each record that waits begins.
        let mut starts = std::collections::VecDeque::new();
        while let Some((frame, size)) = next(&mut reader)? {
            match frame.kind {
                RECORD => starts.push_back(self.end),
                BEGUN => {
                    self.begun =
                        numbers(&frame).map(|(written, records)| Begun { written, records: records.cast_unsigned() })
                }
                DONE => {
                    let done = numbers(&frame).map_or(0, |(_, records)| records);
                    starts.drain(..usize::try_from(done).unwrap_or(0).min(starts.len()));
                    self.begun = None;
                }
                NOT_DONE => self.begun = None,
                _ => break,
            }
            self.end += size;
        }
        drop(reader);
        (self.records, self.first) = (starts.len() as u64, starts.front().copied().unwrap_or(self.end));
        if self.end < length {
            tracing::warn!(path = %self.path.display(), bytes = length - self.end, "the end of a file of waiting entries was not whole");
            self.file.set_len(self.end)?;
        }
        Ok(())
    }

    /// An empty file with a head.
    fn clear(&mut self) -> io::Result<()> {
        let mut bytes = MAGIC.to_vec();
        let mut body = self.boot.as_bytes().to_vec();
        body.extend_from_slice(self.place.as_bytes());
        frame(&mut bytes, RECORD, &body);
        self.file.set_len(0)?;
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(&bytes)?;
        self.file.sync_data()?;
        self.head = bytes.len() as u64;
        (self.first, self.end, self.records, self.begun) = (self.head, self.head, 0, None);
        Ok(())
    }

    /// What the process is known by that wrote what waits: to ask whether what it had begun was committed, one goes on under its name.
    pub(crate) fn boot(&self) -> Uuid {
        self.boot
    }

    /// Records that wait, and the bytes of the file.
    pub(crate) fn size(&self) -> (u64, u64) {
        (self.records, self.end - self.head)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.records == 0
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Keeps these records after those that wait: they are on the disk when it returns. All or none. They may be in the transaction
    /// `begun` already, if nothing waits before them.
    ///
    /// # Errors
    /// [`NotKept`].
    pub(crate) fn keep(&mut self, records: &[Vec<u8>], begun: Option<i64>) -> Result<(), NotKept> {
        let mut bytes = Vec::new();
        records.iter().for_each(|record| frame(&mut bytes, RECORD, record));
        let begun = begun.map(|written| Begun { written, records: records.len() as u64 });
        if let Some(begun) = begun {
            frame(&mut bytes, BEGUN, &pair(begun.written, begun.records.cast_signed()));
        }
        if self.end + bytes.len() as u64 > self.room {
            return Err(NotKept::Full(self.path.display().to_string()));
        }
        self.append(&bytes).map_err(|source| NotKept::Io { path: self.path.display().to_string(), source })?;
        self.records += records.len() as u64;
        self.begun = begun.or(self.begun);
        Ok(())
    }

    /// The first records that wait, as many as these at most, and no more once they have [`AT_ONCE`] bytes.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub(crate) fn front(&mut self, most: usize) -> io::Result<Vec<Vec<u8>>> {
        self.file.seek(SeekFrom::Start(self.first))?;
        let mut reader = BufReader::new(&self.file);
        let wanted = usize::try_from(self.records).unwrap_or(usize::MAX).min(most);
        let (mut records, mut bytes) = (Vec::new(), 0);
        while records.len() < wanted && bytes < AT_ONCE {
            let Some((frame, _)) = next(&mut reader)? else {
                return Err(io::Error::other("the file is shorter than it was"));
            };
            if frame.kind == RECORD {
                bytes += frame.body.len();
                records.push(frame.body);
            }
        }
        Ok(records)
    }

    /// A transaction with the first records is about to be committed. On the disk when it returns.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(crate) fn begin(&mut self, begun: Begun) -> io::Result<()> {
        let mut bytes = Vec::new();
        frame(&mut bytes, BEGUN, &pair(begun.written, begun.records.cast_signed()));
        self.append(&bytes)?;
        self.begun = Some(begun);
        Ok(())
    }

    /// What was begun is committed, or not: `last` is the last transaction of the process that was.
    ///
    /// # Errors
    /// If the file cannot be written: then it stays to be asked.
    pub(crate) fn settle(&mut self, last: i64) -> io::Result<()> {
        let Some(begun) = self.begun else { return Ok(()) };
        let mut bytes = Vec::new();
        if last < begun.written {
            frame(&mut bytes, NOT_DONE, &[]);
            self.append(&bytes)?;
            self.begun = None;
            return Ok(());
        }
        let done = begun.records.min(self.records);
        if done == self.records {
            self.file.set_len(self.head)?;
            self.file.sync_data()?;
            (self.first, self.end, self.records, self.begun) = (self.head, self.head, 0, None);
            return Ok(());
        }
        // Before anything is changed: where the first of the others is.
        let first = self.after(done)?;
        frame(&mut bytes, DONE, &pair(begun.written, done.cast_signed()));
        self.append(&bytes)?;
        (self.first, self.records, self.begun) = (first, self.records - done, None);
        if self.first > COMPACT && self.first > self.end - self.first { self.compact() } else { Ok(()) }
    }

    /// Where the record begins before which so many wait.
    fn after(&mut self, count: u64) -> io::Result<u64> {
        self.file.seek(SeekFrom::Start(self.first))?;
        let mut reader = BufReader::new(&self.file);
        let (mut place, mut passed) = (self.first, 0);
        while let Some((frame, size)) = next(&mut reader)? {
            if frame.kind == RECORD && passed == count {
                return Ok(place);
            }
            passed += u64::from(frame.kind == RECORD);
            place += size;
        }
        Err(io::Error::other("the file is shorter than it was"))
    }

    /// Writes the file anew without what was written elsewhere. A crash leaves the one or the other.
    fn compact(&mut self) -> io::Result<()> {
        let mut path = self.path.clone().into_os_string();
        path.push(".new");
        let path = PathBuf::from(path);
        let mut options = File::options();
        options.create(true).truncate(true).read(true).write(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut new = options.open(&path)?;
        // Before it has the name: whoever comes must not have it.
        new.lock()?;
        self.file.seek(SeekFrom::Start(0))?;
        io::copy(&mut (&self.file).take(self.head), &mut new)?;
        // Records alone: what says how many of those before them are written elsewhere would be taken for a word on these.
        self.file.seek(SeekFrom::Start(self.first))?;
        let (mut reader, mut end) = (BufReader::new(&self.file), self.head);
        while let Some((Frame { kind, body }, size)) = next(&mut reader)? {
            if kind == RECORD {
                let mut bytes = Vec::new();
                frame(&mut bytes, RECORD, &body);
                new.write_all(&bytes)?;
                end += size;
            }
        }
        drop(reader);
        new.sync_data()?;
        std::fs::rename(&path, &self.path)?;
        (self.file, self.end, self.first) = (new, end, self.head);
        Ok(())
    }

    /// At the end, and on the disk. A part that was written is cut off again.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let written = self.file.seek(SeekFrom::Start(self.end)).and_then(|_| self.file.write_all(bytes));
        if let Err(error) = written.and_then(|()| self.file.sync_data()) {
            self.file.set_len(self.end)?;
            return Err(error);
        }
        self.end += bytes.len() as u64;
        Ok(())
    }
}

fn frame(bytes: &mut Vec<u8>, kind: u8, body: &[u8]) {
    let mut sum = crc32fast::Hasher::new();
    sum.update(&[kind]);
    sum.update(body);
    bytes.extend_from_slice(&(body.len() as u32 + 1).to_le_bytes());
    bytes.extend_from_slice(&sum.finalize().to_le_bytes());
    bytes.push(kind);
    bytes.extend_from_slice(body);
}

/// The next frame and its bytes; `None` at the end, and where it is not whole.
fn next(reader: &mut impl Read) -> io::Result<Option<(Frame, u64)>> {
    let mut head = [0; FRAME as usize];
    if !filled(reader, &mut head)? {
        return Ok(None);
    }
    let [l0, l1, l2, l3, s0, s1, s2, s3] = head;
    let (length, sum) = (u32::from_le_bytes([l0, l1, l2, l3]), u32::from_le_bytes([s0, s1, s2, s3]));
    if length == 0 || length > LONGEST {
        return Ok(None);
    }
    let mut body = Vec::new();
    reader.take(length.into()).read_to_end(&mut body)?;
    if body.len() != length as usize || crc32fast::hash(&body) != sum {
        return Ok(None);
    }
    let kind = body.remove(0);
    Ok(Some((Frame { kind, body }, FRAME + u64::from(length))))
}

fn filled(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match reader.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

fn pair(first: i64, second: i64) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&first.to_le_bytes());
    bytes[8..].copy_from_slice(&second.to_le_bytes());
    bytes
}

fn numbers(frame: &Frame) -> Option<(i64, i64)> {
    let (first, rest) = frame.body.split_first_chunk::<8>()?;
    let (second, _) = rest.split_first_chunk::<8>()?;
    Some((i64::from_le_bytes(*first), i64::from_le_bytes(*second)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::{collection, proptest};
    use tempfile::TempDir;

    use super::*;

    const BOOT: Uuid = Uuid::from_u128(7);
    const ROOM: u64 = 8 << 20;

    fn open(folder: &TempDir) -> Spool {
        Spool::open(&folder.path().join("log.spool"), "here", BOOT, ROOM).unwrap()
    }

    fn record(n: usize) -> Vec<u8> {
        vec![n as u8; n % 5_000]
    }

    #[derive(Clone, Debug)]
    enum Step {
        Keep(usize),
        /// A transaction with so many records; whether it is committed, and whether the process ends before it knows.
        Write(usize, bool, bool),
        /// As many records of a transaction that failed at its commit, if nothing waits; whether it was committed.
        Failed(usize, bool),
        Reopen,
        /// Bytes that are lost from the end of what was not promised.
        Torn(usize),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            4 => (1..40_usize).prop_map(Step::Keep),
            4 => (1..60_usize, any::<bool>(), any::<bool>()).prop_map(|(count, is, ends)| Step::Write(count, is, ends)),
            2 => (1..40_usize, any::<bool>()).prop_map(|(count, is)| Step::Failed(count, is)),
            1 => Just(Step::Reopen),
            1 => (1..30_usize).prop_map(Step::Torn),
        ];
        collection::vec(step, 1..40)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn what_waits_is_what_was_kept_and_not_written(steps in steps()) {
            let folder = TempDir::new().unwrap();
            let mut spool = open(&folder);
            let (mut waits, mut made) = (std::collections::VecDeque::new(), 0);
            // What the database says.
            let (mut last, mut number) = (0, 0);
            for step in steps {
                match step {
                    Step::Keep(count) => {
                        let new: Vec<_> = (made..made + count).map(record).collect();
                        made += count;
                        spool.keep(&new, None).unwrap();
                        waits.extend(new);
                    }
                    Step::Write(most, is_committed, ends) => {
                        let front = spool.front(most).unwrap();
                        prop_assert!(front.iter().eq(waits.iter().take(most)));
                        number += 1;
                        spool.begin(Begun { written: number, records: front.len() as u64 }).unwrap();
                        if is_committed {
                            last = number;
                            waits.drain(..front.len());
                        }
                        if ends {
                            drop(spool);
                            spool = open(&folder);
                        }
                        spool.settle(last).unwrap();
                    }
                    Step::Failed(count, is_committed) if waits.is_empty() => {
                        let new: Vec<_> = (made..made + count).map(record).collect();
                        made += count;
                        number += 1;
                        spool.keep(&new, Some(number)).unwrap();
                        drop(spool);
                        spool = open(&folder);
                        if is_committed {
                            last = number;
                        } else {
                            waits.extend(new);
                        }
                        spool.settle(last).unwrap();
                    }
                    Step::Failed(..) => {}
                    Step::Reopen => {
                        drop(spool);
                        spool = open(&folder);
                    }
                    Step::Torn(bytes) => {
                        let path = folder.path().join("log.spool");
                        drop(spool);
                        let mut file = File::options().append(true).open(path).unwrap();
                        let mut torn = Vec::new();
                        frame(&mut torn, RECORD, &[9; 40]);
                        file.write_all(&torn[..bytes]).unwrap();
                        drop(file);
                        spool = open(&folder);
                    }
                }
                prop_assert_eq!(spool.size().0, waits.len() as u64);
            }
            prop_assert!(spool.front(usize::MAX).unwrap().iter().eq(waits.iter()));
        }
    }

    #[test]
    fn it_is_bounded_and_what_is_written_leaves_room() {
        let folder = TempDir::new().unwrap();
        let mut spool = open(&folder);
        let one = vec![vec![1; 1 << 20]];
        let mut kept = 0;
        while spool.keep(&one, None).is_ok() {
            kept += 1;
        }
        assert!((6..8).contains(&kept), "{kept} of eight, as frames take a little");
        assert!(matches!(spool.keep(&one, None), Err(NotKept::Full(_))));
        assert_eq!(spool.front(usize::MAX).unwrap().len(), 4, "no more than it takes");
        spool.keep(&[vec![2; 9]], None).unwrap();
        spool.begin(Begun { written: 1, records: 5 }).unwrap();
        spool.settle(1).unwrap();
        assert!(std::fs::metadata(folder.path().join("log.spool")).unwrap().len() < 4 << 20);
        spool.keep(&one, None).unwrap();
        assert_eq!(spool.size().0, kept - 5 + 2);
    }

    #[test]
    fn files_that_others_have_are_left_and_what_a_process_left_is_taken_up() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("log.spool");
        let other = Uuid::from_u128(8);
        let first = Spool::open(&path, "here", BOOT, ROOM).unwrap();
        let mut second = Spool::open(&path, "here", other, ROOM).unwrap();
        assert_ne!(first.path, second.path);
        second.keep(&[record(3)], None).unwrap();
        drop((first, second));
        let taken = Spool::open(&path, "here", BOOT, ROOM).unwrap();
        assert_eq!((taken.boot(), taken.size().0), (other, 1));
        let third = Spool::open(&path, "elsewhere", BOOT, ROOM).unwrap();
        assert_eq!((third.boot(), third.is_empty()), (BOOT, true));
        drop(taken);
        let elsewhere = Spool::open(&path, "elsewhere", other, ROOM).unwrap();
        assert!(elsewhere.is_empty(), "what waits for one database is not for another");
        std::fs::write(folder.path().join("text.spool"), "a letter").unwrap();
        let refused = Spool::open(&folder.path().join("text.spool"), "here", BOOT, ROOM).unwrap_err();
        assert!(refused.to_string().contains("move it away"), "{refused}");
    }
}
