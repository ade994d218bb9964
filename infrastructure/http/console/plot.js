// Moving plots of the last minutes, drawn by hand in SVG.

import { $, make } from "./elements.js";

export const PLOT = { width: 400, height: 130, top: 16, bottom: 18, seconds: 300, gap: 15 };
const SVG = "http://www.w3.org/2000/svg";

function svg(tag, attributes = {}, text = "") {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.textContent = text;
  return element;
}

/** The next rounder number: 1, 2 or 5 times a power of ten. */
function roundedUp(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].find((step) => step * power >= value * 0.999) * power;
}

export class Plot {
  /** `series`: {fast: {label, of}, …}, where `of` is the value at a point, null where there is none. */
  constructor(id, series, { unit, least }) {
    this.series = Object.entries(series);
    this.unit = unit;
    this.least = least;
    this.points = [];
    this.cursor = null;
    this.picture = svg("svg", { role: "img", preserveAspectRatio: "none" });
    this.keys = make("div", { class: "keys" });
    $(id).replaceChildren(this.picture, this.keys);
    this.picture.addEventListener("pointermove", (event) => this.point(event));
    this.picture.addEventListener("pointerleave", () => this.point(null));
    new ResizeObserver(() => this.draw(this.points)).observe($(id));
  }

  point(event) {
    if (event === null) this.cursor = null;
    else {
      const box = this.picture.getBoundingClientRect();
      this.cursor = (1 - (event.clientX - box.left) / box.width) * PLOT.seconds;
    }
    this.draw(this.points);
  }

  draw(points) {
    this.points = points;
    this.width = this.picture.clientWidth || PLOT.width; // in pixels, so that no text is stretched
    this.picture.setAttribute("viewBox", `0 0 ${this.width} ${PLOT.height}`);
    const values = points.flatMap((point) => this.series.map(([, { of }]) => of(point) ?? 0));
    const highest = roundedUp(Math.max(this.least, ...values));
    this.picture.replaceChildren(...this.frame(highest));
    for (const [name, { of }] of this.series) this.picture.append(...this.curve(name, of, highest));
    const shown = this.shownPoint();
    if (shown && this.cursor !== null) this.picture.append(this.cursorAt(shown));
    this.describe(shown);
  }

  x(point) {
    return this.width * (1 - point.age / PLOT.seconds);
  }

  y(value, highest) {
    const room = PLOT.height - PLOT.top - PLOT.bottom;
    return PLOT.top + room * (1 - value / highest);
  }

  frame(highest) {
    const lines = [0, highest / 2, highest].map((value) => {
      const y = this.y(value, highest);
      return svg("line", { class: "grid", x1: 0, x2: this.width, y1: y, y2: y });
    });
    const foot = PLOT.height - 4;
    return [
      ...lines,
      svg("text", { x: 0, y: PLOT.top - 5 }, this.unit(highest)),
      svg("text", { x: 0, y: foot }, "5 min ago"),
      svg("text", { x: this.width, y: foot, "text-anchor": "end" }, "now"),
    ];
  }

  /** A line and the area below it for each stretch without a longer gap. */
  curve(name, of, highest) {
    const shapes = [];
    for (const stretch of this.stretches(of)) {
      const line = stretch.map((p) => `${this.x(p).toFixed(1)},${this.y(of(p), highest).toFixed(1)}`).join("L");
      const [first, last] = [this.x(stretch[0]), this.x(stretch.at(-1))];
      const floor = this.y(0, highest);
      shapes.push(svg("path", { class: `area ${name}`, d: `M${first},${floor}L${line}L${last},${floor}Z` }));
      shapes.push(svg("path", { class: `series ${name} ${stretch.length > 1 ? "" : "dot"}`, d: `M${line}h0` }));
    }
    return shapes;
  }

  stretches(of) {
    const found = [];
    let before = null;
    for (const point of this.points.filter((it) => of(it) !== null)) {
      if (before === null || before.age - point.age > PLOT.gap) found.push([]);
      found.at(-1).push(point);
      before = point;
    }
    return found;
  }

  shownPoint() {
    if (this.cursor === null) return this.points.at(-1);
    const distance = (point) => Math.abs(point.age - this.cursor);
    return this.points.reduce((best, point) => (best && distance(best) <= distance(point) ? best : point), null);
  }

  cursorAt(point) {
    const x = this.x(point);
    return svg("line", { class: "cursor", x1: x, x2: x, y1: PLOT.top, y2: PLOT.height - PLOT.bottom });
  }

  describe(point) {
    const value = (of) => (point ? (of(point) === null ? "–" : this.unit(of(point))) : "–");
    const when = this.cursor === null ? "now" : `${Math.round(point?.age ?? 0)} s ago`;
    this.keys.replaceChildren(
      ...this.series.map(([name, { label, of }]) =>
        make("span", {}, make("i", { class: `swatch ${name}` }), `${label} `, make("b", {}, value(of))),
      ),
      this.cursor === null ? "" : make("span", {}, when),
    );
    const words = this.series.map(([, { label, of }]) => `${label} ${value(of)}`).join(", ");
    this.picture.setAttribute("aria-label", `${when}: ${words}`);
  }
}
