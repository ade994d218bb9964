// What the events tell: the summary, the plots, tiers, lanes, LLM, and the parts.

import { $, empty, make, say, table } from "./elements.js";
import { duration, number, percent, plural } from "./format.js";
import { labels } from "./labels.js";
import { PLOT, Plot } from "./plot.js";

const LEVELS = { healthy: "Healthy", degraded: "Degraded", down: "Down" };

const lanes = () => Object.keys(labels.lanes);
const metric = (name, label, value) => `pomocore_${name}{${label}="${value}"}`;
const committedBy = (lane) => metric("messages_committed_total", "lane", lane);
const secondsOf = (lane) => metric("batch_seconds_sum", "lane", lane);
const batchesOf = (lane) => metric("batch_seconds_count", "lane", lane);
const sum = (values) => values.reduce((total, value) => total + (value ?? 0), 0);

/** All values of a metric by the value of its only label. */
function byLabel(metrics, name) {
  const prefix = `pomocore_${name}{`;
  const found = Object.entries(metrics).filter(([key]) => key.startsWith(prefix));
  return Object.fromEntries(found.map(([key, value]) => [key.match(/"(.*)"/)[1], value ?? 0]));
}

// Plots. A point is what was counted at one moment; what is drawn are differences between two of them.

let history = [];

/** The points that the server has gathered before this page was opened. */
export function takeHistory(points) {
  history = points;
}

function remember(state) {
  const point = { time: state.time, ...state.metrics };
  point.pomocore_undelivered_entries = sumOfStreams(state, "undelivered");
  point.pomocore_pending_entries = sumOfStreams(state, "pending");
  history = [...history.filter((earlier) => earlier.time > state.time - PLOT.seconds), point];
}

export const sumOfStreams = (state, name) => (state.streams.length ? sum(state.streams.map((it) => it[name])) : null);

function differences() {
  const now = history.at(-1)?.time ?? 0;
  return history.slice(1).map((point, index) => {
    const before = history[index];
    const seconds = point.time - before.time;
    const grown = (name) => Math.max(0, (point[name] ?? 0) - (before[name] ?? 0));
    const byLane = lanes().map((lane) => {
      const batches = grown(batchesOf(lane));
      const latency = batches ? grown(secondsOf(lane)) / batches : null;
      return [lane, { rate: seconds > 0 ? grown(committedBy(lane)) / seconds : 0, latency }];
    });
    const [undelivered, pending] = [point.pomocore_undelivered_entries, point.pomocore_pending_entries];
    return { age: now - point.time, lanes: Object.fromEntries(byLane), undelivered, pending };
  });
}

const perSecond = (value) => `${number(value)}/s`;

let plots;

function makePlots() {
  const byLane = (value) =>
    Object.fromEntries(
      Object.entries(labels.lanes).map(([lane, { label }]) => [
        lane,
        { label: `${label} lane`, of: (point) => point.lanes[lane][value] },
      ]),
    );
  const backlog = {
    waiting: { label: "Waiting", of: (point) => point.undelivered ?? null },
    working: { label: "In work", of: (point) => point.pending ?? null },
  };
  return [
    new Plot("plot-rate", byLane("rate"), { unit: perSecond, least: 5 }),
    new Plot("plot-latency", byLane("latency"), { unit: duration, least: 0.01 }),
    new Plot("plot-backlog", backlog, { unit: number, least: 10 }),
  ];
}

/** Messages a second over the last seconds, so that single batches do not make it jump. */
function recentRate(points) {
  const recent = points.filter((point) => point.age < 5);
  const rates = recent.map((point) => sum(Object.values(point.lanes).map(({ rate }) => rate)));
  return recent.length ? sum(rates) / recent.length : 0;
}

// Right now

function headlineOf(state, rate, waiting, committed) {
  if (state.level === "down") return "Nothing is being processed";
  if (waiting > 0 && rate > 0) return `Working through ${plural(waiting, "message")}`;
  if (waiting > 0) return `${plural(waiting, "message")} to process`;
  if (rate > 0) return "Keeping up";
  return committed > 0 ? "All caught up" : "Waiting for messages";
}

function leadOf(state, rate, waiting, committed) {
  if (state.level === "down")
    return "Messages stay safe on the stream; work goes on by itself once this is mended:";
  if (waiting > rate && rate >= 1)
    return `At ${perSecond(rate)} that takes about ${duration(waiting / rate)} more.`;
  if (committed === 0)
    return "None has come since this process has started. Each gets a category, and counts on its user's boards.";
  const done = `${plural(committed, "message has", "messages have")} got a category and counted on the boards`;
  return `${done} since this process has started. New ones are taken as they come.`;
}

function showNow(state, rate) {
  const { metrics, streams } = state;
  const undelivered = sumOfStreams(state, "undelivered");
  const pending = sumOfStreams(state, "pending");
  const committed = sum(lanes().map((lane) => metrics[committedBy(lane)]));
  const waiting = (undelivered ?? 0) + (pending ?? 0);
  const ages = streams.flatMap((it) => [it.oldest_undelivered_seconds, it.oldest_pending_seconds]);
  $("level").dataset.level = state.level;
  say("level", LEVELS[state.level]);
  say("now-title", headlineOf(state, rate, waiting, committed));
  say("now-text", leadOf(state, rate, waiting, committed));
  say("rate", number(Math.round(rate)));
  say("undelivered", (streams.every((it) => it.undelivered_exact) ? "" : "≈ ") + number(undelivered));
  say("pending", number(pending));
  say("oldest", waiting ? duration(Math.max(0, ...ages)) : "–");
  say("dead", number(sumOfStreams(state, "dead_letters")));
  say("committed", number(committed));
  $("problems").hidden = state.problems.length === 0;
  $("problems").replaceChildren(...state.problems.map((problem) => make("li", {}, problem)));
}

