//! Moments as people write them.

use std::fmt;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use slarouter_core::Timestamp;
use toml::value::{Datetime, Offset};

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
        let days = days_since_1970(i64::from(date.year), i64::from(date.month), i64::from(date.day))?;
        let (time, minutes) = match (self.0.time, self.0.offset) {
            (None, None) => (0, 0),
            (Some(time), Some(offset)) => {
                let seconds = i64::from(time.hour) * 3_600 + i64::from(time.minute) * 60;
                let seconds = seconds + i64::from(time.second.unwrap_or(0));
                let ms = seconds * 1_000 + i64::from(time.nanosecond.unwrap_or(0)) / 1_000_000;
                let minutes = match offset {
                    Offset::Z => 0,
                    Offset::Custom { minutes } => minutes,
                };
                (ms, i64::from(minutes))
            }
            _ => return None,
        };
        u64::try_from(days * 86_400_000 + time - minutes * 60_000).ok().map(Timestamp)
    }
}

/// A moment as RFC 3339 has it, to the second.
#[must_use]
pub fn utc(time: Timestamp) -> String {
    let (mut days, second) = (time.0 / 86_400_000, time.0 / 1_000 % 86_400);
    // The calendar in eras of 400 years that begin on the first of March, where the leap day is the last of a year.
    days += 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let place = (5 * day + 2) / 153;
    let (day, month) = (day - (153 * place + 2) / 5 + 1, if place < 10 { place + 3 } else { place - 9 });
    let year = 400 * era + year + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", second / 3_600, second / 60 % 60, second % 60)
}

/// In the Gregorian calendar; `None` for a day that is not in it.
fn days_since_1970(year: i64, month: i64, day: i64) -> Option<i64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let lengths = [31, if leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let place = usize::try_from(month - 1).ok()?;
    if !(1..=*lengths.get(place)?).contains(&day) {
        return None;
    }
    let before = year - 1;
    let whole = before * 365 + before / 4 - before / 100 + before / 400;
    // Days from the year 1 to 1970.
    Some(whole - 719_162 + lengths[..place].iter().sum::<i64>() + day - 1)
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
