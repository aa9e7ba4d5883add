// Small line charts as SVG. Time runs from left to right, gaps are where nobody knows.

import { at } from "./format.js";
import { el, mark, say } from "./dom.js";

const SVG = "http://www.w3.org/2000/svg";
const SPAN = 600;
const HEIGHT = 150;
const EDGE = { left: 46, right: 10, top: 10, bottom: 22 };

function svg(tag, attributes) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  return node;
}

export class Chart {
  #points = [];
  #now = 0;
  #width = 0;
  #hovered = null;

  /** `series` are `{name, key, color}`; `shown` turns a value into text; `least` is the lowest top. */
  constructor(title, series, shown, least = 0) {
    this.least = least;
    this.title = title;
    this.series = series;
    this.shown = shown;
    this.values = series.map(() => el("b", {}, "–"));
    const legend = series.map((each, i) => el("span", { class: "key", "data-color": each.color }, `${each.name} `, this.values[i]));
    this.when = el("span", { class: "when" });
    this.svg = svg("svg", { role: "img", class: "chart", height: HEIGHT });
    this.node = el("section", { class: "card" }, el("h2", {}, title), el("div", { class: "legend" }, legend, this.when), this.svg);
    new ResizeObserver(() => this.#resized()).observe(this.node);
    this.svg.addEventListener("pointermove", (event) => this.#hover(event.offsetX));
    this.svg.addEventListener("pointerleave", () => this.#hover(null));
  }

  draw(points, now) {
    this.#points = points;
    this.#now = now;
    this.#render();
  }

  #resized() {
    const width = Math.floor(this.svg.parentElement.clientWidth - 32);
    if (width > 0 && width !== this.#width) {
      this.#width = width;
      this.svg.setAttribute("width", width);
      this.svg.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
      this.#render();
    }
  }

  #hover(x) {
    this.#hovered = x;
    this.#render();
  }

  #x(seconds) {
    const inner = this.#width - EDGE.left - EDGE.right;
    return EDGE.left + inner * (1 - (this.#now - seconds) / SPAN);
  }

  #render() {
    if (!this.#width || !this.#now) return;
    const all = this.#points.flatMap((point) => this.series.map((each) => point[each.key]));
    const top = nice(Math.max(this.least, ...all.filter((each) => each !== null)));
    const y = (value) => HEIGHT - EDGE.bottom - (HEIGHT - EDGE.top - EDGE.bottom) * (value / top);
    const parts = this.#grid(top, y);
    for (const each of [...this.series].reverse()) parts.push(...this.#line(each, y)); // the first one on top
    const point = this.#pointed();
    if (point) parts.push(...this.#cross(point, y));
    this.svg.replaceChildren(...parts);
    this.#tell(point ?? this.#points.at(-1) ?? null, point !== null);
  }

  #grid(top, y) {
    const parts = [];
    for (const share of [0, 0.5, 1]) {
      const height = y(top * share);
      parts.push(svg("line", { class: "grid", x1: EDGE.left, x2: this.#width - EDGE.right, y1: height, y2: height }));
      parts.push(label(this.shown(top * share), EDGE.left - 6, height + 4, "end"));
    }
    const ticks = this.#width < 320 ? [10, 5, 0] : [10, 8, 6, 4, 2, 0];
    for (const minutes of ticks) {
      const anchor = minutes === 0 ? "end" : minutes === 10 ? "start" : "middle";
      parts.push(label(minutes ? `−${minutes} min` : "now", this.#x(this.#now - minutes * 60), HEIGHT - 5, anchor));
    }
    return parts;
  }

  #line(series, y) {
    const floor = y(0);
    const parts = [];
    for (const run of runs(this.#points, series.key)) {
      const places = run.map((point) => `${this.#x(point.at).toFixed(1)},${y(point[series.key]).toFixed(1)}`);
      const [first, last] = [this.#x(run[0].at).toFixed(1), this.#x(run.at(-1).at).toFixed(1)];
      if (run.length > 1) {
        if (series.filled) parts.push(svg("path", { class: "area", "data-color": series.color, d: `M${first},${floor}L${places.join("L")}L${last},${floor}Z` }));
        parts.push(svg("path", { class: "line", "data-color": series.color, d: `M${places.join("L")}` }));
      } else parts.push(svg("circle", { class: "dot", "data-color": series.color, cx: first, cy: y(run[0][series.key]), r: 2 }));
    }
    return parts;
  }

  #pointed() {
    if (this.#hovered === null || !this.#points.length) return null;
    const near = (point) => Math.abs(this.#x(point.at) - this.#hovered);
    return this.#points.reduce((best, point) => (near(point) < near(best) ? point : best));
  }

  #cross(point, y) {
    const x = this.#x(point.at);
    const parts = [svg("line", { class: "cross", x1: x, x2: x, y1: EDGE.top, y2: HEIGHT - EDGE.bottom })];
    for (const each of this.series)
      if (point[each.key] !== null) parts.push(svg("circle", { class: "dot", "data-color": each.color, cx: x, cy: y(point[each.key]), r: 3.5 }));
    return parts;
  }

  #tell(point, hovered) {
    this.series.forEach((each, i) => say(this.values[i], this.shown(point?.[each.key] ?? null)));
    say(this.when, hovered ? at(point.at) : "");
    const latest = this.series.map((each, i) => `${each.name} ${this.values[i].textContent}`).join(", ");
    if (!hovered) mark(this.svg, "aria-label", `${this.title} over the last ten minutes; now ${latest}`);
  }
}

/** Stretches of known values with less than 30 seconds between them. */
function runs(points, key) {
  const found = [];
  let run = [];
  for (const point of points) {
    const gap = point[key] === null || (run.length && point.at - run.at(-1).at > 30);
    if (gap && run.length) {
      found.push(run);
      run = [];
    }
    if (point[key] !== null) run.push(point);
  }
  if (run.length) found.push(run);
  return found;
}

/** The least of 1, 2, 4 times a power of ten that is not below `value`: its half is a round number too. */
function nice(value) {
  if (value <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 4, 10].map((each) => each * power).find((each) => each >= value * 0.999);
}

function label(text, x, y, anchor) {
  const node = svg("text", { x, y, "text-anchor": anchor });
  node.textContent = text;
  return node;
}
