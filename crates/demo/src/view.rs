//! The live view.

use std::io::{self, Write};
use std::sync::Mutex;
use std::time::Duration;

use crossterm::event::{self, Event, KeyCode, KeyModifiers};
use crossterm::style::Stylize;
use crossterm::{cursor, execute, queue, terminal};
use slarouter_core::{Agreement, Certificate, told_money, told_percent};
use slarouter_gateway::{Gateway, RouteView};

use crate::DemoOptions;
use crate::judge::Judged;
use crate::stats::Stats;

const FRAME: Duration = Duration::from_millis(250);
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// Columns of curves and bars: fits 80.
const WIDTH: usize = 56;

/// Draws until the viewer presses q, Esc or Ctrl-C. The terminal is as it was when this returns or is dropped.
pub(crate) async fn run(options: &DemoOptions, gateway: &Gateway, stats: &Mutex<Stats>) -> anyhow::Result<()> {
    let _terminal = Terminal::take()?;
    loop {
        let known = Known::of(gateway.routes().first());
        let frame = {
            let stats = stats.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            frame(options.alpha, &addresses(gateway), &known, &stats)
        };
        let mut out = io::stdout().lock();
        // What a small terminal has no room for is cut off.
        let (_, height) = terminal::size()?;
        for (row, line) in (0..height).zip(&frame) {
            queue!(out, cursor::MoveTo(0, row), terminal::Clear(terminal::ClearType::CurrentLine))?;
            write!(out, "{line}")?;
        }
        queue!(out, terminal::Clear(terminal::ClearType::FromCursorDown))?;
        out.flush()?;
        drop(out);
        tokio::time::sleep(FRAME).await;
        while event::poll(Duration::ZERO)? {
            if let Event::Key(key) = event::read()? {
                let interrupt = key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
                if interrupt || matches!(key.code, KeyCode::Char('q') | KeyCode::Esc) {
                    return Ok(());
                }
            }
        }
    }
}

/// The terminal in raw mode on its other screen; given back when dropped, also after an error.
struct Terminal;

impl Terminal {
    fn take() -> io::Result<Self> {
        terminal::enable_raw_mode()?;
        let held = Self;
        execute!(io::stdout(), terminal::EnterAlternateScreen, terminal::DisableLineWrap, cursor::Hide)?;
        Ok(held)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Nothing more can be done if the terminal has gone.
        let _ = execute!(io::stdout(), cursor::Show, terminal::EnableLineWrap, terminal::LeaveAlternateScreen);
        let _ = terminal::disable_raw_mode();
    }
}

/// Where to look, and where to ask.
fn addresses(gateway: &Gateway) -> [String; 2] {
    let operator =
        gateway.admin_addr().map(|address| format!("dashboard  http://{address}/dashboard")).unwrap_or_default();
    [operator, format!("gateway    http://{}  (try GET /v1/models)", gateway.addr())]
}

/// What the gateway knows of its route.
#[derive(Default)]
struct Known {
    labels: u64,
    certificate: Option<Certificate>,
    agreement: Agreement,
}

impl Known {
    fn of(route: Option<&RouteView>) -> Self {
        route.map_or_else(Self::default, |route| Self {
            labels: route.account.labels,
            certificate: route.certificate,
            agreement: route.agreement,
        })
    }
}

/// At most 24 lines of at most 80 columns.
fn frame(alpha: f64, addresses: &[String; 2], known: &Known, stats: &Stats) -> Vec<String> {
    let labels = known.labels;
    let title = format!("{}  simulated models and users around a real gateway", "SLARouter demo".bold());
    let mut lines = vec![title, String::new()];
    lines.extend(satisfaction(alpha, known.certificate, stats));
    lines.extend(cost(alpha, stats));
    lines.extend(shares(stats));
    lines.extend([
        String::new(),
        format!(
            "{} requests ({:.0}/s), {} failed; {labels} labels ({:.1} %), {:.1} % explored",
            stats.requests,
            stats.requests as f64 / stats.seconds().max(0.001),
            stats.failures,
            100.0 * labels as f64 / stats.requests.max(1) as f64,
            stats.total().explored * 100.0
        ),
        judged(stats.judged, known.agreement),
        "all other figures: the last 500 requests, unless they say otherwise".to_owned(),
        String::new(),
        addresses[0].as_str().bold().to_string(),
        format!("{}   q stops", addresses[1]).dim().to_string(),
    ]);
    lines
}

fn satisfaction(alpha: f64, certificate: Option<Certificate>, stats: &Stats) -> [String; 5] {
    let now = stats.now().satisfaction;
    let told = format!("{:5.1} %", now * 100.0);
    let told = if now >= alpha - 0.02 { told.green().bold() } else { told.red().bold() };
    let (alpha_told, total) = (alpha * 100.0, stats.total().satisfaction * 100.0);
    [
        format!("satisfaction {told}   target α = {alpha_told:.0} %   since the start {total:.1} %"),
        format!("  certified  {}", certified(certificate, alpha)),
        format!("  no harm    {}", harm(alpha, stats)),
        format!("  70–100 %   {}", curve(stats, &|point| point.0, 0.7, 1.0).green()),
        String::new(),
    ]
}

