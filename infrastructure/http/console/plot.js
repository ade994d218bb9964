// A plot with axes and a cursor, drawn by hand in SVG.

import { $, make } from "./elements.js";

const SIZE = { height: 170, top: 10, bottom: 22, left: 52, right: 6 };
const SVG = "http://www.w3.org/2000/svg";
const TICK_PIXELS = 70;

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
  /** `onCursor` is called with the index of the point under the pointer or chosen by the arrow keys, or null. */
  constructor(id, label, { unit, least, onCursor }) {
    this.unit = unit;
    this.least = least;
    this.onCursor = onCursor;
    this.view = { times: [], ticks: [], series: [], moment: String };
    this.cursor = null;
    this.picture = svg("svg", { role: "slider", tabindex: 0, "aria-label": label, "aria-valuemin": 0 });
    this.card = make("div", { class: "values", hidden: true });
    this.keys = make("div", { class: "keys" });
    $(id).replaceChildren(this.picture, this.card, this.keys);
    this.picture.addEventListener("pointermove", (event) => this.onCursor(this.nearest(event)));
    this.picture.addEventListener("pointerleave", () => this.onCursor(null));
    this.picture.addEventListener("blur", () => this.onCursor(null));
    this.picture.addEventListener("keydown", (event) => this.step(event));
    new ResizeObserver(() => this.draw()).observe($(id));
  }

  nearest({ clientX }) {
    const { times } = this.view;
    const at = clientX - this.picture.getBoundingClientRect().left;
    const distance = (index) => Math.abs(this.x(times[index]) - at);
    return times.reduce((best, _, index) => (best === null || distance(index) < distance(best) ? index : best), null);
  }

  step(event) {
    const last = this.view.times.length - 1;
    const now = this.cursor ?? last;
    const to = { ArrowLeft: now - 1, ArrowRight: now + 1, Home: 0, End: last, Escape: null }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    this.onCursor(to === null ? null : Math.min(Math.max(to, 0), last));
  }

  /** `view`: {times, ticks: [[time, text], …], series: [{name, label, values, drawn, unit}, …], moment}; values may be null. */
  show(view, cursor) {
    Object.assign(this, { view, cursor });
    this.draw();
  }

  draw() {
    const { times, series } = this.view;
    this.width = this.picture.clientWidth || 400; // in pixels, so that no text is stretched
    this.picture.setAttribute("viewBox", `0 0 ${this.width} ${SIZE.height}`);
    const drawn = series.filter((it) => it.drawn !== false);
    this.highest = roundedUp(Math.max(this.least, ...drawn.flatMap(({ values }) => values.map((value) => value ?? 0))));
    this.picture.replaceChildren(...this.frame(), ...drawn.flatMap((it) => this.curve(it)));
    this.picture.setAttribute("aria-valuemax", Math.max(times.length - 1, 0));
    this.describe();
  }

  x(time) {
    const { times } = this.view;
    const share = times.length > 1 ? (time - times[0]) / (times.at(-1) - times[0]) : 1;
    return SIZE.left + share * (this.width - SIZE.left - SIZE.right);
  }

  y(value) {
    return SIZE.top + (SIZE.height - SIZE.top - SIZE.bottom) * (1 - value / this.highest);
  }

  frame() {
    const levels = [0, this.highest / 2, this.highest].flatMap((value) => [
      svg("line", { class: "grid", x1: SIZE.left, x2: this.width, y1: this.y(value), y2: this.y(value) }),
      svg("text", { x: SIZE.left - 6, y: this.y(value) + 4, "text-anchor": "end" }, this.unit(value)),
    ]);
    const { ticks } = this.view;
    const every = Math.ceil((ticks.length * TICK_PIXELS) / Math.max(this.width - SIZE.left, 1));
    const moments = ticks.filter((_, index) => index % every === 0).flatMap(([time, text]) => [
      svg("line", { class: "grid", x1: this.x(time), x2: this.x(time), y1: this.y(0), y2: this.y(0) + 4 }),
      svg("text", { x: Math.min(this.x(time), this.width - TICK_PIXELS / 4), y: SIZE.height - 5, "text-anchor": "middle" }, text),
    ]);
    return [...levels, ...moments];
  }

  /** A line for each stretch without a gap; a lone point is a dot. */
  curve({ name, values }) {
    const stretches = [[]];
    values.forEach((value, index) => {
      if (value === null) stretches.push([]);
      else stretches.at(-1).push(`${this.x(this.view.times[index]).toFixed(1)},${this.y(value).toFixed(1)}`);
    });
    return stretches
      .filter((points) => points.length)
      .map((points) =>
        svg("path", { class: `series ${name} ${points.length > 1 ? "" : "dot"}`, d: `M${points.join("L")}h0` }),
      );
  }

  describe() {
    const { times, series, moment } = this.view;
    const last = times.length - 1;
    const said = ({ values, unit = this.unit }, index) => (values[index] == null ? "–" : unit(values[index]));
    const swatch = (name) => make("i", { class: `swatch ${name}` });
    this.keys.replaceChildren(
      ...series.map((it) => make("span", {}, swatch(it.name), `${it.label} `, make("b", {}, said(it, last)))),
    );
    const at = this.cursor ?? last;
    const words = series.map((it) => `${it.label} ${said(it, at)}`);
    this.picture.setAttribute("aria-valuenow", Math.max(at, 0));
    this.picture.setAttribute("aria-valuetext", [times.length ? moment(times[at]) : "–", ...words].join(", "));
    this.card.hidden = this.cursor === null || !times.length;
    if (this.card.hidden) return;
    const x = this.x(times[at]);
    const line = { class: "cursor", x1: x, x2: x, y1: SIZE.top, y2: SIZE.height - SIZE.bottom };
    this.picture.append(svg("line", line));
    const rows = series.map((it) => make("div", {}, swatch(it.name), `${it.label} `, make("b", {}, said(it, at))));
    this.card.replaceChildren(make("div", { class: "when" }, moment(times[at])), ...rows);
    const wide = this.card.offsetWidth + 10; // it stands behind the cursor, or before it: within the plot
    this.card.style.left = `${x + wide <= this.width ? x + 10 : Math.max(0, x - wide)}px`;
  }
}