// Tiers and lanes

function showTiers(metrics) {
  const counts = byLabel(metrics, "classifications_total");
  const total = sum(Object.values(counts));
  const { tiers } = labels;
  const known = Object.keys(tiers).filter((tier) => tier in counts);
  const parts = known
    .filter((tier) => counts[tier] > 0)
    .map((tier) => {
      const part = tierColoured("span", tier, { title: `${tiers[tier].label}: ${number(counts[tier])}` });
      part.style.flexGrow = counts[tier] / total;
      return part;
    });
  $("tier-bar").replaceChildren(...parts);
  const said = known
    .filter((tier) => counts[tier] > 0)
    .map((tier) => `${tiers[tier].label} ${percent(counts[tier] / total)}`);
  $("tier-bar").setAttribute("aria-label", said.join(", ") || "No message yet");
  $("tiers").replaceChildren(...known.map((tier) => tierRow(tier, counts[tier], total)));
}

/** An element in the colour of its tier; one that the style sheet does not know yet is grey. */
function tierColoured(tag, tier, attributes) {
  const element = make(tag, attributes);
  element.style.background = `var(--tier-${tier}, var(--edge))`;
  return element;
}

function tierRow(tier, count, total) {
  const { label, meaning } = labels.tiers[tier];
  return make(
    "li",
    { class: count ? "" : "none", title: meaning },
    tierColoured("i", tier, { class: "swatch" }),
    make("span", {}, make("span", {}, label), make("small", { class: "note" }, ` ${meaning}`)),
    make("span", { class: "share" }, count ? `${percent(count / total)}` : "–"),
  );
}

function showLanes(metrics) {
  const rows = Object.entries(labels.lanes).map(([lane, { label, meaning }]) => {
    const batches = metrics[batchesOf(lane)] ?? 0;
    const mean = batches ? duration(metrics[secondsOf(lane)] / batches) : "–";
    const name = make("th", { scope: "row" }, make("i", { class: `swatch ${lane}` }), label);
    name.append(make("small", { class: "note" }, ` ${meaning}`));
    const committed = number(metrics[committedBy(lane)] ?? 0);
    return make("tr", {}, name, make("td", { class: "number" }, committed), make("td", { class: "number" }, mean));
  });
  $("lanes").replaceChildren(table(["Lane", "Committed", "Mean time"], rows));
}

// LLM

function showLlm(state) {
  const { metrics } = state;
  const requests = byLabel(metrics, "llm_requests_total");
  const all = sum(Object.values(requests));
  const deferred = sumOfStreams(state, "deferred") ?? 0;
  const paused = sum(Object.values(byLabel(metrics, "llm_pauses_total")));
  say(
    "llm-text",
    state.llm
      ? "Asked only for what nobody else knows; many windows go into one request."
      : "None is configured (OPENAI_API_KEY). What no other tier knows stays Uncategorized, or Browsing.",
  );
  const pairs = [
    ["Requests", number(all)],
    ["Failed", number(all - (requests.answered ?? 0))],
    ["Tokens", number(metrics.pomocore_llm_tokens_total)],
    ["Cost", number(metrics.pomocore_llm_cost_total)],
    ["Pauses", number(paused)],
    ["Asked again later", number(deferred)],
  ];
  const shown = state.llm || all || deferred ? pairs : [];
  $("llm").replaceChildren(
    ...shown.map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, value))),
  );
}

// Parts

const PARTS = { redis: "Redis", store: "Documents", patterns: "Patterns", consumer: "Consumer" };

function showParts(state) {
  const checks = Object.entries(state.checks).map(([name, check]) => {
    const cause = check.why || state.breakers[name];
    const word = check.ok ? ["good", "usable"] : ["bad", name in state.breakers ? "waiting for it" : "not usable"];
    const tag = make("span", { class: `tag ${word[0]}` }, word[1]);
    return make("li", {}, make("span", {}, PARTS[name] ?? name), tag, check.ok ? null : make("small", {}, cause));
  });
  const openings = sum(Object.values(byLabel(state.metrics, "breaker_openings_total")));
  const breakers = openings ? `${plural(openings, "outage")} waited for so far` : "closed, no outage so far";
  const patterns = number(state.metrics.pomocore_patterns);
  $("checks").replaceChildren(
    ...checks,
    make("li", {}, make("span", {}, "Breakers"), breakers),
    make("li", {}, make("span", {}, "In use"), `${patterns} patterns`),
  );
  const instances = state.streams.flatMap((stream) => stream.instances);
  const rows = instances.sort((one, other) => one.name.localeCompare(other.name)).map(instanceRow);
  $("instances").replaceChildren(
    rows.length
      ? table(["Instance", "In work", "Asked for work"], rows)
      : empty("No instance has asked for work yet."),
  );
}

function instanceRow(instance) {
  const name = make("td", {}, make("code", {}, instance.name));
  const pending = make("td", { class: "number" }, number(instance.pending));
  return make("tr", {}, name, pending, make("td", { class: "number" }, `${duration(instance.idle_seconds)} ago`));
}

export function showState(state) {
  remember(state);
  const points = differences();
  plots ??= makePlots();
  for (const plot of plots) plot.draw(points);
  showNow(state, recentRate(points));
  showTiers(state.metrics);
  showLanes(state.metrics);
  showLlm(state);
  showParts(state);
  say("instance", state.instance);
}