fn cost(alpha: f64, stats: &Stats) -> [String; 6] {
    let now = stats.now();
    let saving = format!("{:.0} %", now.saving() * 100.0).green().bold();
    let (each, most) = (now.cost * 1e3, now.most_expensive_cost * 1e3);
    let (saved, of) = (told_money(stats.saved()), told_money(stats.most_expensive_cost));
    [
        format!("cost         ${each:.2} per 1,000 requests   most expensive ${most:.2}   saving {saving}"),
        format!("  of that    {}", curve(stats, &|point| point.1, 0.0, 1.0).yellow()),
        format!("  time       {}", axis(stats.curve.len().min(WIDTH), stats.seconds()).dim()),
        format!("  best mix   {}", mixture(alpha, stats)),
        format!("  so far     {saved} saved of {of}"),
        String::new(),
    ]
}

/// What the judge has done, and for how much.
fn judged(judged: Judged, agreement: Agreement) -> String {
    let cost = told_money(judged.cost);
    let verdicts = format!("judge: {} verdicts for {cost}", judged.verdicts);
    match agreement.share() {
        Some(share) => {
            format!("{verdicts}; of {} rated answers it agrees on {}", agreement.compared, told_percent(share))
        }
        None => verdicts,
    }
}

/// With what the cost is to be compared by those who know that a fixed mix of models saves as well.
fn mixture(alpha: f64, stats: &Stats) -> String {
    match stats.mixture(alpha) {
        None => "not known yet".to_owned(),
        Some(mixture) if mixture.feasible => {
            let share = mixture.cost * stats.requests as f64 / stats.most_expensive_cost;
            let (each, share) = (mixture.cost * 1e3, share * 100.0);
            format!("${each:.2} so far, {share:.0} %: no fixed mix of the models keeps α for less")
        }
        Some(_) => "no fixed mix of the models would have kept α so far".to_owned(),
    }
}

fn shares(stats: &Stats) -> impl Iterator<Item = String> {
    let now = stats.now();
    stats.models.iter().map(move |name| {
        let share = now.share.get(name).copied().unwrap_or_default();
        let length = (share * WIDTH as f64).round() as usize;
        format!("{name:>12} {:5.1} %  {}", share * 100.0, "█".repeat(length).blue())
    })
}

fn curve(stats: &Stats, value: &dyn Fn(&(f64, f64)) -> f64, low: f64, high: f64) -> String {
    columns(&stats.curve, value).map(|mean| bar(mean, low, high)).collect()
}

/// The simulated time under the start, the middle and the end of curves of so many columns, as far as there is room.
fn axis(columns: usize, seconds: f64) -> String {
    const START: &str = "0:00";
    let (middle, end) = (clock(seconds / 2.0), clock(seconds));
    let half = columns / 2;
    if half > START.len() && columns - half > middle.len() + end.len() {
        let rest = columns - half - end.len();
        return format!("{START:<half$}{middle:<rest$}{end}");
    }
    let room = columns.saturating_sub(START.len());
    if room > end.len() { format!("{START}{end:>room$}") } else { START.to_owned() }
}

