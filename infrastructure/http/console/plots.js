// The plots of the overview: what all instances did, from the deployment's counters; one cursor for all plots.

import { ask } from "./api.js";
import { $, failure, say } from "./elements.js";
import { duration, moment, number, perSecond } from "./format.js";
import { labels } from "./labels.js";
import { Plot } from "./plot.js";
import { query, setQuery } from "./router.js";
import { language, t } from "./texts.js";

const DAY = 86_400;
/** Seconds from tick to tick, by span. */
const TICKS = { "5m": 60, "1h": 600, "24h": 4 * 3600, "30d": 5 * DAY };
const chosen = () => document.querySelector("input[name=span]:checked").value;

let plots;
let cursor = null;
let views = [];
let asked = 0;

function makePlots() {
  const onCursor = (index) => {
    cursor = index;
    draw();
  };
  return [
    new Plot("plot-rate", t("plot.rate"), { unit: perSecond, least: 5, onCursor }),
    new Plot("plot-latency", t("plot.latency"), { unit: duration, least: 0.01, onCursor }),
    new Plot("plot-backlog", t("plot.backlog"), { unit: number, least: 10, onCursor }),
    new Plot("plot-dead", t("plot.dead"), { unit: number, least: 5, onCursor }),
  ];
}

/** Fills the plots with the span that is chosen. */
export async function loadPlots() {
  const asks = query().get("span") ?? "5m";
  for (const input of document.querySelectorAll("input[name=span]")) input.checked = input.value === (asks in TICKS ? asks : "5m");
  const span = chosen();
  const number = ++asked;
  try {
    const history = await ask(`/api/history?span=${span}`);
    if (number !== asked) return;
    views = viewsOf(history);
    say("plots-note", t(history.since === null ? "plots.none" : "plots.note"));
    draw();
  } catch (error) {
    if (number === asked) say("plots-note", failure(error));
  }
}

function draw() {
  plots ??= makePlots();
  for (const [index, view] of views.entries()) plots[index].show(view, cursor);
}

/** Figures a bucket as figures a second. The last bucket is under way: it is taken together with the one before. */
export function rates(values, { step, start, now }) {
  const lastSeconds = now - (start + (values.length - 1) * step) + step;
  return values.slice(0, -1).map((value, index) =>
    index === values.length - 2 ? (value + values.at(-1)) / lastSeconds : value / step,
  );
}

function viewsOf(history) {
  const { step, start, lanes, deadLetters } = history;
  const times = deadLetters.slice(0, -1).map((_, index) => start + (index + 0.5) * step);
  const common = { times, ticks: ticksOf(history), moment };
  const named = (lane) => t("plot.lane", { lane: labels.lanes[lane]?.label ?? lane });
  const joined = (values) => [...values.slice(0, -2), values.at(-1) ?? values.at(-2)];
  const means = ({ batches, seconds }) => batches.map((count, index) => (count ? seconds[index] / count : null));
  const byLane = Object.entries(lanes);
  const latency = ([lane, it]) => [
    { name: lane, label: `${named(lane)} ${t("plot.mean")}`, values: joined(means(it)) },
    { name: `${lane} p50`, label: "p50", values: joined(it.p50), drawn: false },
    { name: `${lane} p95`, label: "p95", values: joined(it.p95) },
  ];
  const peaks = (values) => [...values.slice(0, -2), values.slice(-2).reduce((one, other) => (one > other ? one : (other ?? one)))];
  const backlog = [
    { name: "waiting", label: t("tile.waiting"), values: peaks(history.backlog.waiting) },
    { name: "working", label: t("tile.working"), values: peaks(history.backlog.working) },
    { name: "oldest", label: t("tile.oldest"), values: peaks(history.backlog.oldest), unit: duration, drawn: false },
  ];
  return [
    { ...common, series: byLane.map(([lane, it]) => ({ name: lane, label: named(lane), values: rates(it.messages, history) })) },
    { ...common, series: byLane.flatMap(latency) },
    { ...common, series: backlog },
    { ...common, series: [{ name: "dead", label: t("plot.dead"), values: [...deadLetters.slice(0, -2), deadLetters.at(-2) + deadLetters.at(-1)] }] },
  ];
}

function ticksOf({ span, start, now }) {
  const every = TICKS[span];
  const form = every >= DAY ? { month: "numeric", day: "numeric" } : { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
  const text = new Intl.DateTimeFormat(language, { timeZone: labels.zone, ...form });
  const first = Math.ceil(start / every) * every;
  const count = Math.max(0, Math.floor((now - first) / every) + 1);
  return Array.from({ length: count }, (_, index) => first + index * every).map((time) => [time, text.format(time * 1000)]);
}

$("span").addEventListener("change", () => {
  cursor = null;
  setQuery({ ...Object.fromEntries(query()), span: chosen() === "5m" ? "" : chosen() });
  loadPlots();
});
