// Dead letters: by kind, searched, page by page; put back, changed, or dropped, with what became of them.

import { action, change, isOpen } from "./access.js";
import { ask } from "./api.js";
import { $, empty, failed, make, replaceList, say, tell } from "./elements.js";
import { deadLetters } from "./figures.js";
import { moment, number } from "./format.js";
import { isShown, page, setQuery } from "./router.js";
import { said } from "./said.js";
import { t, translated } from "./texts.js";

const PAGE_SIZE = 20;
/** So much of a reason may be searched for. */
const REASON_LENGTH = 300;
const list = { stream: "", group: {}, text: "", letters: [], next: null, groups: [], shown: "", asked: 0 };

page("dead-letters", {
  open: (given) => {
    const named = ["kind", "reason"].map((name) => [name, given.get(name)]);
    list.group = Object.fromEntries(named.filter(([, value]) => value));
    list.text = given.get("q") ?? "";
    list.stream = given.get("stream") ?? "";
    $("letter-search").value = list.text;
    list.shown = "";
    return showLetters();
  },
  refresh: () => list.letters.length <= PAGE_SIZE && showLetters(), // who has paged on is not thrown back
});

const chosen = () => ({ ...list.group, ...(list.stream && { stream: list.stream }), ...(list.text && { q: list.text }) });
const isChosen = () => Object.keys(chosen()).length > 0;

async function showLetters(before = null) {
  const asked = ++list.asked;
  const query = new URLSearchParams({ ...chosen(), limit: PAGE_SIZE, ...(before && { before }) });
  try {
    const [found, summary] = await Promise.all([ask(`/api/dead-letters?${query}`), ask("/api/dead-letters/summary")]);
    if (asked !== list.asked) return;
    list.letters = before ? [...list.letters, ...found.content] : found.content;
    list.next = found.next;
    list.groups = summary.groups;
    showStreams(summary.groups);
    const ofStream = summary.groups.map((it) => (list.stream ? { ...it, count: it.streams[list.stream] ?? 0 } : it));
    showGroups(ofStream.filter(({ count }) => count));
    const seen = JSON.stringify([isOpen(), list.letters]);
    const none = t(isChosen() ? "letters.none-found" : "letters.none");
    if (seen !== list.shown) replaceList("letters", list.letters.map(letterItem), none);
    list.shown = seen;
    $("letters-more").hidden = list.next === null;
  } catch (error) {
    list.shown = "";
    $("letters").replaceChildren(failed(error));
  }
}

function showStreams(groups) {
  const streams = [...new Set([...groups.flatMap((it) => Object.keys(it.streams)), list.stream])].filter(Boolean).sort();
  const options = ["", ...streams].map((value) => make("option", { value }, value || t("letters.all")));
  $("letter-stream").replaceChildren(...options);
  $("letter-stream").value = list.stream;
  $("letter-stream").closest("label").hidden = streams.length < 2 && !list.stream;
}

function showGroups(groups) {
  const all = { label: t("letters.all"), count: groups.reduce((sum, { count }) => sum + count, 0), group: {} };
  const found = groups.map(({ kind, reason, count }) => ({ label: `${kindName(kind)}: ${said(reason)}`, count, title: reason, group: { kind, reason: reason.slice(0, REASON_LENGTH) } }));
  const buttons = [all, ...found].map(({ label, title, count, group }) => {
    const pressed = String(group.kind === list.group.kind && group.reason === list.group.reason);
    const attributes = { type: "button", class: "quiet", title, "aria-pressed": pressed, onclick: () => choose({ group }) };
    return make("button", attributes, `${label} `, make("b", {}, number(count)));
  });
  const focused = [...$("letter-groups").children].indexOf(document.activeElement);
  $("letter-groups").replaceChildren(...(groups.length ? buttons : []));
  if (focused >= 0) $("letter-groups").children[Math.min(focused, buttons.length - 1)]?.focus();
  const none = !isOpen() || !list.letters.length || !isChosen();
  for (const id of ["letters-replay", "letters-drop"]) $(id).disabled = none;
}

const kindName = (kind) => translated(`died.${kind}`, kind);

function choose(what) {
  Object.assign(list, what);
  setQuery(chosen());
  showLetters();
}