/// As `4:10`, and from an hour on as `1:04:10`.
fn clock(seconds: f64) -> String {
    let seconds = seconds as u64;
    let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

/// What can be promised of the satisfaction since the start, against α.
fn certified(certificate: Option<Certificate>, alpha: f64) -> String {
    let Some(Certificate { lower, upper, .. }) = certificate else { return "nothing yet".to_owned() };
    let word = match (lower >= alpha, upper >= alpha) {
        (true, _) => "α is kept".green(),
        (false, true) => "not yet decided".yellow(),
        (false, false) => "α is broken".red(),
    };
    format!("since the start from {:.1} % to {:.1} %: {word}", lower * 100.0, upper * 100.0)
}

/// Whether α is kept where the fallback alone would have kept it.
fn harm(alpha: f64, stats: &Stats) -> String {
    let Some(fallback) = stats.fallback() else { return "not known yet".to_owned() };
    let told = told_percent(fallback);
    match (fallback >= alpha, stats.total().satisfaction >= alpha) {
        (true, true) => format!("the fallback alone would have kept α ({told}): {}", "so do we".green()),
        (true, false) => format!("the fallback alone would have kept α ({told}): {}", "we do not, so far".red()),
        (false, _) => format!("the fallback alone would not have kept α ({told})"),
    }
}

/// A curve in at most `WIDTH` columns. A longer one is squeezed, each column the mean of its stretch: the start, from which
/// the cost falls, must not leave the screen.
fn columns(curve: &[(f64, f64)], value: &dyn Fn(&(f64, f64)) -> f64) -> impl Iterator<Item = f64> {
    let columns = curve.len().min(WIDTH);
    (0..columns).map(move |column| {
        let stretch = &curve[column * curve.len() / columns..(column + 1) * curve.len() / columns];
        stretch.iter().map(value).sum::<f64>() / stretch.len() as f64
    })
}

fn bar(value: f64, low: f64, high: f64) -> char {
    let place = ((value - low) / (high - low) * 8.0).clamp(0.0, 7.0);
    BARS[place as usize]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::{Alternative, Seen};

    /// What is left of a line without its colours.
    fn visible(line: &str) -> String {
        let mut parts = line.split('\u{1b}');
        let first = parts.next().unwrap_or_default().to_owned();
        first + &parts.map(|part| part.split_once('m').unwrap().1).collect::<String>()
    }

    #[test]
    fn a_frame_fits_80_by_24_and_shows_what_counts() {
        let names = ["small", "medium", "large", "frontier"];
        let mut stats = Stats::new(names.iter().map(|&name| name.to_owned()).collect());
        for n in 0..20_000 {
            let model = names[if n % 4 == 0 { 3 } else { 0 }].to_owned();
            // Alone they satisfy 0.7, 0.8, 0.9 and 1.0: at 0.9 the third is cheaper than any two mixed.
            let each = [(7, 0.001), (8, 0.002), (9, 0.008), (10, 0.016)];
            let each = each.map(|(good, cost)| Alternative { satisfies: n % 10 < good, cost }).to_vec();
            stats.add(Seen { model, explored: n % 50 == 0, satisfies: n % 10 != 0, cost: 0.004, each });
        }
        stats.lasted(250_000);
        let certificate = Certificate { requests: 20_000, labels: 2_000, estimate: 0.9, lower: 0.881, upper: 0.923 };
        let addresses = ["dashboard".to_owned(), "gateway".to_owned()];
        stats.judged = Judged { verdicts: 123_456, cost: 12.345 };
        let agreement = Agreement { compared: 12_345, agreed: 11_111 };
        let known = Known { labels: 2_000, certificate: Some(certificate), agreement };
        let frame = frame(0.9, &addresses, &known, &stats);
        let lines: Vec<String> = frame.iter().map(|line| visible(line)).collect();
        assert!(lines.len() <= 24);
        for line in &lines {
            assert!(line.chars().count() <= 80, "{line}");
        }
        let text = lines.join("\n");
        for part in [
            "90.0 %",
            "α = 90 %",
            "from 88.1 % to 92.3 %: not yet decided",
            "the fallback alone would have kept α (100.0 %): so do we",
            "so far     $240.00 saved of $320.00",
            "best mix   $8.00 so far, 50 %: no fixed mix of the models keeps α for less",
            "dashboard",
            "$4.00",
            "$16.00",
            "saving 75 %",
            "20000 requests (80/s)",
            "2000 labels",
            "judge: 123456 verdicts for $12.35; of 12345 rated answers it agrees on 90.0 %",
            "25.0 %",
        ] {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
        assert!(lines.iter().any(|line| line.ends_with(&"▆".repeat(WIDTH))), "{text}");
        let time = lines.iter().position(|line| line.starts_with("  time")).unwrap();
        assert_eq!(lines[time].chars().count(), lines[time - 1].chars().count(), "as wide as the curve above it");
        assert!(lines[time].contains("0:00 ") && lines[time].contains(" 2:05 ") && lines[time].ends_with(" 4:10"));
        assert!((stats.mixture(1.0).unwrap().cost - 0.016).abs() < 1e-9);
        assert!(mixture(0.9, &Stats::new(vec![])).contains("not known yet"));
    }

    #[test]
    fn the_axis_says_what_there_is_room_for() {
        for (columns, seconds, line) in [
            (0, 0.0, "0:00"),
            (8, 61.0, "0:00"),
            (9, 61.0, "0:00 1:01"),
            (20, 150.0, "0:00      1:15  2:30"),
            (30, 7_325.0, "0:00           1:01:02 2:02:05"),
        ] {
            assert_eq!(axis(columns, seconds), line, "{columns} {seconds}");
        }
    }

    #[test]
    fn the_curves_show_the_whole_run_however_long() {
        for points in [1, WIDTH - 1, WIDTH, WIDTH + 1, 7 * WIDTH + 3] {
            let curve: Vec<_> = (0..points).map(|n| (0.9, if 2 * n < points { 1.0 } else { 0.2 })).collect();
            let shown: Vec<f64> = columns(&curve, &|point| point.1).collect();
            assert_eq!(shown.len(), points.min(WIDTH));
            assert_eq!(shown[0], 1.0, "the start is still there after {points} points");
            let last = shown[shown.len() - 1];
            assert!(points == 1 || (last - 0.2).abs() < 1e-9, "{last} after {points} points");
        }
    }
}
