//! Panels in a grid with one legend.

use plotters::prelude::*;

use super::axis::Axis;

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;
type DrawError<'a> = DrawingAreaErrorKind<<SVGBackend<'a> as DrawingBackend>::ErrorType>;

/// Pixels.
const PANEL: (u32, u32) = (360, 250);
const LEGEND: u32 = 200;
const TITLE: u32 = 36;

/// Colours that can be told apart, also by the colour-blind, in the order in which names turn up: Paul Tol's, and then dark shades of them.
const COLOURS: [(u8, u8, u8); 18] = [
    (204, 51, 17),
    (0, 119, 187),
    (51, 187, 238),
    (0, 153, 136),
    (238, 119, 51),
    (238, 51, 119),
    (136, 34, 85),
    (153, 153, 51),
    (17, 119, 51),
    (51, 34, 136),
    (170, 68, 153),
    (136, 204, 238),
    (221, 204, 119),
    (102, 17, 0),
    (136, 136, 136),
    (68, 170, 153),
    (0, 0, 0),
    (190, 190, 190),
];

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Mark {
    Dot,
    Line,
    LineAndDots,
    Dashes,
    Dots,
}

pub(super) struct Series {
    pub(super) name: String,
    pub(super) points: Vec<(f64, f64)>,
    pub(super) mark: Mark,
}

pub(super) struct Panel {
    pub(super) title: String,
    x: &'static str,
    y: &'static str,
    pub(super) series: Vec<Series>,
    pub(super) x_range: Option<(f64, f64)>,
    pub(super) y_range: Option<(f64, f64)>,
    pub(super) log_y: bool,
    /// A horizontal line with a name.
    pub(super) rule: Option<(&'static str, f64)>,
}

pub(super) struct Figure {
    title: String,
    columns: usize,
    panels: Vec<Panel>,
}

impl Panel {
    pub(super) fn new(title: String, x: &'static str, y: &'static str) -> Self {
        Self { title, x, y, series: Vec::new(), x_range: None, y_range: None, log_y: false, rule: None }
    }

    /// On a logarithmic axis everything is drawn at its logarithm.
    fn height(&self, y: f64) -> f64 {
        if self.log_y { libm::log10(y.max(1e-12)) } else { y }
    }

    fn range(&self, value: impl Fn(&(f64, f64)) -> f64, more: Option<f64>) -> (f64, f64) {
        let values = self.series.iter().flat_map(|series| &series.points).map(value).chain(more);
        let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
        if low > high {
            return (0.0, 1.0);
        }
        let margin = ((high - low) * 0.06).max(1e-3);
        (low - margin, high + margin)
    }
}

impl Figure {
    pub(super) fn new(title: String, columns: usize, panels: Vec<Panel>) -> Self {
        Self { title, columns: columns.max(1), panels }
    }

    /// The picture; `None` if there is nothing in it.
    pub(super) fn svg(&self) -> Option<String> {
        if self.panels.iter().all(|panel| panel.series.is_empty()) {
            return None;
        }
        let rows = self.panels.len().div_ceil(self.columns);
        let size = (PANEL.0 * self.columns as u32 + LEGEND, PANEL.1 * rows as u32 + TITLE);
        let mut svg = String::new();
        // Drawing into a string fails only where a range is empty, and ranges have a margin.
        self.draw(&SVGBackend::with_string(&mut svg, size).into_drawing_area(), rows).ok()?;
        Some(svg)
    }

