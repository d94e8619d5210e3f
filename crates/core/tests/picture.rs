//! The picture of a certificate in docs/concepts.md is what the certificate says. `BOOK_UPDATE=1 cargo test -p slarouter-core --test picture`
//! draws it anew.
#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::fmt::Write as _;
use std::path::Path;

use slarouter_core::{Certificate, DecisionId, SatisfactionAccount, Span, Timestamp, decision_rng, uniform};

const ALPHA: f64 = 0.9;
const TRUTH: f64 = 0.94;
const RATE: f64 = 0.05;
const ANSWERS: u64 = 20_000;
/// Where the plot begins and ends, in pixels.
const LEFT: f64 = 40.0;
const TOP: f64 = 60.0;
const RIGHT: f64 = 404.0;
const BOTTOM: f64 = 270.0;
/// Lowest satisfaction that is shown.
const FLOOR: f64 = 0.7;

/// A simulated route: the certificate after each 200 answers.
fn certificates() -> Vec<Certificate> {
    let mut account = SatisfactionAccount::new(0.95, Span::Open);
    let mut rng = decision_rng(3, DecisionId(1));
    let mut looks = Vec::new();
    for t in 0..ANSWERS {
        account.answered(Timestamp(t), TRUTH);
        let (satisfied, rated) = (uniform(&mut rng) < TRUTH, uniform(&mut rng) < RATE);
        if rated {
            account.labelled(Timestamp(t), TRUTH, None, Some(f64::from(u8::from(satisfied))));
        }
        if (t + 1) % 200 == 0 {
            looks.push(account.certificate());
        }
    }
    looks
}

fn x(answers: f64) -> f64 {
    LEFT + (RIGHT - LEFT) * answers / ANSWERS as f64
}

fn y(satisfaction: f64) -> f64 {
    BOTTOM - (BOTTOM - TOP) * (satisfaction.max(FLOOR) - FLOOR) / (1.0 - FLOOR)
}

fn points(looks: &[Certificate], value: impl Fn(&Certificate) -> f64) -> Vec<String> {
    looks.iter().map(|look| format!("{:.1},{:.1}", x(look.requests as f64), y(value(look)))).collect()
}

fn drawn(looks: &[Certificate]) -> String {
    let proven = looks.iter().find(|look| look.lower >= ALPHA).unwrap();
    let upper = points(looks, |look| look.upper);
    let mut band = upper;
    band.extend(points(looks, |look| look.lower).into_iter().rev());
    let mut svg = String::from(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 420 324\" role=\"img\" font-family=\"sans-serif\" font-size=\"14\">\n\
         <title>The certificate of a simulated route</title>\n\
         <rect width=\"420\" height=\"324\" rx=\"8\" fill=\"#fbfbf8\"/>\n",
    );
    for satisfaction in [0.7, 0.8, 0.9, 1.0] {
        let y = y(satisfaction);
        writeln!(svg, "<line x1=\"{LEFT}\" x2=\"{RIGHT}\" y1=\"{y:.1}\" y2=\"{y:.1}\" stroke=\"#dcdcd4\"/>").unwrap();
        writeln!(svg, "<text x=\"34\" y=\"{:.1}\" text-anchor=\"end\" fill=\"#333\">{satisfaction:.1}</text>", y + 4.0)
            .unwrap();
    }
    for answers in [0, 10_000, 20_000] {
        let (place, told) = (x(answers as f64), slarouter_core::told_count(answers));
        let anchor = if answers == ANSWERS { "end" } else { "middle" };
        writeln!(svg, "<text x=\"{place:.1}\" y=\"290\" text-anchor=\"{anchor}\" fill=\"#333\">{told}</text>").unwrap();
    }
    writeln!(
        svg,
        "<text x=\"222\" y=\"312\" text-anchor=\"middle\" fill=\"#333\">answers, of which 5 % are rated</text>"
    )
    .unwrap();
    writeln!(svg, "<polygon fill=\"#9fc2e8\" fill-opacity=\"0.6\" points=\"{}\"/>", band.join(" ")).unwrap();
    let line = points(looks, |look| look.estimate).join(" ");
    writeln!(svg, "<polyline fill=\"none\" stroke=\"#1f5fa8\" stroke-width=\"2\" points=\"{line}\"/>").unwrap();
    let (alpha, truth) = (y(ALPHA), y(TRUTH));
    writeln!(svg, "<line x1=\"{LEFT}\" x2=\"{RIGHT}\" y1=\"{alpha:.1}\" y2=\"{alpha:.1}\" stroke=\"#a33\" stroke-width=\"2\" stroke-dasharray=\"7 5\"/>").unwrap();
    writeln!(svg, "<text x=\"{RIGHT}\" y=\"{:.1}\" text-anchor=\"end\" fill=\"#a33\">α = {ALPHA}</text>", alpha + 18.0)
        .unwrap();
    writeln!(svg, "<line x1=\"{LEFT}\" x2=\"{RIGHT}\" y1=\"{truth:.1}\" y2=\"{truth:.1}\" stroke=\"#333\" stroke-dasharray=\"2 4\"/>").unwrap();
    let x = x(proven.requests as f64);
    writeln!(
        svg,
        "<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{TOP}\" y2=\"{BOTTOM}\" stroke=\"#2c7a3f\" stroke-width=\"2\"/>"
    )
    .unwrap();
    let told = format!("holds, from {} labels on", proven.labels);
    let (place, anchor) = if x > 240.0 { (x - 6.0, "end") } else { (x + 6.0, "start") };
    writeln!(svg, "<text x=\"{place:.1}\" y=\"260\" text-anchor=\"{anchor}\" fill=\"#2c7a3f\">{told}</text>").unwrap();
    svg.push_str("<text x=\"16\" y=\"24\" fill=\"#333\">blue: between which bounds the satisfaction lies</text>\n");
    svg.push_str("<text x=\"16\" y=\"44\" fill=\"#333\">dotted: what it is; red: what was promised</text>\n</svg>\n");
    svg
}

#[test]
fn the_picture_is_what_the_certificate_says() {
    let looks = certificates();
    for look in &looks {
        assert!(look.lower <= TRUTH + 0.02 && look.upper >= TRUTH - 0.02, "{look:?}");
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/pictures/certificate.svg");
    let drawn = drawn(&looks);
    if std::env::var_os("BOOK_UPDATE").is_some() {
        std::fs::write(&path, &drawn).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == drawn, "{} is not what is drawn now: BOOK_UPDATE=1 draws it anew", path.display());
}
