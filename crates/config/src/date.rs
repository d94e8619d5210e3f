//! Moments as people write them.

use std::fmt;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use slarouter_core::Timestamp;
use time::format_description::well_known::Rfc3339;
use time::{Duration, Month, OffsetDateTime};
use toml::value::{Datetime, Offset};

/// The last second of the year 9999, counted from 1970.
const LAST_SECOND: i64 = 253_402_300_799;

/// A date as it is written, bare or as a string.
pub(crate) struct Date(Datetime);

impl<'de> Deserialize<'de> for Date {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Date;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a date")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Date, E> {
                text.parse().map(Date).map_err(|_| E::custom(FORM))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Date, A::Error> {
                Datetime::deserialize(MapAccessDeserializer::new(map)).map(Date).map_err(|_| A::Error::custom(FORM))
            }
        }
        deserializer.deserialize_any(Reader)
    }
}

pub(crate) const FORM: &str = "from must be a date from 1970 on, as in \"2026-12-01\" (its first moment in UTC), or a date and time with \
                    its offset, as in \"2026-12-01T09:00:00Z\"";

impl Date {
    /// `None` without a date, with a time that is in no zone, and before 1970.
    pub(crate) fn timestamp(&self) -> Option<Timestamp> {
        let date = self.0.date?;
        let month = Month::try_from(date.month).ok()?;
        let midnight = time::Date::from_calendar_date(date.year.into(), month, date.day).ok()?.midnight().assume_utc();
        let since_midnight = match (self.0.time, self.0.offset) {
            (None, None) => Duration::ZERO,
            (Some(time), Some(offset)) => {
                let east = match offset {
                    Offset::Z => 0,
                    Offset::Custom { minutes } => minutes,
                };
                Duration::hours(time.hour.into())
                    + Duration::minutes(i64::from(time.minute) - i64::from(east))
                    + Duration::seconds(time.second.unwrap_or(0).into())
                    + Duration::nanoseconds(time.nanosecond.unwrap_or(0).into())
            }
            _ => return None,
        };
        let moment = midnight.checked_add(since_midnight)?;
        u64::try_from(moment.unix_timestamp_nanos().div_euclid(1_000_000)).ok().map(Timestamp)
    }
}

/// A moment as RFC 3339 has it, to the second; what comes after the year 9999 is the end of that year.
#[must_use]
pub fn utc(time: Timestamp) -> String {
    let seconds = i64::try_from(time.0 / 1_000).unwrap_or(LAST_SECOND).min(LAST_SECOND);
    let moment = OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    // A year of four digits, in UTC, can always be written.
    moment.format(&Rfc3339).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_moments_in_utc() {
        let ms = |text: &str| text.parse::<Datetime>().ok().and_then(|date| Date(date).timestamp()).map(|at| at.0);
        for (text, expected) in [
            ("1970-01-01", Some(0)),
            ("2000-03-01", Some(951_868_800_000)),
            ("2024-02-29", Some(1_709_164_800_000)),
            ("2026-12-01", Some(1_796_083_200_000)),
            ("2026-12-01T00:00:00Z", Some(1_796_083_200_000)),
            ("2026-12-01T02:00:00.25+02:00", Some(1_796_083_200_250)),
            ("2026-11-30T19:30:00-04:30", Some(1_796_083_200_000)),
            ("9999-12-31", Some(253_402_214_400_000)),
            ("1969-12-31", None),
            ("2023-02-29", None),
            ("2100-02-29", None),
            ("2026-12-01T00:00:00", None),
            ("09:00:00", None),
            ("2026-13-01", None),
            ("tomorrow", None),
        ] {
            assert_eq!(ms(text), expected, "{text}");
        }
    }

    #[test]
    fn moments_are_written_as_they_are_read() {
        for seconds in (0..253_402_214_400).step_by(86_399 * 37) {
            let text = utc(Timestamp(seconds * 1_000));
            let read = text.parse().ok().and_then(|date| Date(date).timestamp());
            assert_eq!(read, Some(Timestamp(seconds * 1_000)), "{text}");
        }
    }
}