    fn draw<'a>(&self, root: &Area<'a>, rows: usize) -> Result<(), DrawError<'a>> {
        root.fill(&WHITE)?;
        let (left, legend) = root.split_horizontally(PANEL.0 * self.columns as u32);
        let (head, body) = left.split_vertically(TITLE);
        head.draw(&Text::new(self.title.clone(), (12, 10), ("sans-serif", 17)))?;
        let names = self.names();
        for (area, panel) in body.split_evenly((rows, self.columns)).iter().zip(&self.panels) {
            panel.draw(area, &names)?;
        }
        for (place, (name, mark)) in names.iter().enumerate() {
            let (y, colour) = (TITLE as i32 + 14 + 18 * place as i32, colour(&names, name));
            match mark {
                Mark::Dot => legend.draw(&Circle::new((18, y), 4, colour.filled()))?,
                Mark::Dashes | Mark::Dots => {
                    let width = if *mark == Mark::Dots { 1 } else { 2 };
                    legend.draw(&PathElement::new(vec![(8, y), (15, y)], colour.stroke_width(width)))?;
                    legend.draw(&PathElement::new(vec![(21, y), (28, y)], colour.stroke_width(width)))?;
                }
                Mark::Line | Mark::LineAndDots => {
                    legend.draw(&PathElement::new(vec![(8, y), (28, y)], colour.stroke_width(2)))?;
                }
            }
            legend.draw(&Text::new(name.to_owned(), (36, y - 5), ("sans-serif", 12)))?;
        }
        root.present()
    }

    /// All names in the order in which they turn up, which gives them their colours.
    fn names(&self) -> Vec<(&str, Mark)> {
        let mut names: Vec<(&str, Mark)> = Vec::new();
        for series in self.panels.iter().flat_map(|panel| &panel.series) {
            if !series.points.is_empty() && !names.iter().any(|(name, _)| *name == series.name) {
                names.push((&series.name, series.mark));
            }
        }
        names
    }
}

impl Panel {
    fn draw<'a>(&self, area: &Area<'a>, names: &[(&str, Mark)]) -> Result<(), DrawError<'a>> {
        let (x0, x1) = self.x_range.unwrap_or_else(|| self.range(|point| point.0, None));
        let rule = self.rule.map(|(_, y)| self.height(y));
        let (y0, y1) = self.y_range.unwrap_or_else(|| self.range(|point| self.height(point.1), rule));
        let mut chart = ChartBuilder::on(area)
            .caption(&self.title, ("sans-serif", 13))
            .margin(8)
            .x_label_area_size(36)
            .y_label_area_size(52)
            .build_cartesian_2d(Axis::new(x0, x1, false), Axis::new(y0, y1, self.log_y))?;
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(RGBColor(230, 230, 230))
            .x_desc(self.x)
            .y_desc(self.y)
            .x_labels(6)
            .y_labels(6)
            .label_style(("sans-serif", 11))
            .axis_desc_style(("sans-serif", 12))
            .draw()?;
        if let (Some((name, _)), Some(y)) = (self.rule, rule) {
            let style = RGBColor(60, 60, 60).stroke_width(1);
            chart.draw_series(DashedLineSeries::new([(x0, y), (x1, y)], 3, 3, style))?;
            chart.draw_series([Text::new(name, (x0 + (x1 - x0) * 0.01, y), ("sans-serif", 12))])?;
        }
        for series in &self.series {
            self.draw_series(&mut chart, series, colour(names, &series.name))?;
        }
        Ok(())
    }

    fn draw_series<'a>(
        &self,
        chart: &mut ChartContext<'_, SVGBackend<'a>, Cartesian2d<Axis, Axis>>,
        series: &Series,
        colour: RGBColor,
    ) -> Result<(), DrawError<'a>> {
        let points: Vec<_> = series.points.iter().map(|&(x, y)| (x, self.height(y))).collect();
        match series.mark {
            Mark::Dashes => {
                chart.draw_series(DashedLineSeries::new(points.clone(), 5, 4, colour.stroke_width(2)))?;
            }
            Mark::Dots => {
                chart.draw_series(DashedLineSeries::new(points.clone(), 2, 3, colour.stroke_width(1)))?;
            }
            Mark::Line | Mark::LineAndDots => {
                chart.draw_series(LineSeries::new(points.clone(), colour.stroke_width(2)))?;
            }
            Mark::Dot => {}
        }
        if matches!(series.mark, Mark::Dot | Mark::LineAndDots) {
            let radius = if series.mark == Mark::Dot { 5 } else { 2 };
            chart.draw_series(points.iter().map(|&point| Circle::new(point, radius, colour.mix(0.85).filled())))?;
        }
        Ok(())
    }
}

/// The colour of a name by its place; what stands after a comma says which line of the same contender it is.
fn colour(names: &[(&str, Mark)], name: &str) -> RGBColor {
    let owner = |name: &str| name.split(", ").next().unwrap_or_default().to_owned();
    let mut owners: Vec<String> = names.iter().map(|(name, _)| owner(name)).collect();
    owners.dedup();
    let place = owners.iter().position(|other| *other == owner(name)).unwrap_or(0);
    let (r, g, b) = COLOURS[place % COLOURS.len()];
    RGBColor(r, g, b)
}
