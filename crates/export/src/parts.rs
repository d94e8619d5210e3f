//! The files of one table: one for each route and day, or several where what belongs to a day comes late.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::error::ExportError;
use crate::file::{Form, Writer, Written};
use crate::manifest::{FileEntry, TableEntry};
use crate::partition::Partition;
use crate::tables::Table;

/// Rows of a row group, as DuckDB writes it: its readers take whole groups.
const ROWS_IN_GROUP: usize = 122_880;
/// Bytes of rows of one table that wait to be written; beyond them the largest group is written as it is.
const MOST_WAITING: usize = 96 << 20;
/// Files of one table that are open at a time: two tables are written at once, and a process mostly may have 1,024 open.
const MOST_OPEN: usize = 384;

/// The files of a table in the making.
pub(crate) struct Parts<R: 'static> {
    table: Table<R>,
    form: Form,
    root: PathBuf,
    parts: HashMap<Partition, Part<R>>,
    /// How many of them have a file that is open.
    open: usize,
    /// Bytes of rows that wait.
    waiting: usize,
    /// Rows so far, by which is known which part was not used for longest.
    rows: u64,
    done: Vec<FileEntry>,
}

/// A file in the making.
struct Part<R> {
    /// From the root, with `/`.
    path: String,
    /// Nothing of it is written before rows have to be.
    writer: Option<Writer>,
    waiting: Vec<R>,
    bytes: usize,
    first: u64,
    last: u64,
    rows: u64,
    used: u64,
}

impl<R> Parts<R> {
    /// No files yet, below this folder.
    pub(crate) fn new(table: Table<R>, form: Form, root: &Path) -> Self {
        let (root, parts) = (root.to_owned(), HashMap::new());
        Self { table, form, root, parts, open: 0, waiting: 0, rows: 0, done: Vec::new() }
    }

    /// Adds a row, whose number is above that of all rows before or the same.
    pub(crate) fn add(&mut self, partition: &Partition, number: u64, row: R) -> Result<(), ExportError> {
        let bytes = (self.table.size)(&row);
        if !self.parts.contains_key(partition) {
            self.begin(partition, number);
        }
        self.rows += 1;
        self.waiting += bytes;
        let Some(part) = self.parts.get_mut(partition) else { return Ok(()) };
        part.waiting.push(row);
        (part.bytes, part.last, part.used) = (part.bytes + bytes, number, self.rows);
        if part.waiting.len() == ROWS_IN_GROUP {
            self.write(partition)?;
        }
        while self.waiting > MOST_WAITING
            && let Some(largest) = self.largest()
        {
            self.write(&largest)?;
        }
        Ok(())
    }

    /// That of which most waits.
    fn largest(&self) -> Option<Partition> {
        let largest = self.parts.iter().max_by_key(|(_, part)| part.bytes);
        largest.map(|(partition, _)| partition.clone())
    }

    fn begin(&mut self, partition: &Partition, number: u64) {
        let (name, ending) = (self.table.name, self.form.as_str());
        let path = format!("{name}/{}/part-{number:012}.{ending}", partition.folder());
        let part =
            Part { path, writer: None, waiting: Vec::new(), bytes: 0, first: number, last: number, rows: 0, used: 0 };
        self.parts.insert(partition.clone(), part);
    }

    /// Writes what waits, for which a file may have to be opened and another one to be ended.
    fn write(&mut self, partition: &Partition) -> Result<(), ExportError> {
        if self.parts.get(partition).is_some_and(|part| part.writer.is_none()) && self.open >= MOST_OPEN {
            let open = self.parts.iter().filter(|(_, part)| part.writer.is_some());
            let unused = open.min_by_key(|(_, part)| part.used).map(|(partition, _)| partition.clone());
            if let Some(unused) = unused {
                self.end(&unused)?;
            }
        }
        let Some(part) = self.parts.get_mut(partition) else { return Ok(()) };
        let path = self.root.join(&part.path);
        let writer = match &mut part.writer {
            Some(writer) => writer,
            none => {
                let folder = path.parent().unwrap_or(&self.root);
                std::fs::create_dir_all(folder).map_err(ExportError::write(folder))?;
                let made = Writer::new(self.form, &path, &self.table.columns, partition);
                self.open += 1;
                none.insert(made.map_err(ExportError::write(&path))?)
            }
        };
        let rows = std::mem::take(&mut part.waiting);
        if !rows.is_empty() {
            writer.write(&self.table.columns, &rows).map_err(ExportError::write(&path))?;
        }
        part.rows += rows.len() as u64;
        self.waiting -= std::mem::take(&mut part.bytes);
        Ok(())
    }

    fn end(&mut self, partition: &Partition) -> Result<(), ExportError> {
        self.write(partition)?;
        let Some(Part { path, writer: Some(writer), rows, first, last, .. }) = self.parts.remove(partition) else {
            return Ok(());
        };
        self.open -= 1;
        let Written { bytes, sha256 } = writer.close().map_err(ExportError::write(&self.root.join(&path)))?;
        self.done.push(FileEntry { path, rows, bytes, sha256, first, last });
        Ok(())
    }

    /// Ends all files. A table without rows gets one without rows.
    pub(crate) fn finish(mut self) -> Result<(TableEntry, Vec<FileEntry>), ExportError> {
        if self.rows == 0 {
            self.begin(&Partition::nowhere(), 0);
        }
        let all: Vec<_> = self.parts.keys().cloned().collect();
        for partition in all {
            self.end(&partition)?;
        }
        self.done.sort_by(|a, b| a.path.cmp(&b.path));
        let columns = self.table.columns.iter().map(|column| (column.name, column.kind())).collect();
        Ok((TableEntry { name: self.table.name, rows: self.rows, columns }, self.done))
    }
}
