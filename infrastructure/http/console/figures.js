// The overview: how it is now, the plots, who leads, and who decides.

import { ask } from "./api.js";
import { boardTable, loadCategories } from "./boards.js";
import { $, empty, failed, make, say } from "./elements.js";
import { clock, duration, number, percent, perSecond } from "./format.js";
import { labels } from "./labels.js";
import { loadPlots, rates } from "./plots.js";
import { isShown, page } from "./router.js";
import { said } from "./said.js";
import { t } from "./texts.js";

const TOP_SIZE = 7;

export const sum = (values) => values.reduce((total, value) => total + (value ?? 0), 0);
export const metric = (name, label, value) => `pomocore_${name}{${label}="${value}"}`;
export const sumOfStreams = (state, name) => (state.streams.length ? sum(state.streams.map((it) => it[name])) : null);

/** Of messages and of jobs; null while Redis does not say. */
export function deadLetters(state) {
  const ofMessages = sumOfStreams(state, "dead_letters");
  return ofMessages === null ? null : ofMessages + sum(Object.values(byLabel(state.metrics, "jobs_dead_letters")));
}

/** All values of a metric by the value of its only label. */
export function byLabel(metrics, name) {
  const prefix = `pomocore_${name}{`;
  const found = Object.entries(metrics).filter(([key]) => key.startsWith(prefix));
  return Object.fromEntries(found.map(([key, value]) => [key.match(/"(.*)"/)[1], value ?? 0]));
}

page("overview", { open: (given) => Promise.all([showTop(given), loadPlots(), loadRate()]) });

/** This week's board, or the week of ?date=… */
async function showTop(given) {
  try {
    const { overall, today } = await loadCategories();
    const date = given.get("date") ?? today;
    $("top-all").href = given.has("date") ? `/boards?${new URLSearchParams({ period: "week", date })}` : "/boards";
    say("top-title", t(given.has("date") ? "top.title-of" : "top.title", { date }));
    const board = await ask(`/api/boards/${overall}?${new URLSearchParams({ period: "week", date, size: TOP_SIZE })}`);
    $("top").replaceChildren(board.content.length ? boardTable(board) : empty(t("boards.nobody-yet")));
    say("top-updated", t("updated", { time: clock(Date.now() / 1000) }));
  } catch (error) {
    $("top").replaceChildren(failed(error));
  }
}

// Right now

let rate = null;
let ratesAsked = 0;

/** Messages a second of all instances: the last point of the plot over five minutes. */
async function loadRate() {
  ratesAsked = Date.now();
  try {
    const history = await ask("/api/history?span=5m");
    rate = rates(history.committed, history).at(-1);
  } catch {
    rate = null; // what is wrong is said by the level
  }
}

function headlineOf(level, waiting, committed) {
  if (level === "down") return t("now.down");
  if (waiting > 0 && rate > 0) return t("now.working", { n: waiting });
  if (waiting > 0) return t("now.waiting", { n: waiting });
  if (rate > 0) return t("now.keeping-up");
  return t(committed > 0 ? "now.caught-up" : "now.none");
}

function leadOf(level, waiting, committed) {
  if (level === "down") return t("now.down-text");
  if (waiting > rate && rate >= 1)
    return t("now.rest-text", { rate: perSecond(rate), time: duration(waiting / rate) });
  return committed ? t("now.done-text", { n: committed }) : t("now.none-text");
}

function showNow(state) {
  const { streams, level, deployment } = state;
  const undelivered = sumOfStreams(state, "undelivered");
  const pending = sumOfStreams(state, "pending");
  const { committed } = deployment;
  const waiting = (undelivered ?? 0) + (pending ?? 0);
  const ages = streams.flatMap((it) => [it.oldest_undelivered_seconds, it.oldest_pending_seconds]);
  $("level").dataset.level = level;
  say("level", t(`level.${level}`));
  say("now-title", headlineOf(level, waiting, committed));
  say("now-text", leadOf(level, waiting, committed));
  say("rate", rate === null ? "–" : number(rate < 10 ? rate : Math.round(rate)));
  say("undelivered", (streams.every((it) => it.undelivered_exact) ? "" : "≈ ") + number(undelivered));
  say("pending", number(pending));
  say("oldest", waiting ? duration(Math.max(0, ...ages)) : "–");
  say("dead", number(deadLetters(state)));
  say("committed", deployment.since === null && level === "down" ? "–" : number(committed));
  const others = state.problems.filter((problem) => !state.outages.some(({ words }) => problem.includes(words)));
  const items = [...greatest(state.outages).map(outageItem), ...others.map((problem) => make("li", {}, said(problem)))];
  $("problems").hidden = items.length === 0;
  $("problems").replaceChildren(...items);
}

/** Without those of parts that wait for a server of which it is said that nothing goes on without it. */
function greatest(outages) {
  const stops = outages.filter(({ service }) => service === "redis" || service === "store");
  return outages.filter((it) => stops.includes(it) || !stops.some(({ address }) => address === it.address));
}

/** Which address is silent, since when, and what happens to messages meanwhile. */
export function outageWords({ service, kind, server, address, since }) {
  const at = since ? t("outage.since", { time: clock(since) }) : "";
  return `${[t(`outage.${kind}`, { server, address }), at].filter(Boolean).join(", ")}. ${t(`meanwhile.${service}`)}`;
}

function outageItem({ runbook, ...outage }) {
  const todo = runbook.startsWith("http") ? make("a", { href: runbook }, t("runbook")) : make("code", {}, runbook);
  return make("li", {}, `${outageWords(outage)} `, todo);
}

// Who decides

function showTiers(counts) {
  const total = sum(Object.values(counts));
  const { tiers } = labels;
  const deciding = Object.keys(tiers).filter((tier) => counts[tier] > 0);
  const parts = deciding.map((tier) => {
    const part = tierColoured("span", tier, { title: `${tiers[tier].label}: ${number(counts[tier])}` });
    part.style.flexGrow = counts[tier] / total;
    return part;
  });
  $("tier-bar").replaceChildren(...parts);
  const said = deciding.map((tier) => `${tiers[tier].label} ${percent(counts[tier] / total)}`);
  $("tier-bar").setAttribute("aria-label", said.join(", ") || t("tiers.none"));
  $("tiers").replaceChildren(...Object.keys(tiers).map((tier) => tierRow(tier, counts[tier] ?? 0, total)));
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
    { class: count ? "" : "none" },
    tierColoured("i", tier, { class: "swatch" }),
    make("span", {}, label, count ? make("small", {}, meaning) : null),
    make("span", { class: "share" }, count ? percent(count / total) : "–"),
  );
}

export function showState(state) {
  say("instance", state.instance);
  say("zone", labels.zone);
  say("version", Object.keys(byLabel(state.metrics, "build_info"))[0] ?? "");
  if (!isShown("overview")) return;
  if (Date.now() - ratesAsked > 2000) loadRate();
  showNow(state);
  showTiers(state.deployment.tiers);
}
