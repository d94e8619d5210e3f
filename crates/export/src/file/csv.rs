//! Rows as comma-separated values.

use std::io;

use slarouter_core::{Timestamp, told_text};
use slarouter_store::Calendar;

use super::hashed::Hashed;
use crate::column::{Column, Read};
use crate::partition::Partition;

/// Bytes that are gathered before they are written.
const GATHERED: usize = 1 << 16;

/// A file of comma-separated values. Its first columns are the route and the day: whoever opens one file does not see its folders.
pub(crate) struct CsvFile {
    writer: csv::Writer<Hashed>,
    partition: Partition,
}

impl CsvFile {
    pub(crate) fn new<R>(file: Hashed, columns: &[&'static Column<R>], partition: &Partition) -> io::Result<Self> {
        let mut writer = csv::WriterBuilder::new().buffer_capacity(GATHERED).from_writer(file);
        let names = written(columns).map(|column| column.name);
        writer.write_record(["route", "day"].into_iter().chain(names))?;
        Ok(Self { writer, partition: partition.clone() })
    }

    pub(crate) fn write<R>(&mut self, columns: &[&'static Column<R>], rows: &[R]) -> io::Result<()> {
        let (route, day) = (told_text(self.partition.route()), self.partition.day());
        for row in rows {
            self.writer.write_field(&*route)?;
            self.writer.write_field(day)?;
            for column in written(columns) {
                self.writer.write_field(cell(&column.read, row))?;
            }
            self.writer.write_record(None::<&[u8]>)?;
        }
        Ok(())
    }

    pub(crate) fn into_inner(self) -> io::Result<Hashed> {
        self.writer.into_inner().map_err(csv::IntoInnerError::into_error)
    }
}

/// Lists have no form in a table of text.
fn written<R>(columns: &[&'static Column<R>]) -> impl Iterator<Item = &'static Column<R>> {
    columns.iter().copied().filter(|column| !matches!(column.read, Read::Reals(_)))
}

/// A value as text, empty where there is none. Numbers are written so that they are read back to the bit.
fn cell<R>(read: &Read<R>, row: &R) -> String {
    let value = match read {
        Read::Bool(read) => read(row).map(|value| value.to_string()),
        Read::Int(read) => read(row).map(|value| value.to_string()),
        Read::Real(read) => read(row).map(|value| format!("{value:?}")),
        Read::Reals(_) => None,
        Read::Text(read) => read(row).map(|value| told_text(&value).into_owned()),
        Read::Time(read) => read(row).map(told_time),
    };
    value.unwrap_or_default()
}

/// As RFC 3339 has it, in UTC.
fn told_time(ms: i64) -> String {
    let second = Calendar::default().moment(Timestamp(ms.cast_unsigned()));
    format!("{}.{:03}Z", second.trim_end_matches('Z'), ms.rem_euclid(1_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_to_the_millisecond() {
        assert_eq!(told_time(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(told_time(4_102_444_799_999), "2099-12-31T23:59:59.999Z");
    }

    #[test]
    fn numbers_come_back_to_the_bit_and_formulas_are_text() {
        let real = Read::Real(|value: &f64| Some(*value));
        for value in [0.1 + 0.2, f64::MIN_POSITIVE, 1e300, -0.0] {
            assert_eq!(cell(&real, &value).parse::<f64>().unwrap().to_bits(), value.to_bits());
        }
        assert_eq!(cell(&Read::Text(|text: &&str| Some((*text).into())), &"=1+1"), "'=1+1");
        assert_eq!(cell(&Read::Int(|_: &()| None), &()), "");
    }
}
