// Draws what the tables of a route say. The tables stay: whoever cannot see a chart reads them.

const fetched = new Map();
const series = (src) => {
  if (!fetched.has(src)) {
    fetched.set(src, fetch(src, { headers: { accept: "application/json" } }).then((answer) => {
      if (!answer.ok) throw new Error(`${answer.status}`);
      return answer.json();
    }));
  }
  return fetched.get(src);
};

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const percent = (value) => (value == null ? "–" : `${(value * 100).toFixed(1)} %`);
const count = (value) => (value == null ? "–" : Math.round(value).toLocaleString("en-GB"));
const money = (value) => {
  if (value == null) return "–";
  return `$${value >= 1 || value === 0 ? value.toFixed(2) : value.toPrecision(2)}`;
};

const KINDS = {
  satisfaction: {
    told: percent,
    band: true,
    lines: [
      { column: "upper", name: "at most", stroke: "--series-1", width: 1, dash: [] },
      { column: "lower", name: "at least", stroke: "--series-1", width: 1, dash: [] },
      { column: "estimate", name: "estimate", stroke: "--series-1", width: 2 },
      { column: "alpha", name: "promised", stroke: "--ink", width: 1.5, dash: [6, 4] },
    ],
  },
  requests: {
    told: count,
    lines: [
      { column: "requests", name: "requests", stroke: "--series-1", width: 2, fill: "--band", zero: true },
      { column: "ratings", name: "ratings", stroke: "--series-3", width: 2, zero: true },
      { column: "errors", name: "failed", stroke: "--bad", width: 1.5, zero: true },
    ],
  },
  cost: {
    told: money,
    lines: [
      { column: "baseline_usd", name: "the fallback alone", stroke: "--series-6", width: 1.5, dash: [6, 4], zero: true },
      { column: "cost_usd", name: "charged", stroke: "--series-2", width: 2, zero: true },
      { column: "plan_usd", name: "switched on", stroke: "--series-3", width: 1.5, dash: [2, 4], zero: true, optional: true },
    ],
  },
};

// The time of the day in this zone, and at midnight the day.
const moments = (zone) => {
  const day = new Intl.DateTimeFormat("en-GB", { timeZone: zone, day: "numeric", month: "short" });
  const clock = new Intl.DateTimeFormat("en-GB", { timeZone: zone, hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  return (seconds) => {
    const told = clock.format(seconds * 1000);
    return told === "00:00" ? day.format(seconds * 1000) : told;
  };
};

const LETTERS = { configuration: "Co", price: "Pr", circuit: "Ci" };

const axis = (values, size) => ({
  stroke: colour("--dim"),
  grid: { stroke: colour("--line"), width: 1 },
  ticks: { show: false },
  font: "12px system-ui, sans-serif",
  size,
  values,
});

// A value without a neighbour has no line: it is drawn as a point.
const alone = (plot, line) => {
  const values = plot.data[line];
  return [...values.keys()].filter((at) => values[at] != null && values[at - 1] == null && values[at + 1] == null);
};

class SeriesChart extends HTMLElement {
  connectedCallback() {
    this.textContent = "The chart is being loaded …";
    this.theme = matchMedia("(prefers-color-scheme: dark)");
    this.again = () => this.draw();
    this.theme.addEventListener("change", this.again);
    this.sized = new ResizeObserver(() => this.plot?.setSize(this.room()));
    this.sized.observe(this);
    series(this.getAttribute("src")).then(
      (columns) => { this.columns = columns; this.draw(); },
      () => { this.textContent = "The chart could not be loaded; the table below holds its figures."; },
    );
  }

  disconnectedCallback() {
    this.theme.removeEventListener("change", this.again);
    this.sized.disconnect();
    this.plot?.destroy();
  }

  room() {
    return { width: Math.max(this.clientWidth, 200), height: this.getAttribute("kind") === "satisfaction" ? 260 : 170 };
  }

  legend(lines, told) {
    const list = document.createElement("ul");
    list.className = "legend";
    const values = lines.map(({ name, stroke }) => {
      const item = document.createElement("li");
      const mark = document.createElement("span");
      mark.textContent = "■ ";
      mark.style.color = colour(stroke);
      const value = document.createElement("span");
      value.className = "now";
      item.append(mark, `${name} `, value);
      list.append(item);
      return value;
    });
    this.tell = (data, place) => {
      values.forEach((value, line) => { value.textContent = place == null ? "" : told(data[line + 1][place]); });
    };
    return list;
  }

  draw() {
    this.plot?.destroy();
    this.replaceChildren();
    const { told, lines: all, band } = KINDS[this.getAttribute("kind")];
    const { columns } = this.columns;
    const zone = this.getAttribute("zone");
    // Most routes are not only observed.
    const lines = all.filter(({ column, optional }) => !optional || columns[column].some((value) => value != null));
    const data = [columns.time_ms.map((ms) => ms / 1000), ...lines.map(({ column }) => columns[column])];
    const options = {
      ...this.room(),
      cursor: { sync: { key: "route" }, points: { size: 6 }, y: false },
      legend: { show: false },
      // As the tables have it.
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), zone),
      scales: {
        // Of a single moment uPlot would show years, and asks for them.
        x: { range: (_, from, to) => (data[0].length > 1 ? [from, to] : [from - 300, from + 300]) },
        y: { range: (_, low, high) => this.range(low, high, lines) },
      },
      axes: [axis((_, ticks) => ticks.map(moments(zone)), 28), axis((_, ticks) => ticks.map((tick) => (band ? `${Math.round(tick * 1000) / 10} %` : told(tick))), 62)],
      series: [{}, ...lines.map(({ stroke, width, dash, fill }) => ({
        stroke: colour(stroke), width, dash, fill: fill && colour(fill), points: { show: true, size: 7, filter: alone }, spanGaps: false,
      }))],
      bands: band ? [{ series: [1, 2], fill: colour("--band") }] : [],
      hooks: { setCursor: [(plot) => this.tell(data, plot.cursor.idx)], draw: [(plot) => this.mark(plot)] },
    };
    this.append(this.legend(lines, told));
    this.plot = new uPlot(options, data, this);
    this.plot.root.setAttribute("aria-hidden", "true");
  }

  // What changed: a dotted line each, of which the table of the page says what it was.
  mark({ ctx, bbox, valToPos }) {
    ctx.save();
    ctx.strokeStyle = ctx.fillStyle = colour("--dim");
    ctx.lineWidth = devicePixelRatio;
    ctx.font = `${11 * devicePixelRatio}px system-ui, sans-serif`;
    ctx.setLineDash([2 * devicePixelRatio, 3 * devicePixelRatio]);
    for (const { time_ms: ms, kind } of this.columns.marks) {
      const at = Math.round(valToPos(ms / 1000, "x", true));
      if (at < bbox.left || at > bbox.left + bbox.width) continue;
      ctx.beginPath();
      ctx.moveTo(at, bbox.top);
      ctx.lineTo(at, bbox.top + bbox.height);
      ctx.stroke();
      ctx.fillText(LETTERS[kind], at + 3 * devicePixelRatio, bbox.top + 11 * devicePixelRatio);
    }
    ctx.restore();
  }

  range(low, high, lines) {
    if (low == null) return [0, 1];
    if (lines[0].zero) return [0, high > 0 ? high * 1.1 : 1];
    const room = Math.max((high - low) * 0.1, 0.005);
    return [Math.max(0, low - room), Math.min(1.002, high + room)];
  }
}

customElements.define("series-chart", SeriesChart);
