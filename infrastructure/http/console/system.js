// The deployment: its parts and instances, lanes, LLM, collector, cards, tasks, changes, and settings.

import { action } from "./access.js";
import { ask } from "./api.js";
import { $, empty, failed, failure, make, renew, say, table } from "./elements.js";
import { byLabel, metric, outageWords, sum, sumOfStreams } from "./figures.js";
import { clock, duration, moment, number, spent } from "./format.js";
import { labels } from "./labels.js";
import { isShown, page, setQuery, show } from "./router.js";
import { said } from "./said.js";
import { followTask, openTask, taskOutcome } from "./tasks.js";
import { t, translated } from "./texts.js";

let addresses = {}; // of the stores, by their names
/** The instance that is looked at where it is not the one that serves this page, and the name of that one. */
let chosen = null;
let own = null;

page("system", {
  open: (given) => {
    chosen = given.get("instance");
    return Promise.all([showSystem(), showCards(), showChosen()]);
  },
});

const tag = (good, text) => make("span", { class: `tag ${good ? "good" : "bad"}` }, text);
const cell = (...content) => make("td", {}, ...content);
const nothing = () => make("td", { class: "nothing" }, "–");
const note = (text) => make("small", { class: "note" }, text);
const numberCell = (text) => make("td", { class: "number" }, text);

function showLanes(metrics) {
  const rows = Object.entries(labels.lanes).map(([lane, { label, meaning }]) => {
    const batches = metrics[metric("batch_seconds_count", "lane", lane)] ?? 0;
    const mean = batches ? duration(metrics[metric("batch_seconds_sum", "lane", lane)] / batches) : "–";
    const name = make("th", { scope: "row" }, make("i", { class: `swatch ${lane}` }), label);
    name.append(make("small", { class: "note" }, ` ${meaning}`));
    const committed = number(metrics[metric("messages_committed_total", "lane", lane)] ?? 0);
    return make("tr", {}, name, numberCell(committed), numberCell(mean));
  });
  $("lanes").replaceChildren(table([t("lanes.lane"), t("tile.committed"), t("lanes.mean")], rows));
}

const pairsOf = (pairs) =>
  pairs.map(([name, value]) => make("div", {}, make("dt", {}, t(name)), make("dd", {}, value)));

function showLlm(state) {
  const { metrics } = state;
  const requests = byLabel(metrics, "llm_requests_total");
  const all = sum(Object.values(requests));
  const deferred = sumOfStreams(state, "deferred") ?? 0;
  say("llm-text", t(state.llm ? "llm.on" : "llm.off"));
  const pairs = [
    ["llm.requests", number(all)],
    ["llm.failed", number(all - (requests.answered ?? 0))],
    ["llm.tokens", number(metrics.pomocore_llm_tokens_total)],
    ["llm.cost", number(metrics.pomocore_llm_cost_total)],
    ["llm.pauses", number(sum(Object.values(byLabel(metrics, "llm_pauses_total"))))],
    ["llm.later", number(deferred)],
  ];
  $("llm").replaceChildren(...pairsOf(state.llm || all || deferred ? pairs : []));
}

/** Of the collector in this process, if there is one. */
function showCollector(metrics) {
  const accepted = metrics.pomocore_collect_accepted_events_total;
  $("collector-card").hidden = accepted == null;
  if (accepted == null) return;
  const posts = byLabel(metrics, "collect_requests_total");
  const away = byLabel(metrics, "collect_outage");
  const names = { redis: "stream", archive: "archive", disk: "disk" };
  const waits = Object.keys(names).filter((service) => away[service]).map((service) => t(`collector.${names[service]}`));
  const what = waits.length ? waits.reduce((one, other) => t("collector.and", { one, other })) : null;
  say("collector-text", what ? t("collector.waits", { what }) : t("collector.runs"));
  const oldest = Math.max(...Object.values(byLabel(metrics, "collect_oldest_seconds")));
  const pairs = [
    ["collector.accepted", number(accepted)],
    ["collector.published", number(metrics.pomocore_collect_published_events_total)],
    ["collector.stored", number(metrics.pomocore_collect_stored_events_total)],
    ["collector.refused", number(sum(Object.values(posts)) - (posts[202] ?? 0))],
    ["collector.spool", t("unit.mb", { n: (metrics.pomocore_collect_spool_bytes ?? 0) / 1e6 })],
    ["collector.oldest", duration(oldest)],
  ];
  $("collector").replaceChildren(...pairsOf(pairs));
}

const partName = (name) => translated(`part.${name}`, name);

