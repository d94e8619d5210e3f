//! What has been spent today and this month, in whole 10⁻⁹ USD. Days are numbers of dates, counted from 1 January 1970.

use time::{Date, Duration, OffsetDateTime};

/// 10⁻⁹ USD, rounded up: what is spent is never less than counted.
pub(super) fn nano(usd: f64) -> i64 {
    (usd * 1e9).ceil().clamp(0.0, 9e18) as i64
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Budget {
    today: u64,
    /// The first day of the month that `today` is in.
    first: u64,
    spent_day: i64,
    spent_month: i64,
    /// Part of both: held by requests that have not ended.
    pub(super) reserved: i64,
}

impl Budget {
    /// Begins a new day, and a new month, if there is one.
    pub(super) fn turn(&mut self, day: u64) {
        if day <= self.today {
            return;
        }
        let first = first_of_month(day);
        if first != self.first {
            self.spent_month = 0;
        }
        (self.today, self.first, self.spent_day) = (day, first, 0);
    }

    /// Adds to what was spent on `day`.
    pub(super) fn spend(&mut self, day: u64, nano: i64) {
        self.turn(day);
        if day == self.today {
            self.spent_day = self.spent_day.saturating_add(nano);
        }
        if day >= self.first {
            self.spent_month = self.spent_month.saturating_add(nano);
        }
    }

    pub(super) fn spent(&self) -> (i64, i64) {
        (self.spent_day, self.spent_month)
    }
}

/// The first day of the month that this day is in. After the year 9999 the calendar stands still.
pub(super) fn first_of_month(day: u64) -> u64 {
    let since_1970 = i32::try_from(day).map_or(Duration::MAX, |day| Duration::days(day.into()));
    let date = OffsetDateTime::UNIX_EPOCH.date().checked_add(since_1970).unwrap_or(Date::MAX);
    day - u64::from(date.day() - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_of_the_calendar() {
        // From `date -u -d … +%s` / 86400.
        for (day, first) in
            [(0, 0), (30, 0), (31, 31), (11_016, 10_988), (11_017, 11_017), (19_782, 19_754), (20_781, 20_758)]
        {
            assert_eq!(first_of_month(day), first, "{day}");
        }
    }

    #[test]
    fn what_belongs_to_yesterday_stays_there() {
        let mut budget = Budget::default();
        budget.spend(58, 10);
        assert_eq!(budget.spent(), (10, 10));
        budget.spend(59, 5);
        assert_eq!(budget.spent(), (5, 5), "March is another month than February");
        budget.spend(58, -10);
        assert_eq!(budget.spent(), (5, 5));
        budget.turn(60);
        assert_eq!(budget.spent(), (0, 5));
        budget.spend(59, -1);
        assert_eq!(budget.spent(), (0, 4));
    }
}
