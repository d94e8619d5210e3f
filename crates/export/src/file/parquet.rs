//! Rows as Parquet, through the low-level writer: a row group is gathered in memory and written column after column.

use std::io;
use std::sync::Arc;

use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::column::writer::ColumnWriterImpl;
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DataType, DoubleType, FloatType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{WriterProperties, WriterPropertiesBuilder};
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::ColumnPath;

use super::hashed::Hashed;
use crate::column::{Column, Read};
use crate::manifest::SCHEMA_VERSION;
use crate::partition::Partition;

/// zstd beyond this level takes longer than it saves.
const LEVEL: i32 = 3;
/// Rows whose values of one column are handed over at a time, so that lists of a whole group are never in memory a second time.
const AT_A_TIME: usize = 4_096;

/// A file of Parquet.
pub(crate) struct ParquetFile {
    writer: SerializedFileWriter<Hashed>,
}

impl ParquetFile {
    pub(crate) fn new<R>(file: Hashed, columns: &[&'static Column<R>], partition: &Partition) -> io::Result<Self> {
        let schema = parse_message_type(&schema(columns)).map_err(failed)?;
        let properties = Arc::new(properties(columns, partition)?);
        let writer = SerializedFileWriter::new(file, Arc::new(schema), properties).map_err(failed)?;
        Ok(Self { writer })
    }

    pub(crate) fn write<R>(&mut self, columns: &[&'static Column<R>], rows: &[R]) -> io::Result<()> {
        let mut group = self.writer.next_row_group().map_err(failed)?;
        for column in columns {
            match &column.read {
                Read::Bool(read) => values::<_, BoolType>(&mut group, column, rows, read),
                Read::Int(read) | Read::Time(read) => values::<_, Int64Type>(&mut group, column, rows, read),
                Read::Real(read) => values::<_, DoubleType>(&mut group, column, rows, read),
                Read::Reals(read) => lists(&mut group, rows, *read),
                Read::Text(read) => {
                    values::<_, ByteArrayType>(&mut group, column, rows, |row| read(row).map(|text| bytes(&text)))
                }
            }
            .map_err(failed)?;
        }
        group.close().map_err(failed)?;
        Ok(())
    }

    pub(crate) fn into_inner(self) -> io::Result<Hashed> {
        self.writer.into_inner().map_err(failed)
    }
}

fn bytes(text: &str) -> ByteArray {
    text.as_bytes().to_vec().into()
}

/// What the system says, without the words around it.
fn failed(error: ParquetError) -> io::Error {
    match error {
        ParquetError::External(inner) => match inner.downcast::<io::Error>() {
            Ok(error) => *error,
            Err(other) => io::Error::other(other),
        },
        other => io::Error::other(other),
    }
}

/// The schema in the notation of Parquet.
fn schema<R>(columns: &[&'static Column<R>]) -> String {
    let field = |column: &&Column<R>| {
        let (name, there) = (column.name, if column.required { "REQUIRED" } else { "OPTIONAL" });
        match column.read {
            Read::Bool(_) => format!("{there} BOOLEAN {name};"),
            Read::Int(_) => format!("{there} INT64 {name};"),
            Read::Real(_) => format!("{there} DOUBLE {name};"),
            Read::Reals(_) => {
                format!("REQUIRED GROUP {name} (LIST) {{ REPEATED GROUP list {{ REQUIRED FLOAT element; }} }}")
            }
            Read::Text(_) => format!("{there} BINARY {name} (STRING);"),
            Read::Time(_) => format!("{there} INT64 {name} (TIMESTAMP(MILLIS,true));"),
        }
    };
    format!("message log {{ {} }}", columns.iter().map(field).collect::<Vec<_>>().join(" "))
}

/// Nothing in them depends on when or where the file is written.
fn properties<R>(columns: &[&'static Column<R>], partition: &Partition) -> io::Result<WriterProperties> {
    let said = |key: &str, value: &str| KeyValue::new(key.to_owned(), value.to_owned());
    let kept = vec![
        said("slarouter.schema_version", &SCHEMA_VERSION.to_string()),
        said("slarouter.route", partition.route()),
        said("slarouter.day", partition.day()),
    ];
    let start = WriterProperties::builder()
        .set_created_by(concat!("slarouter ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(LEVEL).map_err(failed)?))
        .set_key_value_metadata(Some(kept));
    Ok(columns.iter().fold(start, |properties, column| encoded(properties, column)).build())
}

/// Numbers of the log and times hardly ever repeat, but each is near the one before.
fn encoded<R>(properties: WriterPropertiesBuilder, column: &Column<R>) -> WriterPropertiesBuilder {
    if !matches!(column.read, Read::Int(_) | Read::Time(_)) {
        return properties;
    }
    let path = ColumnPath::from(column.name);
    properties
        .set_column_dictionary_enabled(path.clone(), false)
        .set_column_encoding(path, Encoding::DELTA_BINARY_PACKED)
}

/// Writes a column that has at most one value in each row.
fn values<R, T: DataType>(
    group: &mut SerializedRowGroupWriter<'_, Hashed>,
    column: &Column<R>,
    rows: &[R],
    read: impl Fn(&R) -> Option<T::T>,
) -> Result<(), ParquetError> {
    into_column::<T>(group, |writer| {
        for rows in rows.chunks(AT_A_TIME) {
            let found: Vec<Option<T::T>> = rows.iter().map(&read).collect();
            let levels: Vec<i16> = found.iter().map(|value| value.is_some().into()).collect();
            let found: Vec<T::T> = found.into_iter().flatten().collect();
            writer.write_batch(&found[..], (!column.required).then_some(&levels[..]), None)?;
        }
        Ok(())
    })
}

/// Writes a column that has a list in each row.
fn lists<R>(
    group: &mut SerializedRowGroupWriter<'_, Hashed>,
    rows: &[R],
    read: for<'a> fn(&'a R) -> &'a [f32],
) -> Result<(), ParquetError> {
    into_column::<FloatType>(group, |writer| {
        for rows in rows.chunks(AT_A_TIME) {
            let (mut found, mut defined, mut repeated) = (Vec::new(), Vec::new(), Vec::new());
            for list in rows.iter().map(read) {
                // An empty list is one place at which nothing is.
                defined.extend(std::iter::repeat_n(i16::from(!list.is_empty()), list.len().max(1)));
                repeated.extend((0..list.len().max(1)).map(|place| i16::from(place > 0)));
                found.extend_from_slice(list);
            }
            writer.write_batch(&found[..], Some(&defined[..]), Some(&repeated[..]))?;
        }
        Ok(())
    })
}

fn into_column<T: DataType>(
    group: &mut SerializedRowGroupWriter<'_, Hashed>,
    write: impl FnOnce(&mut ColumnWriterImpl<'_, T>) -> Result<(), ParquetError>,
) -> Result<(), ParquetError> {
    // There are as many columns as the schema was made of.
    let Some(mut column) = group.next_column()? else { return Ok(()) };
    write(column.typed::<T>())?;
    column.close()
}
