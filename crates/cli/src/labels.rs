//! `slarouter labels`.

use std::io::{self, Write};
use std::process::ExitCode;

use serde_json::{Value, json};
use slarouter_config::{DEFAULT_WINDOW, parse_window};
use slarouter_core::policy::Window;
use slarouter_core::{Certificate, SatisfactionAccount, Span, Timestamp, told_count, told_percent};

use crate::print::print;

const DAY_MS: f64 = 86_400_000.0;
/// Answers that are looked at; more take longer than anybody waits for a promise.
const MOST_ANSWERS: u64 = 20_000_000;
/// The certificate is looked at whenever there are so many times as many answers: all figures are right to within 1 %.
const STEP: f64 = 1.01;

#[derive(clap::Args)]
pub(crate) struct LabelsArgs {
    /// α, the share of answers that must satisfy.
    #[arg(long, value_name = "SHARE", default_value = "0.9", value_parser = share)]
    alpha: f64,
    /// The satisfaction that you expect; halfway between α and 1 if left out.
    #[arg(long, value_name = "SHARE", value_parser = share)]
    satisfaction: Option<f64>,
    /// φ, the share of answers that is rated; with --audits the audit rate.
    #[arg(long, value_name = "SHARE", default_value = "0.05", value_parser = share)]
    rate: f64,
    /// The labels are audits, whose rate is known.
    #[arg(long)]
    audits: bool,
    /// Answers of the route in a day.
    #[arg(long, value_name = "ANSWERS", default_value = "2000", value_parser = clap::value_parser!(u64).range(1..))]
    per_day: u64,
    /// The probability with which the certificate is to hold.
    #[arg(long, value_name = "SHARE", default_value = "0.95", value_parser = share)]
    assurance: f64,
    /// The answers that the promise is about: "run", "<n> requests" or a duration, as in "1 week"; the last 20000 if left out.
    #[arg(long, value_name = "WINDOW", value_parser = parse_window)]
    window: Option<Window>,
    /// Half-widths of the certificate that are of interest, with commas.
    #[arg(long, value_name = "SHARES", default_value = "0.1,0.05,0.03,0.02", value_delimiter = ',', value_parser = share)]
    width: Vec<f64>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

fn share(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|share: &f64| *share > 0.0 && *share <= 1.0);
    number.ok_or_else(|| format!("{text:?} is no number above 0 and up to 1, as in 0.05"))
}

/// A route as it is expected to be, every 1/φ-th answer of which is labelled.
struct Course {
    satisfaction: f64,
    rate: f64,
    audits: bool,
    per_day: u64,
    assurance: f64,
    window: Window,
}

/// When something is known.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Known {
    answers: u64,
    labels: u64,
}

// === impl Course ===

impl Course {
    /// The certificate at its looks. Labels come as evenly as they can: so many of them satisfy as are expected to, in any stretch. What is
    /// predicted is right on average, and says nothing of single answers.
    fn certificates(&self) -> impl Iterator<Item = (u64, Certificate)> {
        let span = match self.window {
            Window::Requests(count) => Span::Rolling(count),
            Window::Run | Window::Period(_) => Span::Open,
        };
        let most = match self.window {
            // From then on the window holds as much as it ever will.
            Window::Requests(count) => count,
            Window::Period(ms) => (ms as f64 / DAY_MS * self.per_day as f64) as u64,
            Window::Run => MOST_ANSWERS,
        };
        let mut account = SatisfactionAccount::new(self.assurance, span);
        account.set_audit_rate(self.audits.then_some(self.rate));
        let (mut answers, mut labels, mut next) = (0_u64, 0_u64, 1_u64);
        std::iter::from_fn(move || {
            while answers < next.min(most).min(MOST_ANSWERS) {
                self.answer(&mut account, answers, &mut labels);
                answers += 1;
            }
            let looked = (answers == next).then(|| (answers, account.certificate()));
            next = ((next as f64 * STEP) as u64).max(next + 1);
            looked
        })
    }

    /// One more answer, and its label if it gets one.
    fn answer(&self, account: &mut SatisfactionAccount, number: u64, labels: &mut u64) {
        let at = Timestamp(number);
        account.answered(at, self.satisfaction);
        let reached = |count: u64, share: f64| (count as f64 * share + 1e-9) as u64;
        if reached(number + 1, self.rate) == *labels {
            return;
        }
        let satisfied = reached(*labels + 1, self.satisfaction) > reached(*labels, self.satisfaction);
        *labels += 1;
        let label = Some(f64::from(u8::from(satisfied)));
        if self.audits {
            account.audited(at, self.satisfaction, None, label);
        } else {
            account.labelled(at, self.satisfaction, None, label);
        }
    }

    /// The first look at which each of these holds; `None` where the window ends, or patience does, before.
    fn first(&self, conditions: &[&dyn Fn(&Certificate) -> bool]) -> Vec<Option<Known>> {
        let mut found = vec![None; conditions.len()];
        for (answers, certificate) in self.certificates() {
            for (place, holds) in conditions.iter().enumerate() {
                if found[place].is_none() && holds(&certificate) {
                    found[place] = Some(Known { answers, labels: certificate.labels });
                }
            }
            if found.iter().all(Option::is_some) {
                break;
            }
        }
        found
    }
}

