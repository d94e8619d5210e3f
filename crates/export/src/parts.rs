//! The files of one table: one for each route and day, or several where what belongs to a day comes late.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::error::ExportError;
use crate::file::{Form, Writer};
use crate::manifest::{FileEntry, TableEntry};
use crate::partition::Partition;
use crate::tables::Table;

/// Rows of a row group, as DuckDB writes it: its readers take whole groups.
const ROWS_IN_GROUP: usize = 122_880;
/// Bytes of rows of one table that wait to be written; beyond them the largest group is written as it is.
const MOST_WAITING: usize = 96 << 20;
/// Files of one table that are open at a time. More than there are routes with traffic at once on most gateways, and few enough for the
/// usual limit of 1,024 files of a process.
const MOST_OPEN: usize = 128;

/// The files of a table in the making.
pub(crate) struct Parts<R: 'static> {
    table: Table<R>,
    form: Form,
    root: PathBuf,
    open: HashMap<Partition, Part<R>>,
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
    writer: Writer,
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
        Self {
            table,
            form,
            root: root.to_owned(),
            open: HashMap::new(),
            waiting: 0,
            rows: 0,
            done: Vec::new(),
        }
    }

    /// Adds a row, whose number is above that of all rows before or the same.
    pub(crate) fn add(&mut self, partition: &Partition, number: u64, row: R) -> Result<(), ExportError> {
        let bytes = (self.table.size)(&row);
        if !self.open.contains_key(partition) {
            self.begin(partition, number)?;
        }
        self.rows += 1;
        let Some(part) = self.open.get_mut(partition) else { return Ok(()) };
        part.waiting.push(row);
        (part.bytes, part.last, part.used) = (part.bytes + bytes, number, self.rows);
        self.waiting += bytes;
        if part.waiting.len() == ROWS_IN_GROUP {
            self.waiting -= part.write(&self.table, &self.root)?;
        }
        while self.waiting > MOST_WAITING
            && let Some(largest) = self.open.values_mut().max_by_key(|part| part.bytes)
        {
            self.waiting -= largest.write(&self.table, &self.root)?;
        }
        Ok(())
    }

    /// Begins a file, for which another one may have to be ended.
    fn begin(&mut self, partition: &Partition, number: u64) -> Result<(), ExportError> {
        if self.open.len() >= MOST_OPEN {
            let unused = self.open.iter().min_by_key(|(_, part)| part.used).map(|(partition, _)| partition.clone());
            if let Some(unused) = unused {
                self.end(&unused)?;
            }
        }
        let folder = format!("{}/{}", self.table.name, partition.folder());
        let path = format!("{folder}/part-{number:012}.{}", self.form.as_str());
        let (folder, file) = (self.root.join(folder), self.root.join(&path));
        std::fs::create_dir_all(&folder).map_err(ExportError::write(&folder))?;
        let writer = Writer::new(self.form, &file, &self.table.columns, partition).map_err(ExportError::write(&file))?;
        let part = Part { path, writer, waiting: Vec::new(), bytes: 0, first: number, last: number, rows: 0, used: 0 };
        self.open.insert(partition.clone(), part);
        Ok(())
    }

    fn end(&mut self, partition: &Partition) -> Result<(), ExportError> {
        let Some(mut part) = self.open.remove(partition) else { return Ok(()) };
        self.waiting -= part.write(&self.table, &self.root)?;
        let written = part.writer.close().map_err(ExportError::write(&self.root.join(&part.path)))?;
        self.done.push(FileEntry {
            path: part.path,
            rows: part.rows,
            bytes: written.bytes,
            sha256: written.sha256,
            first: part.first,
            last: part.last,
        });
        Ok(())
    }

    /// Ends all files. A table without rows gets one without rows.
    pub(crate) fn finish(mut self) -> Result<(TableEntry, Vec<FileEntry>), ExportError> {
        if self.rows == 0 {
            self.begin(&Partition::nowhere(), 0)?;
        }
        let open: Vec<_> = self.open.keys().cloned().collect();
        for partition in open {
            self.end(&partition)?;
        }
        self.done.sort_by(|a, b| a.path.cmp(&b.path));
        let columns = self.table.columns.iter().map(|column| (column.name, column.kind())).collect();
        Ok((TableEntry { name: self.table.name, rows: self.rows, columns }, self.done))
    }
}

impl<R> Part<R> {
    /// Writes what waits; how many bytes of memory that were.
    fn write(&mut self, table: &Table<R>, root: &Path) -> Result<usize, ExportError> {
        let rows = std::mem::take(&mut self.waiting);
        if !rows.is_empty() {
            self.writer.write(&table.columns, &rows).map_err(ExportError::write(&root.join(&self.path)))?;
        }
        self.rows += rows.len() as u64;
        Ok(std::mem::take(&mut self.bytes))
    }
}