function showChecks(state) {
  const checks = Object.entries(state.checks).map(([name, check]) => {
    const word = check.ok ? "parts.usable" : name in state.breakers ? "parts.waited-for" : "parts.not-usable";
    const outage = state.outages.find(({ words }) => words === check.why);
    const why = check.ok ? null : make("small", {}, outage ? outageWords(outage) : said(check.why));
    const where = addresses[name] ? make("code", {}, addresses[name]) : null;
    return make("li", {}, make("span", {}, partName(name)), tag(check.ok, t(word)), where, why);
  });
  const { redis = 0, store = 0, ...others } = byLabel(state.metrics, "breaker_openings_total");
  const openings = redis + store || Math.max(0, ...Object.values(others)); // the others wait for Redis as well
  const breakers = openings ? t("parts.outages", { n: openings }) : t("parts.no-outage");
  const patterns = t("parts.patterns", { n: state.metrics.pomocore_patterns ?? 0 });
  $("checks").replaceChildren(
    ...checks,
    make("li", {}, make("span", {}, t("parts.breakers")), breakers),
    make("li", {}, make("span", {}, t("parts.in-use")), patterns),
  );
}

function showInstances(state) {
  const instances = state.streams.flatMap((stream) => stream.instances);
  const rows = instances.sort((one, other) => one.name.localeCompare(other.name)).map(instanceRow);
  const heads = [t("parts.instance"), t("tile.working"), t("parts.asked")];
  const none = t(state.outages.some(({ service }) => service === "redis") ? "unavailable" : "parts.no-instance");
  $("instances").replaceChildren(rows.length ? table(heads, rows) : empty(none));
}

function instanceRow({ name, pending, idle_seconds }) {
  const asked = t("ago", { time: duration(idle_seconds) });
  return make("tr", {}, cell(make("code", {}, name)), numberCell(number(pending)), numberCell(asked));
}

export function followSystem(state) {
  own = state.instance;
  if (!isShown("system")) return;
  showInstances(state);
  showChoice(state);
  if (!chosen || chosen === own) showInstance(state);
}

// One instance

function showInstance(state) {
  const scope = t("instance.scope", { instance: state.instance, time: clock(state.taken) });
  for (const element of document.querySelectorAll(".scope")) element.textContent = scope;
  for (const card of document.querySelectorAll(".of-instance")) card.hidden = false;
  $("instance-gone").hidden = true;
  showLanes(state.metrics);
  showLlm(state);
  showCollector(state.metrics);
  showChecks(state);
}

/** What another instance has told of itself; it does so every few seconds. */
async function showChosen() {
  const name = chosen;
  if (!name) return;
  try {
    const state = await ask(`/api/state?${new URLSearchParams({ instance: name })}`);
    if (name === chosen) showInstance(state);
  } catch (error) {
    if (name === chosen) showGone(error);
  }
}

/** Figures of an instance that is gone are none; during an outage those that are shown say of when they are. */
function showGone(error) {
  const isGone = error.status === 404;
  say("instance-problem", isGone ? t("instance.gone", { instance: chosen }) : failure(error));
  say("instance-own", t("instance.own", { instance: own ?? "" }));
  $("instance-gone").hidden = false;
  if (!isGone) return;
  for (const card of document.querySelectorAll(".of-instance")) card.hidden = true;
  for (const element of document.querySelectorAll(".scope")) element.textContent = "";
  $("checks").replaceChildren();
}

function showChoice({ instance, streams }) {
  const alive = streams.flatMap((it) => it.instances).filter((it) => it.alive);
  const names = [...new Set([instance, ...alive.map((it) => it.name), chosen ?? instance])].sort();
  $("instance-form").hidden = names.length < 2;
  const select = $("instance-name");
  if (names.join() !== [...select.options].map((it) => it.value).join())
    select.replaceChildren(...names.map((name) => make("option", { value: name }, name)));
  if (select.value !== (chosen ?? instance)) select.value = chosen ?? instance;
}

function choose(name) {
  setQuery({ instance: name === own ? "" : name });
  show();
}

$("instance-name").addEventListener("change", () => choose($("instance-name").value));
$("instance-own").addEventListener("click", () => choose(own));

/** The run over everyone's focus cards, as it goes. */
async function showCards() {
  try {
    const run = await ask("/api/cards/run");
    $("cards-card").hidden = !run.underWay && !run.lastEnd;
    $("cards").replaceChildren(make("p", {}, run.underWay ? goingOn(run) : t("cards.last", { time: moment(run.lastEnd ?? 0) })));
  } catch (error) {
    $("cards").replaceChildren(failed(error));
  }
}