function letterItem(letter) {
  const whose = { user: letter.userId || t("letters.no-user"), id: letter.id };
  const about = [whose.user, moment(letter.time), t("tries", { n: letter.deliveries })];
  const button = (verb, run) => action(t(`letters.${verb}`), t(`letters.${verb}.label`, whose), run);
  const replay = button("replay", () => change(`/api/dead-letters/${letter.id}/replay`, outcomeText, showLetters));
  const edit = button("edit", () => openEditor(letter));
  const drop = button("drop", () => change("/api/dead-letters/drop", t("letters.dropped"), showLetters, { ids: [letter.id] }));
  replay.disabled ||= letter.truncated;
  edit.disabled ||= letter.truncated || !letter.fields;
  return make(
    "li",
    {},
    make("div", { class: "what", title: letter.reason }, said(letter.reason), make("small", {}, about.join(" · "))),
    make("span", { class: "tag warn" }, kindName(letter.kind)),
    make("span", { class: "buttons" }, replay, edit, drop),
    letter.fields ? letterFields(letter) : null,
    letter.history?.length ? letterHistory(letter.history) : null,
  );
}

const outcomeText = ({ outcome, why }) => t(`letters.${outcome}`, { why: said(why ?? "") });

function letterHistory(history) {
  const rows = history.map(({ parked, kind, reason, replayed }) =>
    make("li", {}, `${moment(parked)}: ${kindName(kind)}, ${said(reason)} → ${t("letters.replayed", { time: moment(replayed) })}`),
  );
  return make("details", {}, make("summary", {}, t("letters.history", { n: history.length })), make("ol", {}, ...rows));
}

function letterFields(letter) {
  const rows = Object.entries(letter.fields).map(([name, value]) =>
    make("tr", {}, make("th", { scope: "row" }, name), make("td", {}, value)),
  );
  const summary = t(letter.truncated ? "letters.fields-cut" : "letters.fields");
  return make("details", {}, make("summary", {}, summary), make("table", {}, make("tbody", {}, ...rows)));
}

// All of a kind

/** How many are chosen: what is listed, or what the groups say; "20+" where only a search could tell. */
function chosenCount() {
  if (list.next === null) return list.letters.length;
  if (list.text) return `${number(list.letters.length)}+`;
  const { kind, reason = "" } = list.group;
  const meant = list.groups.filter((it) => (!kind || it.kind === kind) && it.reason.toLowerCase().includes(reason.toLowerCase()));
  return meant.reduce((sum, it) => sum + (list.stream ? (it.streams[list.stream] ?? 0) : it.count), 0);
}

/** Changes all that are chosen, some hundred a request; what comes back meanwhile is not changed again. */
async function changeAll(verb) {
  const { kind, reason } = list.group;
  const what = [list.stream, kind && kindName(kind), reason && said(reason), list.text].filter(Boolean).join(", ");
  if (!confirm(t(`letters.sure-${verb}`, { n: chosenCount(), what }))) return;
  const told = { committed: 0, died: 0, waiting: 0, dropped: 0 };
  let until = {};
  let more = true;
  const done = (answer) => {
    ({ more } = answer);
    until = { until: answer.until };
    told.dropped += answer.dropped ?? 0;
    for (const [name, count] of Object.entries(answer.counts ?? {})) told[name] = (told[name] ?? 0) + count;
    return t(verb === "drop" ? "letters.deleted" : "letters.done", { n: told.dropped, ...told });
  };
  while (more) more = (await change(`/api/dead-letters/${verb}`, done, null, { ...chosen(), ...until })) && more;
  await showLetters();
}

// Edit and replay

let edited = null;

function openEditor(letter) {
  edited = letter;
  say("edit-error", "");
  const fields = Object.entries(letter.fields).map(([name, value]) =>
    make("label", {}, name, make("input", { name, value, autocomplete: "off" })),
  );
  $("edit-fields").replaceChildren(...fields);
  $("edit-dialog").showModal();
}

async function replayEdited(event) {
  event.preventDefault();
  const fields = Object.fromEntries(new FormData($("edit-form")));
  try {
    const answer = await ask(`/api/dead-letters/${edited.id}/replay`, { body: { fields } });
    $("edit-dialog").close();
    tell(outcomeText(answer));
    await showLetters();
  } catch (error) {
    say("edit-error", said(error.message));
  }
}

let count = null;

/** The number beside the page's name; the list is asked for anew when it has changed. */
export function followLetters(state) {
  const now = deadLetters(state);
  say("letter-count", now ? number(now) : "");
  if (count !== null && count !== now && isShown("dead-letters")) showLetters();
  count = now;
}

$("letter-form").addEventListener("submit", (event) => event.preventDefault());
$("letter-search").addEventListener("input", () => choose({ text: $("letter-search").value.trim() }));
$("letter-stream").addEventListener("change", () => choose({ stream: $("letter-stream").value, group: {} }));
$("letters-replay").addEventListener("click", () => changeAll("replay"));
$("letters-drop").addEventListener("click", () => changeAll("drop"));
$("letters-more").addEventListener("click", () => showLetters(list.next));
$("edit-form").addEventListener("submit", replayEdited);
$("edit-cancel").addEventListener("click", () => $("edit-dialog").close());
