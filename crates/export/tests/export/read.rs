//! Reads an export with the reader of the crate `parquet`.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use data_encoding::HEXLOWER;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;
use sha2::{Digest, Sha256};
use slarouter_export::{FileEntry, Manifest};

/// A row: names and values of its columns, with the route and the day that its folders say.
pub(crate) type Row = BTreeMap<String, Field>;

/// The rows of a table, file after file. Checks size, hash and number of rows of each file by the manifest on the way.
pub(crate) fn table(folder: &Path, manifest: &Manifest, name: &str) -> Vec<Row> {
    let begin = format!("{name}/");
    let files = manifest.files.iter().filter(|file| file.path.starts_with(&begin));
    files.flat_map(|file| rows(folder, file)).collect()
}

fn rows(folder: &Path, entry: &FileEntry) -> Vec<Row> {
    let path = folder.join(&entry.path);
    let bytes = std::fs::read(&path).unwrap();
    assert_eq!((bytes.len() as u64, HEXLOWER.encode(&Sha256::digest(&bytes))), (entry.bytes, entry.sha256.clone()));
    let reader = SerializedFileReader::new(File::open(&path).unwrap()).unwrap();
    let named: Vec<_> = entry.path.split('/').filter_map(|part| part.split_once('=')).collect();
    let rows: Vec<Row> = reader
        .get_row_iter(None)
        .unwrap()
        .map(|row| {
            let mut row: Row = row.unwrap().into_columns().into_iter().collect();
            for (name, value) in &named {
                assert!(row.insert((*name).to_owned(), Field::Str((*value).to_owned())).is_none());
            }
            row
        })
        .collect();
    assert_eq!(rows.len() as u64, entry.rows, "{}", entry.path);
    rows
}

/// The values of a column.
pub(crate) fn column(rows: &[Row], name: &str) -> Vec<Field> {
    rows.iter().map(|row| row[name].clone()).collect()
}

pub(crate) fn text(text: &str) -> Field {
    Field::Str(text.to_owned())
}

pub(crate) fn named(text: Option<&str>) -> Field {
    text.map_or(Field::Null, |text| Field::Str(text.to_owned()))
}

pub(crate) fn real(value: Option<f64>) -> Field {
    value.map_or(Field::Null, Field::Double)
}
