//! What a scrape of `/metrics` holds, to be compared with what the documentation says.

use std::collections::{BTreeMap, BTreeSet};

/// One metric of a scrape.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metric {
    /// `counter`, `gauge`, `histogram`.
    pub kind: String,
    /// As `# UNIT` says.
    pub unit: Option<String>,
    /// Names of its labels, but for `le`.
    pub labels: BTreeSet<String>,
    /// Every set of labels that it has, as written; histograms' with `le`.
    pub series: BTreeSet<String>,
}

/// Reads OpenMetrics text. Counters go by the names of their samples, with `_total`.
///
/// # Panics
/// If the text is not as the format wants it.
#[expect(clippy::expect_used, reason = "a test that reads no metrics cannot go on")]
pub fn exposition(text: &str) -> BTreeMap<String, Metric> {
    assert!(text.ends_with("# EOF\n"), "the end is missing");
    let mut metrics: BTreeMap<String, Metric> = BTreeMap::new();
    let mut units = BTreeMap::new();
    let mut last = String::new();
    for line in text.lines() {
        if let Some(told) = line.strip_prefix("# TYPE ") {
            let (name, kind) = told.split_once(' ').expect("a name and a type");
            last = if kind == "counter" { format!("{name}_total") } else { name.to_owned() };
            let metric = Metric { kind: kind.to_owned(), ..Metric::default() };
            assert!(metrics.insert(last.clone(), metric).is_none(), "{name} is there twice");
        } else if let Some(told) = line.strip_prefix("# UNIT ") {
            let (name, unit) = told.split_once(' ').expect("a name and a unit");
            assert!(name.ends_with(&format!("_{unit}")), "{name} does not end in {unit}");
            units.insert(name.to_owned(), unit.to_owned());
        } else if !line.starts_with('#') {
            // Samples follow their type.
            let metric = metrics.get_mut(&last).expect("a type before the first sample");
            let (sample, labels) = match line.split_once('{') {
                Some((sample, rest)) => (sample, &rest[..rest.rfind('}').expect("the end of the labels")]),
                None => (line.split(' ').next().unwrap_or_default(), ""),
            };
            assert!(sample.starts_with(&last), "{sample} under {last}");
            metric.labels.extend(names(labels).into_iter().filter(|name| name != "le"));
            metric.series.insert(format!("{sample}{{{labels}}}"));
        }
    }
    for (name, unit) in units {
        let metric = metrics.iter_mut().find(|(held, _)| held.trim_end_matches("_total") == name);
        metric.expect("a type beside the unit").1.unit = Some(unit);
    }
    metrics
}

/// The metrics that a table of the documentation lists, with type and labels: rows of names in backticks, type, labels, meaning.
pub fn documented(markdown: &str) -> BTreeMap<String, (String, BTreeSet<String>)> {
    let rows = markdown.lines().filter(|line| line.starts_with("| `slarouter_"));
    rows.flat_map(|row| {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let labels: BTreeSet<String> =
            cells[3].split(',').map(str::trim).filter(|label| !label.is_empty()).map(str::to_owned).collect();
        let names = cells[1].split(',').map(|name| name.trim().trim_matches('`').to_owned());
        names.map(|name| (name, (cells[2].to_owned(), labels.clone()))).collect::<Vec<_>>()
    })
    .collect()
}

/// The names in `a="1",b="x\"y"`.
#[expect(clippy::expect_used, reason = "as above")]
fn names(labels: &str) -> Vec<String> {
    let (mut names, mut rest) = (Vec::new(), labels);
    while let Some((name, value)) = rest.split_once("=\"") {
        names.push(name.trim_start_matches(',').to_owned());
        let mut escaped = false;
        let end = value.find(|c: char| {
            let ends = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            ends
        });
        rest = &value[end.expect("the end of a label's value") + 1..];
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scrape_is_read_with_whatever_stands_in_the_labels() {
        let text = "# HELP a_seconds Time.\n# TYPE a_seconds histogram\n# UNIT a_seconds seconds\na_seconds_sum{r=\"x\"} 1\n\
                    a_seconds_bucket{le=\"1.0\",r=\"x\"} 1\n# HELP c C.\n# TYPE c counter\nc_total{m=\"a\\\"},b=\\\\\",n=\"\"} 2\n# EOF\n";
        let read = exposition(text);
        let labels = |name: &str| read[name].labels.iter().cloned().collect::<Vec<_>>();
        assert_eq!(
            (labels("a_seconds"), labels("c_total")),
            (vec!["r".to_owned()], vec!["m".to_owned(), "n".to_owned()])
        );
        assert_eq!((read["a_seconds"].unit.as_deref(), read["c_total"].series.len()), (Some("seconds"), 1));
    }
}