function goingOn({ users, written, unchanged, boardsLeft, chunksLeft, workers }) {
  const left = boardsLeft ? t("cards.boards", { n: boardsLeft }) : t("cards.chunks", { n: chunksLeft });
  const all = t("cards.under-way", { users: t("users", { n: users }), written, unchanged, left });
  return workers ? all : `${all} ${t("cards.nobody")}`;
}

// What /api/system tells: stores, tasks, settings; and the changes

async function askSystem() {
  const ofOthers = (error) => (error.status === 404 ? ask("/api/system") : Promise.reject(error));
  return chosen ? ask(`/api/system?${new URLSearchParams({ instance: chosen })}`).catch(ofOthers) : ask("/api/system");
}

async function showSystem() {
  const name = chosen;
  try {
    const [system, audit] = await Promise.all([askSystem(), ask("/api/audit?limit=30").catch((error) => error)]);
    if (name !== chosen) return;
    addresses = Object.fromEntries(system.stores.map(({ service, server, address }) => [service, `${server} ${address}`]));
    showTasks(system);
    if (audit.content) showAudit(audit.content);
    else $("audit").replaceChildren(failed(audit));
    showSettings(system.settings);
  } catch (error) {
    $("tasks").replaceChildren(failed(error));
  }
}

function showTasks({ tasks, runs }) {
  followTask(runs ?? []);
  const rows = tasks.map((task) => {
    const { name, help, schedule, next, lastRun } = task;
    const run = action(t("tasks.run"), t("tasks.run.label", { task: name }), () => openTask(task, showSystem));
    return make(
      "tr",
      {},
      make("th", { scope: "row" }, make("code", {}, name), make("small", { class: "note" }, translated(`task.${name}`, help))),
      lastRun ? cell(statusOf(lastRun), note(moment(lastRun.started)), lastRun.status === "failed" ? note(said(lastRun.data.reason ?? "")) : "") : nothing(),
      schedule ? cell(make("code", {}, schedule), next ? note(t("tasks.next", { time: moment(next) })) : "") : nothing(),
      cell(run),
    );
  });
  const history = (runs ?? []).slice(0, 30).map((run) =>
    make(
      "tr",
      {},
      make("th", { scope: "row" }, make("code", {}, run.task)),
      cell(statusOf(run), taskOutcome(run.data)),
      cell(moment(run.started), run.ended ? make("small", { class: "note" }, duration(run.ended - run.started)) : ""),
    ),
  );
  const heads = [t("tasks.task"), t("tasks.status"), t("tasks.when")];
  const earlier = history.length ? make("details", {}, make("summary", {}, t("tasks.history")), table(heads, history, false)) : runs ? "" : empty(t("unavailable"));
  renew($("tasks"), table([t("tasks.task"), t("tasks.last"), t("tasks.schedule"), t("tasks.by-hand")], rows, false), earlier);
}

function statusOf({ status, ended }) {
  const classes = status === "failed" ? "bad" : status === "completed" ? "good" : ended ? "" : "warn";
  return make("span", { class: `tag ${classes}` }, t(`status.${status}`));
}

/** A task's figures by their names, as its history has them. */
const figured = (outcome) =>
  said(outcome ?? "") // null without the token
    .replace(/from (.+?) to (.+?) seconds ([\d.]+)/g, (_, from, to, seconds) => `${from} → ${to} ${spent(Number(seconds))}`)
    .replace(/(^|; )(\w+): /g, (_, before, name) => `${before}${translated(`figure.${name}`, name)}: `);

function showAudit(entries) {
  const rows = entries.map(({ time, who, what, item, outcome }) =>
    make("tr", {}, cell(moment(time)), cell(said(who)), cell(translated(`task.${what}`, said(what)), make("small", { class: "note" }, [item, figured(outcome)].filter(Boolean).join(": ")))),
  );
  const heads = [t("tasks.when"), t("audit.who"), t("audit.what")];
  $("audit").replaceChildren(rows.length ? table(heads, rows, false) : empty(t("audit.none")));
}

function showSettings(settings) {
  const row = ({ name, value, isSet, secret, unit, description }) =>
    make(
      "tr",
      {},
      make("th", { scope: "row" }, make("code", {}, name), make("small", { class: "note" }, translated(`setting.${name}`, description))),
      cell(secret && isSet ? t("settings.secret") : [value ?? "–", value && translated(`measure.${unit}`, unit)].filter(Boolean).join(" ")),
    );
  const heads = [t("settings.name"), t("settings.value")];
  const [set, others] = [settings.filter((it) => it.isSet), settings.filter((it) => !it.isSet)];
  renew(
    $("settings"),
    table(heads, set.map(row), false),
    make("details", {}, make("summary", {}, t("settings.others", { n: others.length })), table(heads, others.map(row), false)),
  );
}
