//! Files of an export.

mod csv;
mod hashed;
mod parquet;

use std::io;
use std::path::Path;

use crate::column::Column;
use crate::partition::Partition;
use hashed::Hashed;
pub(crate) use hashed::Written;

/// A file to which rows are appended, group after group.
pub(crate) enum Writer {
    Csv(Box<csv::CsvFile>),
    Parquet(Box<parquet::ParquetFile>),
}

/// In which form rows are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Comma-separated values, without features.
    Csv,
    /// Parquet.
    Parquet,
}

impl Form {
    /// How the names of its files end.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Parquet => "parquet",
        }
    }
}

impl Writer {
    /// A new file of rows of this partition.
    pub(crate) fn new<R>(
        form: Form,
        path: &Path,
        columns: &[&'static Column<R>],
        partition: &Partition,
    ) -> io::Result<Self> {
        let file = Hashed::new(path)?;
        Ok(match form {
            Form::Csv => Self::Csv(Box::new(csv::CsvFile::new(file, columns, partition)?)),
            Form::Parquet => Self::Parquet(Box::new(parquet::ParquetFile::new(file, columns, partition)?)),
        })
    }

    /// Appends these rows: in Parquet as one row group.
    pub(crate) fn write<R>(&mut self, columns: &[&'static Column<R>], rows: &[R]) -> io::Result<()> {
        match self {
            Self::Csv(file) => file.write(columns, rows),
            Self::Parquet(file) => file.write(columns, rows),
        }
    }

    /// Ends the file, and waits for the disk.
    pub(crate) fn close(self) -> io::Result<Written> {
        match self {
            Self::Csv(file) => file.into_inner()?,
            Self::Parquet(file) => file.into_inner()?,
        }
        .close()
    }
}