pub(crate) fn run(args: LabelsArgs) -> anyhow::Result<ExitCode> {
    let alpha = args.alpha;
    let course = Course {
        satisfaction: args.satisfaction.unwrap_or(f64::midpoint(alpha, 1.0)),
        rate: args.rate,
        audits: args.audits,
        per_day: args.per_day,
        assurance: args.assurance,
        window: args.window.unwrap_or(DEFAULT_WINDOW),
    };
    let kept = course.satisfaction >= alpha;
    let verdict = |certificate: &Certificate| if kept { certificate.lower >= alpha } else { certificate.upper < alpha };
    let narrow: Vec<_> =
        args.width.iter().map(|width| move |c: &Certificate| (c.upper - c.lower) / 2.0 <= *width).collect();
    let mut conditions: Vec<&dyn Fn(&Certificate) -> bool> = vec![&verdict];
    conditions.extend(narrow.iter().map(|narrow| narrow as &dyn Fn(&Certificate) -> bool));
    let mut known = course.first(&conditions).into_iter();
    let decided = known.next().flatten();
    let widths: Vec<_> = args.width.iter().copied().zip(known).collect();
    if args.json {
        let told = serde_json::to_string_pretty(&as_json(alpha, &course, decided, &widths))?;
        print(|out| writeln!(out, "{told}"))?;
    } else {
        print(|out| tell(out, alpha, &course, decided, &widths))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn days(known: Known, per_day: u64) -> f64 {
    known.answers as f64 / per_day as f64
}

fn as_json(alpha: f64, course: &Course, decided: Option<Known>, widths: &[(f64, Option<Known>)]) -> Value {
    let told = |known: Option<Known>| {
        known.map(
            |known| json!({ "answers": known.answers, "labels": known.labels, "days": days(known, course.per_day) }),
        )
    };
    let widths: Vec<_> =
        widths.iter().map(|(width, known)| json!({ "half_width": width, "known": told(*known) })).collect();
    json!({
        "alpha": alpha,
        "satisfaction": course.satisfaction,
        "label_rate": course.rate,
        "audits": course.audits,
        "answers_per_day": course.per_day,
        "assurance": course.assurance,
        "window": course.window.to_string(),
        "kept": course.satisfaction >= alpha,
        "decided": told(decided),
        "widths": widths,
    })
}

fn tell(
    out: &mut impl Write,
    alpha: f64,
    course: &Course,
    decided: Option<Known>,
    widths: &[(f64, Option<Known>)],
) -> io::Result<()> {
    let Course { satisfaction, rate, audits, per_day, assurance, window } = course;
    let labelled = if *audits { "audited" } else { "rated" };
    writeln!(
        out,
        "satisfaction {satisfaction}, α = {alpha}, assurance {assurance}, window {window}; {} of {} answers a day {labelled}\n",
        told_percent(*rate),
        told_count(*per_day)
    )?;
    writeln!(out, "{:<26}{:>10}{:>10}{:>10}", "known", "labels", "answers", "days")?;
    let mut row = |what: String, known: Option<Known>| match known {
        Some(known) => {
            let days = days(known, *per_day);
            let days = if days < 9.95 { format!("{days:.1}") } else { told_count(days.round() as u64) };
            let (labels, answers) = (told_count(known.labels), told_count(known.answers));
            writeln!(out, "{what:<26}{labels:>10}{answers:>10}{days:>10}")
        }
        None => writeln!(out, "{what:<26}{:>30}", "not in this window"),
    };
    let verdict = if *satisfaction >= alpha { "α is kept" } else { "α is missed" };
    row(verdict.to_owned(), decided)?;
    widths.iter().try_for_each(|(width, known)| row(format!("satisfaction to ±{width}"), *known))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn course(satisfaction: f64, rate: f64) -> Course {
        Course { satisfaction, rate, audits: false, per_day: 1_000, assurance: 0.95, window: Window::Run }
    }

    fn proven(course: &Course, alpha: f64) -> Option<Known> {
        course.first(&[&|certificate: &Certificate| certificate.lower >= alpha])[0]
    }

    #[test]
    fn labels_are_as_many_and_as_satisfied_as_expected() {
        let (answers, last) = course(0.8, 0.1).certificates().take(500).last().unwrap();
        assert!(last.labels.abs_diff(answers / 10) <= 1 && (last.estimate - 0.8).abs() < 0.01, "{answers} {last:?}");
        let all = course(0.75, 1.0).certificates().take(300).last().unwrap().1;
        assert_eq!(all.labels, all.requests);
    }

    #[test]
    fn a_proof_takes_longer_the_closer_satisfaction_is_and_the_fewer_rate() {
        let labels = |satisfaction, rate| proven(&course(satisfaction, rate), 0.9).unwrap();
        let (far, near) = (labels(0.97, 0.05), labels(0.93, 0.05));
        assert!(far.labels * 2 < near.labels, "{far:?} {near:?}");
        assert!(labels(0.97, 0.2).answers * 2 < far.answers);
        let audited = Course { audits: true, ..course(0.97, 0.05) };
        assert!(proven(&audited, 0.9).unwrap().labels < far.labels, "a rate that is known need not be learnt");
        let surer = Course { assurance: 0.999, ..course(0.97, 0.05) };
        assert!(proven(&surer, 0.9).unwrap().labels > far.labels);
    }

    #[test]
    fn what_a_window_cannot_hold_is_not_known_in_it() {
        let within = |window| proven(&Course { window, ..course(0.93, 0.05) }, 0.9);
        let run = within(Window::Run).unwrap();
        assert_eq!(within(Window::Requests(1_000)), None);
        assert_eq!(within(Window::Period(86_400_000)), None, "a day has a thousand answers");
        let days = run.answers / 1_000 + 2;
        assert_eq!(within(Window::Period(86_400_000 * days)), Some(run));
    }

    #[test]
    fn shares_are_above_0_and_at_most_1() {
        assert_eq!((share("1"), share("0.05")), (Ok(1.0), Ok(0.05)));
        for wrong in ["0", "-0.1", "1.01", "NaN", "x"] {
            assert!(share(wrong).unwrap_err().contains("above 0 and up to 1"), "{wrong}");
        }
    }
}
