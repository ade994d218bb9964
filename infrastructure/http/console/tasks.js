// Running a task by hand: what it is given, and what became of it.

import { ask } from "./api.js";
import { $, make, say } from "./elements.js";
import { spent } from "./format.js";
import { said } from "./said.js";
import { number, t, translated } from "./texts.js";

/** The task in the dialog, the id of its run that goes on, and what to call once something is known of it. */
const open = { task: null, id: null, changed: null };

export function openTask(task, changed) {
  Object.assign(open, { task, changed, id: null });
  say("task-title", t("tasks.run.title", { task: task.name }));
  say("task-caption", translated(`task.${task.name}`, task.help));
  say("task-error", "");
  $("task-outcome").replaceChildren();
  $("task-fields").replaceChildren(...task.params.filter(({ name }) => name !== "dry_run").map(field));
  $("task-dry").hidden = !task.params.some(({ name }) => name === "dry_run");
  busy(false);
  $("task-dialog").showModal();
}

function field({ name, description, kind, required, choices }) {
  const input =
    kind === "choice"
      ? make("select", { name }, ...["", ...choices].map((value) => make("option", { value }, value && translated(`period.${value}`, value))))
      : make("input", { name, required, autocomplete: "off", type: { date: "date", boolean: "checkbox" }[kind] ?? "text" });
  const note = make("small", { class: "note" }, translated(`param.${open.task.name}.${name}`, description));
  return make("label", { class: kind === "boolean" ? "check" : null }, make("span", {}, name), input, note);
}

/** What was filled in; what was not is left out. */
function given() {
  const values = open.task.params.map(({ name, kind }) => {
    const input = $("task-form").elements.namedItem(name);
    if (!input) return [name, ""];
    if (kind === "boolean") return [name, input.checked || ""];
    const text = input.value.trim();
    return [name, kind === "list" ? text.split(/[\s,]+/).filter(Boolean) : text];
  });
  return Object.fromEntries(values.filter(([, value]) => value.length !== 0));
}

async function run(event) {
  event.preventDefault();
  const { task } = open;
  const isDry = event.submitter === $("task-dry");
  say("task-error", "");
  busy(true);
  try {
    const params = { ...given(), ...(isDry && { dry_run: true }) };
    const told = await ask("/api/tasks", { body: { task: task.name, params } });
    if (task === open.task) showOutcome(told);
  } catch (error) {
    say("task-error", said(error.message));
    busy(false);
  }
  open.changed();
}

function busy(is) {
  for (const id of ["task-run", "task-dry"]) $(id).disabled = is;
  if (is) $("task-outcome").replaceChildren(t("status.started"), " …");
}

function showOutcome({ id, status, data }) {
  const ended = status === "completed" || status === "failed";
  const classes = { completed: "good", failed: "bad" }[status] ?? "warn";
  open.id = ended ? null : id;
  busy(false);
  $("task-run").disabled = $("task-dry").disabled = !ended;
  const later = ended ? null : make("p", { class: "note" }, t("tasks.goes-on"));
  $("task-outcome").replaceChildren(...[make("span", { class: `tag ${classes}` }, t(`status.${status}`)), taskOutcome(data), later].filter(Boolean));
}

/** Shows the end of the run in the dialog, once it is among the `runs`. */
export function followTask(runs) {
  const ended = open.id && runs.find((it) => it.id === open.id && it.ended);
  if (ended) showOutcome(ended);
}

/** What a task did, or why it could not: the reason also as the server words it. */
export function taskOutcome({ why, reason = why, moved, visited_at, ...data } = {}) {
  const moves = Array.isArray(moved) ? moved : [];
  const words = Object.entries(moves === moved ? data : { moved, ...data })
    .map(([name, value]) => [name, plain(value)])
    .filter(([, value]) => value)
    .map(([name, value]) => `${translated(`figure.${name}`, name.replaceAll("_", " "))}: ${value}`);
  const lines = moves.map(({ from, to, seconds }) => make("li", {}, `${from || "–"} → ${to || "–"}: ${spent(seconds)}`));
  const reasons = reason == null ? [] : [said(reason), ...(said(reason) === reason ? [] : [make("small", { class: "note", lang: "en" }, reason)])];
  return make("div", { class: "outcome" }, ...reasons, words.join(" · "), lines.length ? make("ul", {}, ...lines) : null);
}

function plain(value) {
  if (typeof value === "boolean") return t(value ? "yes" : "no");
  if (typeof value === "number") return number(value);
  return typeof value === "string" ? value : Array.isArray(value) && value.every((it) => typeof it === "string") ? value.join(", ") : "";
}

$("task-form").addEventListener("submit", run);
$("task-cancel").addEventListener("click", () => $("task-dialog").close());
