//! Numbers, and words of others, as they are told to people, in one way everywhere.

use std::borrow::Cow;

/// A share in percent with one decimal: `93.1 %`.
#[must_use]
pub fn told_percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

/// USD with a sign of its own: in cents from 1 USD on, else with two significant digits: `$1,234.50`, `$0.0031`, `−$2.00`.
#[must_use]
pub fn told_money(usd: f64) -> String {
    let sign = if usd < 0.0 { "−" } else { "" };
    let amount = usd.abs();
    if amount == 0.0 {
        return "$0".to_owned();
    }
    if amount >= 0.995 {
        let cents = format!("{amount:.2}");
        let (whole, decimals) = cents.split_once('.').unwrap_or((&cents, "00"));
        return format!("{sign}${}.{decimals}", grouped(whole));
    }
    // Rounded first, so that 0.0996 is 0.10 and not 0.100.
    let rounded: f64 = format!("{amount:.1e}").parse().unwrap_or(amount);
    let digits = (1.0 - libm::log10(rounded).floor()).clamp(2.0, 12.0) as usize;
    format!("{sign}${rounded:.digits$}")
}

/// Words of others for a table that a spreadsheet may open. It would take what begins with `=`, `+`, `-`, `@`, a tab or a return for a
/// formula and run it, so such words get an apostrophe before them, which says that they are text.
#[must_use]
pub fn told_text(words: &str) -> Cow<'_, str> {
    let is_formula = words.starts_with(['=', '+', '-', '@', '\t', '\r']);
    if is_formula { format!("'{words}").into() } else { words.into() }
}

/// A whole number with commas: `12,345`.
#[must_use]
pub fn told_count(count: u64) -> String {
    grouped(&count.to_string())
}

fn grouped(digits: &str) -> String {
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_told_short_and_with_what_counts_of_them() {
        for (usd, told) in [
            (0.0, "$0"),
            (0.0031, "$0.0031"),
            (0.000_412_3, "$0.00041"),
            (0.099_6, "$0.10"),
            (0.25, "$0.25"),
            (0.996, "$1.00"),
            (12.345, "$12.35"),
            (1_234_567.5, "$1,234,567.50"),
            (-2.0, "−$2.00"),
            (-0.004, "−$0.0040"),
            (1e-15, "$0.000000000000"),
        ] {
            assert_eq!(told_money(usd), told);
        }
        assert_eq!((told_percent(0.9314), told_percent(1.0)), ("93.1 %".to_owned(), "100.0 %".to_owned()));
        for (count, told) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(told_count(count), told);
        }
    }

    #[test]
    fn no_word_is_a_formula() {
        for (words, told) in [
            ("=HYPERLINK(\"http://h\")", "'=HYPERLINK(\"http://h\")"),
            ("+1", "'+1"),
            ("-1", "'-1"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\t=1", "'\t=1"),
            ("gpt-4=x", "gpt-4=x"),
            ("", ""),
        ] {
            assert_eq!(told_text(words), told);
        }
    }
}
