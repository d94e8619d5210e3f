//! The lengths of time over which sums are kept, and which of them make up a range.

use slarouter_core::Timestamp;

use super::Calendar;

pub(crate) const MINUTE_MS: u64 = 60_000;
pub(crate) const QUARTER_MS: u64 = 15 * MINUTE_MS;
pub(crate) const DAY_MS: u64 = 86_400_000;

/// A length of time over which sums are kept, as the column `span` has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Span {
    Minute = 0,
    /// Of an hour: the days of every time zone begin with one.
    Quarter = 1,
    /// Of the calendar.
    Day = 2,
}

impl Span {
    pub(crate) const ALL: [Self; 3] = [Self::Minute, Self::Quarter, Self::Day];

    /// Where the span that this moment is in begins.
    pub(crate) fn start(self, at: Timestamp, calendar: &Calendar) -> Timestamp {
        match self {
            Self::Minute => Timestamp(at.0 - at.0 % MINUTE_MS),
            Self::Quarter => Timestamp(at.0 - at.0 % QUARTER_MS),
            Self::Day => calendar.day(at).start,
        }
    }

    /// Where the next one begins.
    fn end(self, at: Timestamp, calendar: &Calendar) -> Timestamp {
        match self {
            Self::Minute => Timestamp((at.0 - at.0 % MINUTE_MS).saturating_add(MINUTE_MS)),
            Self::Quarter => Timestamp((at.0 - at.0 % QUARTER_MS).saturating_add(QUARTER_MS)),
            Self::Day => calendar.day(at).end,
        }
    }
}

/// The fewest stretches of spans that make up the range from `from` to `to`: days in its middle, quarters of an hour around them, and minutes
/// at its ends, unless these lie before `minutes`, from which on there are sums by the minute.
pub(crate) fn pieces(
    from: Timestamp,
    to: Timestamp,
    minutes: Timestamp,
    calendar: &Calendar,
) -> Vec<(Span, Timestamp, Timestamp)> {
    let finest = |at: Timestamp| if at < minutes { Span::Quarter } else { Span::Minute };
    let down = |span: Span, at: Timestamp| span.start(at, calendar);
    let up = |span: Span, at: Timestamp| if down(span, at) == at { at } else { span.end(at, calendar) };
    let (from, to) = (down(finest(from), from), up(finest(to), to));
    let mut pieces = Vec::new();
    // What a coarser span cannot cover is left to the finer one, before and behind.
    let quarters = (up(Span::Quarter, from), down(Span::Quarter, to));
    if quarters.0 >= quarters.1 {
        pieces.push((Span::Minute, from, to));
    } else {
        let days = (up(Span::Day, quarters.0), down(Span::Day, quarters.1));
        pieces.push((Span::Minute, from, quarters.0));
        if days.0 >= days.1 {
            pieces.push((Span::Quarter, quarters.0, quarters.1));
        } else {
            pieces.push((Span::Quarter, quarters.0, days.0));
            pieces.push((Span::Day, days.0, days.1));
            pieces.push((Span::Quarter, days.1, quarters.1));
        }
        pieces.push((Span::Minute, quarters.1, to));
    }
    pieces.retain(|(_, from, to)| from < to);
    pieces
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn pieces_are_whole_spans_without_gaps(
            from in 1_790_000_000_000_u64..1_800_000_000_000,
            length in 0..40 * DAY_MS,
            horizon in 1_790_000_000_000_u64..1_800_000_000_000,
            zone in prop::sample::select(vec!["UTC", "Europe/Berlin", "Asia/Kathmandu", "America/New_York"]),
        ) {
            let calendar = Calendar::new(TimeZone::get(zone).unwrap());
            let (from, to, horizon) = (Timestamp(from), Timestamp(from + length), Timestamp(horizon));
            let pieces = pieces(from, to, horizon, &calendar);
            for (span, from, to) in &pieces {
                prop_assert_eq!((span.start(*from, &calendar), span.start(*to, &calendar)), (*from, *to));
            }
            for pair in pieces.windows(2) {
                prop_assert_eq!(pair[0].2, pair[1].1);
            }
            if let (Some(first), Some(last)) = (pieces.first(), pieces.last()) {
                let off = |at: Timestamp| if at < horizon { QUARTER_MS } else { MINUTE_MS };
                prop_assert!(first.1 <= from && from.0 - first.1.0 < off(from), "{pieces:?}");
                prop_assert!(last.2 >= to && last.2.0 - to.0 < off(to), "{pieces:?}");
                // No more rows are read than need be.
                let days = pieces.iter().filter(|(span, ..)| *span == Span::Day).count();
                prop_assert!(length < 3 * DAY_MS || days == 1, "{pieces:?}");
            } else {
                prop_assert_eq!(length, 0);
            }
        }
    }

    #[test]
    fn an_hour_is_read_from_few_rows() {
        let at = |minute: u64| Timestamp(minute * MINUTE_MS);
        let utc = Calendar::default();
        assert_eq!(
            pieces(at(14), Timestamp(61 * MINUTE_MS - 1), at(0), &utc),
            [(Span::Minute, at(14), at(15)), (Span::Quarter, at(15), at(60)), (Span::Minute, at(60), at(61))]
        );
        assert_eq!(pieces(at(16), at(29), at(0), &utc), [(Span::Minute, at(16), at(29))]);
        assert_eq!(pieces(at(16), at(29), at(30), &utc), [(Span::Quarter, at(15), at(30))]);
    }
}
