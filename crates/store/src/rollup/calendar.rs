//! Days and months of one time zone.

use std::ops::Range;

use jiff::Zoned;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use slarouter_core::Timestamp;

/// The calendar of the place whose days and months count.
#[derive(Clone, Debug, PartialEq)]
pub struct Calendar {
    zone: TimeZone,
}

impl Calendar {
    /// Of this time zone.
    #[must_use]
    pub fn new(zone: TimeZone) -> Self {
        Self { zone }
    }

    /// The zone's name, as in `Europe/Berlin`.
    #[must_use]
    pub fn name(&self) -> &str {
        self.zone.iana_name().unwrap_or("UTC")
    }

    /// The day that this moment is in, from its first moment to that of the next: 23 to 25 hours where clocks are put forward or back.
    #[must_use]
    pub fn day(&self, at: Timestamp) -> Range<Timestamp> {
        let date = self.civil(at);
        self.first_moment(date)..self.first_moment(date.tomorrow().unwrap_or(Date::MAX))
    }

    /// The calendar month that this moment is in.
    #[must_use]
    pub fn month(&self, at: Timestamp) -> Range<Timestamp> {
        let date = self.civil(at);
        self.first_moment(date.first_of_month())
            ..self.first_moment(date.last_of_month().tomorrow().unwrap_or(Date::MAX))
    }

    /// Days from 1 January 1970 to the date of this moment, both of this zone; 0 before.
    #[must_use]
    pub fn day_number(&self, at: Timestamp) -> u64 {
        let since = self.civil(at).duration_since(Date::constant(1970, 1, 1));
        u64::try_from(since.as_hours() / 24).unwrap_or(0)
    }

    /// A moment as RFC 3339 has it, to the second: `2026-11-29T14:03:20+01:00`, and in UTC `2026-11-29T13:03:20Z`.
    #[must_use]
    pub fn moment(&self, at: Timestamp) -> String {
        self.zoned(at).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string().replace("+00:00", "Z")
    }

    /// The same for people who are told whose time it is: `2026-11-29 14:03:20`.
    #[must_use]
    pub fn told(&self, at: Timestamp) -> String {
        self.zoned(at).strftime("%Y-%m-%d %H:%M:%S").to_string()
    }

    /// The date of a moment, as in `2026-11-29`.
    #[must_use]
    pub fn date(&self, at: Timestamp) -> String {
        self.civil(at).to_string()
    }

    /// The first moment of a date that is written so, or of the first day of a month that is written as `2026-11`; `None` if it is neither.
    #[must_use]
    pub fn parse(&self, date: &str) -> Option<Timestamp> {
        let date = date.parse::<Date>().or_else(|_| format!("{date}-01").parse()).ok()?;
        (date.year() >= 1970).then(|| self.first_moment(date))
    }

    fn civil(&self, at: Timestamp) -> Date {
        self.zoned(at).date()
    }

    /// Of what comes after the year 9999, its end.
    fn zoned(&self, at: Timestamp) -> Zoned {
        let ms = i64::try_from(at.0).unwrap_or(i64::MAX);
        jiff::Timestamp::from_millisecond(ms).unwrap_or(jiff::Timestamp::MAX).to_zoned(self.zone.clone())
    }

    fn first_moment(&self, date: Date) -> Timestamp {
        let moment = date.to_zoned(self.zone.clone()).map_or(jiff::Timestamp::MAX, |zoned| zoned.timestamp());
        Timestamp(u64::try_from(moment.as_millisecond()).unwrap_or(0))
    }
}

impl Default for Calendar {
    /// Of UTC.
    fn default() -> Self {
        Self { zone: TimeZone::UTC }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600_000;

    fn of(zone: &str) -> Calendar {
        Calendar::new(TimeZone::get(zone).unwrap())
    }

    #[test]
    fn days_have_as_many_hours_as_the_clocks_leave_them() {
        // The clocks of Berlin go forward on 29 March 2026 and back on 25 October; in Beirut midnight itself is left out on 29 March.
        for (zone, date, hours) in [
            ("UTC", "2026-03-29", 24),
            ("Europe/Berlin", "2026-03-28", 24),
            ("Europe/Berlin", "2026-03-29", 23),
            ("Europe/Berlin", "2026-10-25", 25),
            ("Asia/Beirut", "2026-03-29", 23),
            ("Asia/Kathmandu", "2026-03-29", 24),
        ] {
            let calendar = of(zone);
            let day = calendar.day(calendar.parse(date).unwrap());
            assert_eq!((day.end.0 - day.start.0) / HOUR, hours, "{zone} {date}");
            let last = Timestamp(day.end.0 - 1);
            assert_eq!((calendar.date(day.start), calendar.date(last)), (date.to_owned(), date.to_owned()));
            assert_eq!(calendar.day(last), day);
            assert_ne!(calendar.date(day.end), date);
        }
    }

    #[test]
    fn months_follow_each_other() {
        let calendar = of("America/New_York");
        let mut month = calendar.month(calendar.parse("2025-11").unwrap());
        for _ in 0..24 {
            let next = calendar.month(month.end);
            assert_eq!((calendar.month(Timestamp(month.end.0 - 1)), next.start), (month.clone(), month.end));
            month = next;
        }
        assert_eq!(calendar.date(month.start), "2027-11-01");
    }

    #[test]
    fn moments_are_told_in_the_time_of_the_place() {
        // An hour before and at the moment when the clocks of Berlin go back, and the same in UTC.
        let (before, after) = (Timestamp(1_792_886_400_000), Timestamp(1_792_890_000_000));
        assert_eq!(of("Europe/Berlin").moment(before), "2026-10-25T02:00:00+02:00");
        assert_eq!(of("Europe/Berlin").moment(after), "2026-10-25T02:00:00+01:00");
        assert_eq!(of("Europe/Berlin").told(after), "2026-10-25 02:00:00");
        assert_eq!(of("UTC").moment(after), "2026-10-25T01:00:00Z");
        assert_eq!(of("Asia/Kathmandu").moment(after), "2026-10-25T06:45:00+05:45");
    }

    #[test]
    fn days_are_counted_by_the_dates_of_the_place() {
        let last_of_the_year = Timestamp(1_798_758_000_000);
        assert_eq!(of("UTC").moment(last_of_the_year), "2026-12-31T23:00:00Z");
        // From `date -u -d 2026-12-31 +%s` / 86400.
        assert_eq!(of("UTC").day_number(last_of_the_year), 20_818);
        assert_eq!(of("Europe/Berlin").day_number(last_of_the_year), 20_819);
        assert_eq!(of("Europe/Berlin").day_number(Timestamp(last_of_the_year.0 - 1)), 20_818);
        assert_eq!(of("America/New_York").day_number(Timestamp(0)), 0);
    }

    #[test]
    fn no_moment_is_a_panic_and_what_is_no_date_is_none() {
        for at in [0, 1, u64::MAX] {
            let (day, month) = (of("Asia/Tokyo").day(Timestamp(at)), of("Pacific/Apia").month(Timestamp(at)));
            assert!(day.start <= day.end && month.start <= month.end);
        }
        for text in ["", "2026", "2026-13", "2026-02-29", "1969-12-31", "yesterday"] {
            assert_eq!(Calendar::default().parse(text), None, "{text}");
        }
        assert_eq!(Calendar::default().parse("1970-01"), Some(Timestamp(0)));
    }
}
