//! The frontier as a drawing.

use std::fmt::Write;

use slarouter_core::{told_money, told_percent};

use super::answer::WhatIf;
use super::frontier::Point;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 420.0;
/// Room for the labels of the axes, and for names beside the last point.
const LEFT: f64 = 70.0;
const RIGHT: f64 = 110.0;
const BELOW: f64 = 50.0;
const ABOVE: f64 = 20.0;
const STEPS: u32 = 5;
/// It stands alone, in a browser or in a document: its style is its own, and it names no other file.
const STYLE: &str = "<style>text{font:12px sans-serif;fill:#222}.axis{stroke:#888}.grid{stroke:#ddd}.band{stroke:#9ab;stroke-width:5;\
stroke-opacity:.45}.path{fill:none;stroke:#246;stroke-width:1.5}.point{fill:#246}.model{fill:#fff;stroke:#246;stroke-width:1.5}\
.ran{fill:#c40}.asked{fill:#080}.target{stroke:#c40;stroke-dasharray:5 4}</style>";

/// From numbers to places.
struct Scales {
    cost: f64,
    least: f64,
}

/// Cost against satisfaction, as SVG: the prices of satisfaction joined by a line, each with the interval of its satisfaction; each model
/// alone; what ran, and the target. Points of which too little is known are left out.
#[must_use]
pub fn plot(answer: &WhatIf) -> String {
    let known = |points: &[Point]| -> Vec<Point> {
        points.iter().filter(|point| point.refusals.is_empty() && point.evaluated.cost.is_some()).cloned().collect()
    };
    let (frontier, models) = (known(&answer.frontier), known(&answer.models));
    let (ran, asked) = (known(std::slice::from_ref(&answer.ran)), known(answer.asked.as_slice()));
    let all = || [&frontier, &models, &ran, &asked].into_iter().flatten();
    let scales = Scales {
        cost: all().map(cost).fold(f64::MIN_POSITIVE, f64::max) * 1.05,
        least: (all().map(|point| point.evaluated.satisfaction.lower).fold(answer.alpha, f64::min) * 10.0).floor()
            / 10.0,
    };
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" \
         aria-label=\"Satisfaction against cost per request of route {}\">{STYLE}",
        escaped(&answer.route)
    );
    scales.axes(&mut svg);
    scales.level(&mut svg, answer.alpha);
    let path: Vec<_> =
        frontier.iter().map(|point| format!("{:.1},{:.1}", scales.x(cost(point)), scales.y(point))).collect();
    // Writing to a string cannot fail.
    let _ = write!(svg, "<polyline class=\"path\" points=\"{}\"/>", path.join(" "));
    for (points, class) in [(&frontier, "point"), (&models, "model"), (&ran, "ran"), (&asked, "asked")] {
        points.iter().for_each(|point| scales.point(&mut svg, point, class));
    }
    svg + "</svg>\n"
}

fn cost(point: &Point) -> f64 {
    point.evaluated.cost.map_or(0.0, |cost| cost.estimate)
}

impl Scales {
    fn x(&self, cost: f64) -> f64 {
        LEFT + (WIDTH - LEFT - RIGHT) * cost / self.cost
    }

    fn height(&self, satisfaction: f64) -> f64 {
        HEIGHT - BELOW - (HEIGHT - BELOW - ABOVE) * (satisfaction - self.least) / (1.0 - self.least).max(0.1)
    }

    fn y(&self, point: &Point) -> f64 {
        self.height(point.evaluated.satisfaction.estimate)
    }

    fn axes(&self, svg: &mut String) {
        let (bottom, right) = (HEIGHT - BELOW, WIDTH - RIGHT);
        for step in 0..=STEPS {
            let share = f64::from(step) / f64::from(STEPS);
            let (usd, satisfied) = (share * self.cost, self.least + share * (1.0 - self.least));
            let (x, y) = (self.x(usd), self.height(satisfied));
            let _ = write!(
                svg,
                "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
                 <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\
                 <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
                LEFT - 8.0,
                y + 4.0,
                told_percent(satisfied),
                bottom + 18.0,
                told_money(usd),
            );
        }
        let _ = write!(
            svg,
            "<line class=\"axis\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{bottom}\" y2=\"{bottom}\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">USD per request</text>",
            0.5 * (LEFT + right),
            HEIGHT - 10.0,
        );
    }

    fn level(&self, svg: &mut String, alpha: f64) {
        let (y, right) = (self.height(alpha), WIDTH - RIGHT);
        let _ = write!(
            svg,
            "<line class=\"target\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\">α = {alpha}</text>",
            right + 6.0,
            y + 4.0,
        );
    }

    fn point(&self, svg: &mut String, point: &Point, class: &str) {
        let (x, y, known) = (self.x(cost(point)), self.y(point), &point.evaluated.satisfaction);
        let _ = write!(
            svg,
            "<line class=\"band\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{:.1}\" y2=\"{:.1}\"/>\
             <circle class=\"{class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\"/>",
            self.height(known.lower),
            self.height(known.upper),
        );
        if class != "point" {
            let _ = write!(svg, "<text x=\"{:.1}\" y=\"{:.1}\">{}</text>", x + 7.0, y - 6.0, escaped(&point.name));
        }
    }
}

/// Names come from configurations and questions: no markup of theirs is ours.
fn escaped(name: &str) -> String {
    name.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
