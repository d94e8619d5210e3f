//! The spelling of `sla.window`.

use std::ops::RangeInclusive;

use slarouter_core::policy::Window;

/// The account keeps a rolling window in sixteen blocks; the most is that of any other number in the file.
const REQUESTS: RangeInclusive<u64> = 16..=1 << 40;
/// As long as ratings may be taken.
const LONGEST_MS: u64 = 36_500 * 86_400_000;

/// The window where the file says nothing: long enough for some hundred labels where one answer in a hundred is rated, and short enough that what a
/// route was ahead long ago is not spent now.
pub const DEFAULT_WINDOW: Window = Window::Requests(20_000);

/// Reads a window: `run`, `<n> requests`, or a duration in whole seconds, minutes, hours, days or weeks.
///
/// # Errors
/// What is taken.
pub fn parse_window(text: &str) -> Result<Window, &'static str> {
    parse(text).ok_or(
        "window must be \"run\", \"<n> requests\" with n from 16, or a duration, as in \"1 day\" or \"12 hours\"",
    )
}

fn parse(text: &str) -> Option<Window> {
    if text == "run" {
        return Some(Window::Run);
    }
    let (count, unit) = counted(text)?;
    if unit == "request" {
        return REQUESTS.contains(&count).then_some(Window::Requests(count));
    }
    duration_ms(text).map(Window::Period)
}

/// A number above 0 and its unit, without the s of the plural.
fn counted(text: &str) -> Option<(u64, &str)> {
    let (count, unit) = text.split_once(' ')?;
    let count: u64 = count.parse().ok().filter(|count| *count > 0)?;
    Some((count, unit.strip_suffix('s').unwrap_or(unit)))
}

/// Reads a duration in whole seconds, minutes, hours, days or weeks; in milliseconds.
pub(super) fn duration_ms(text: &str) -> Option<u64> {
    let (count, unit) = counted(text)?;
    let seconds = match unit {
        "second" => 1,
        "minute" => 60,
        "hour" => 3_600,
        "day" => 86_400,
        "week" => 604_800,
        _ => return None,
    };
    let length = count.checked_mul(seconds * 1_000)?;
    (length <= LONGEST_MS).then_some(length)
}
