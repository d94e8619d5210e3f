//! `Retry-After`, as seconds or as a date.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{HeaderMap, HeaderName, header};
use slarouter_core::Timestamp;

/// Nobody means more than a year.
const LONGEST: Duration = Duration::from_secs(365 * 86_400);

/// How long the sender asks to be left alone; `None` where it asks for nothing: no header, one that says nothing, zero, or a time
/// that is over. A date is read by the sender's own clock, which its `Date` shows, and by ours, `now`, without one.
pub(crate) fn wait(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match text.parse::<f64>() {
        // Beyond what a `Duration` holds is far off, not wrong.
        Ok(seconds) if seconds >= 0.0 && seconds.is_finite() => Duration::try_from_secs_f64(seconds).unwrap_or(LONGEST),
        Ok(_) => return None,
        Err(_) => {
            let until = httpdate::parse_http_date(text).ok()?;
            let now = date(headers, header::DATE).unwrap_or(UNIX_EPOCH + Duration::from_millis(now.0));
            until.duration_since(now).ok()?
        }
    };
    (!wait.is_zero()).then_some(wait.min(LONGEST))
}

fn date(headers: &HeaderMap, name: HeaderName) -> Option<SystemTime> {
    httpdate::parse_http_date(headers.get(name)?.to_str().ok()?.trim()).ok()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    /// 1994-11-15 08:12:31 UTC.
    const NOW: Timestamp = Timestamp(784_887_151_000);

    fn read(value: &str, date: Option<&'static str>) -> Option<u64> {
        let mut headers = HeaderMap::new();
        headers.insert(header::RETRY_AFTER, HeaderValue::from_str(value).unwrap());
        if let Some(date) = date {
            headers.insert(header::DATE, HeaderValue::from_static(date));
        }
        wait(&headers, NOW).map(|wait| wait.as_millis().try_into().unwrap())
    }

    #[test]
    fn seconds_and_dates() {
        for (value, expected) in [
            ("7", Some(7_000)),
            (" 7 ", Some(7_000)),
            ("1.5", Some(1_500)),
            ("Tue, 15 Nov 1994 08:12:36 GMT", Some(5_000)),
            // The two obsolete forms that RFC 9110 wants understood.
            ("Tuesday, 15-Nov-94 08:12:36 GMT", Some(5_000)),
            ("Tue Nov 15 08:12:36 1994", Some(5_000)),
            // Far off.
            ("Fri, 31 Dec 9999 23:59:59 GMT", Some(31_536_000_000)),
            ("99999999999999999999999", Some(31_536_000_000)),
            // Over, or at once.
            ("Tue, 15 Nov 1994 08:12:31 GMT", None),
            ("Thu, 01 Jan 1970 00:00:00 GMT", None),
            ("0", None),
        ] {
            assert_eq!(read(value, None), expected, "{value}");
        }
    }

    #[test]
    fn what_says_nothing_is_as_if_it_were_not_there() {
        for value in ["", "-1", "nan", "inf", "-inf", "soon", "7 s", "Tue, 32 Nov 1994 08:12:36 GMT", "1994-11-15"] {
            assert_eq!(read(value, None), None, "{value}");
        }
        assert_eq!(wait(&HeaderMap::new(), NOW), None);
    }

    #[test]
    fn a_date_is_read_by_its_senders_clock() {
        let until = "Tue, 15 Nov 1994 09:00:10 GMT";
        assert_eq!(read(until, Some("Tue, 15 Nov 1994 09:00:00 GMT")), Some(10_000));
        assert_eq!(read(until, Some("no date")), Some(2_859_000), "else by ours");
        assert_eq!(read("30", Some("Tue, 15 Nov 1994 09:00:00 GMT")), Some(30_000));
    }
}
