//! A report as a page and as text.

use std::fmt::Write;

use askama::Template;

use crate::error::ReportError;
use crate::facts::{Bill, Day, Report, Route};
use crate::incident::Incident;
use crate::promise::{Promise, Verdict};

/// How a report is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One file without scripts, for screen and paper.
    Html,
    /// CommonMark with tables.
    Markdown,
    /// All its facts.
    Json,
}

#[derive(Template)]
#[template(path = "report.html")]
struct Html<'a> {
    report: &'a Report,
    terms: String,
}

#[derive(Template)]
#[template(path = "report.md", escape = "none")]
struct Markdown<'a> {
    report: &'a Report,
    terms: String,
}

impl Report {
    /// Written so. The same report is the same text, to the byte.
    ///
    /// # Errors
    /// [`ReportError`], never for reports of this crate.
    pub fn write(&self, format: Format) -> Result<String, ReportError> {
        let terms = self.terms.comment()?;
        Ok(match format {
            Format::Html => Html { report: self, terms }.render()?,
            Format::Markdown => Markdown { report: self, terms }.render()?,
            Format::Json => serde_json::to_string_pretty(self)? + "\n",
        })
    }
}

impl Verdict {
    /// For whoever signs.
    fn word(self) -> &'static str {
        match self {
            Self::Kept => "Kept",
            Self::Broken => "Not kept",
            Self::NotDecided => "Not decided",
            Self::NoPromise => "No promise",
        }
    }

    /// How the page marks it; never by colour alone.
    fn class(self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::Broken => "broken",
            Self::NotDecided => "open",
            Self::NoPromise => "none",
        }
    }
}

impl Bill {
    fn cost(&self) -> String {
        usd(self.cost_usd)
    }

    fn names(&self) -> String {
        format!("{} | {}", cell(&self.key), cell(&self.tenant))
    }
}

impl Day {
    fn cost(&self) -> String {
        usd(self.cost_usd)
    }
}

impl Incident {
    fn cells(&self) -> String {
        format!("{} | {}", cell(&self.route), cell(&self.what))
    }
}

impl Route {
    fn cost(&self) -> String {
        usd(self.cost_usd)
    }

    fn set_aside(&self) -> u64 {
        self.promise.as_ref().map_or(0, |promise| promise.set_aside)
    }

    /// One sentence on the promise.
    fn sentence(&self) -> String {
        let Some(Promise { alpha, assurance, lower, estimate, upper, answers, labels, .. }) = &self.promise else {
            return "The policy of this route certifies nothing.".to_owned();
        };
        let bounds =
            format!("between {} and {} with {} assurance", percent(*lower), percent(*upper), percent(*assurance));
        let evidence = format!("{labels} rated or audited answers of {answers}");
        format!("{} satisfied, {bounds}; {} promised; {evidence}.", percent(*estimate), percent(*alpha))
    }

    /// What was saved, and how sure that is.
    fn saving(&self) -> String {
        let Some(baseline) = &self.baseline else { return String::new() };
        let sure = match self.saved_interval_usd {
            Some((lower, upper)) => format!(" [{}, {}]", usd(lower), usd(upper)),
            None => " (it was asked on too few days to say how sure)".to_owned(),
        };
        let supported = percent(self.saving_supported);
        format!(
            "{}{sure} against always {baseline}, whose cost is checked for {supported} of requests",
            usd(self.saved_usd)
        )
    }

    /// How often its judge and people said the same of an answer.
    fn judged(&self) -> Option<String> {
        let held = self.agreement?;
        let (lower, upper) = held.interval(0.95);
        let bounds = format!("[{}, {}]", percent(lower), percent(upper));
        Some(format!(
            "Judge and people said the same of {} {bounds} of {} answers",
            percent(held.share()?),
            held.compared
        ))
    }

    /// What it would have given while it was only observed.
    fn plan(&self) -> Option<String> {
        let (found, baseline) = (self.observed.as_ref()?, self.baseline.as_deref().unwrap_or("the fallback"));
        let between = |interval: Option<(f64, f64)>, told: fn(f64) -> String| match interval {
            Some((lower, upper)) => format!(" [{}, {}]", told(lower), told(upper)),
            None => " (too little was tried to say how sure)".to_owned(),
        };
        Some(format!(
            "Only observed for {} requests: switched on, it would have saved {}{} of the {} that always {baseline} costs, and {}{} of its \
             answers would have satisfied ({} labels, {} of other models)",
            found.requests,
            usd(found.saved_usd),
            between(found.saved_interval_usd, usd),
            usd(found.baseline_usd),
            percent(found.satisfaction),
            between(found.satisfaction_interval, percent),
            found.labels,
            found.tried
        ))
    }

    /// The bounds and the target on a line from 0 to 1, 600 units long.
    fn plot(&self) -> String {
        let Some(Promise { alpha, lower, estimate, upper, .. }) = &self.promise else { return String::new() };
        let at = |share: f64| 600.0 * share;
        let mut svg = String::new();
        // Writing to a string cannot fail.
        let _ = write!(
            svg,
            "<svg viewBox=\"-10 0 620 44\" role=\"img\" aria-label=\"{}\"><line class=\"axis\" x1=\"0\" x2=\"600\" y1=\"20\" y2=\"20\"/>\
             <rect class=\"band\" x=\"{:.1}\" width=\"{:.1}\" y=\"12\" height=\"16\"/><circle cx=\"{:.1}\" cy=\"20\" r=\"4\"/>\
             <line class=\"target\" x1=\"{:.1}\" x2=\"{:.1}\" y1=\"4\" y2=\"36\"/>",
            self.sentence(),
            at(*lower),
            at(upper - lower),
            at(*estimate),
            at(*alpha),
            at(*alpha),
        );
        for tenth in (0..=10).step_by(2) {
            let _ = write!(svg, "<text x=\"{}\" y=\"42\">{} %</text>", tenth * 60, tenth * 10);
        }
        svg + "</svg>"
    }
}

/// `93.1 %`
fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

/// `$12.34`; what is below a cent with as many digits as tell it from nothing.
fn usd(usd: f64) -> String {
    let sign = if usd < 0.0 { "−" } else { "" };
    match usd.abs() {
        small if small > 0.0 && small < 0.01 => format!("{sign}${small:.6}"),
        amount => format!("{sign}${amount:.2}"),
    }
}

/// A name in a cell of Markdown, where a bar would end it.
fn cell(name: &str) -> String {
    name.replace('|', "\\|").replace(['\n', '\r'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_and_shares_are_told_as_people_read_them() {
        for (amount, told) in
            [(0.0, "$0.00"), (12.346, "$12.35"), (-3.0, "−$3.00"), (0.000_12, "$0.000120"), (-0.004, "−$0.004000")]
        {
            assert_eq!(usd(amount), told);
        }
        assert_eq!(percent(0.931), "93.1 %");
        assert_eq!(cell("a|b\nc"), "a\\|b c");
    }
}
