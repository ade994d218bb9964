// The box that says what a window would be, and why.

import { ask } from "./api.js";
import { $, empty, failed, make } from "./elements.js";
import { labels, loadLabels } from "./labels.js";

export async function classify(event) {
  event.preventDefault();
  const body = { app: $("try-app").value, url: $("try-url").value, title: $("try-title-text").value };
  if (!Object.values(body).some(Boolean)) {
    $("explained").replaceChildren(empty("Type an app or a URL first."));
    return;
  }
  try {
    const [found] = await Promise.all([ask("/api/classify", { body }), loadLabels()]);
    $("explained").replaceChildren(...verdict(found));
  } catch (error) {
    $("explained").replaceChildren(failed(error));
  }
}

const PLACES = { url: "in the URL", app: "in the app", title: "in the title" };
const tierOf = (found) => labels.tiers[found.tier] ?? { label: found.tier, meaning: "" };

function verdict(found) {
  const decided = make("p", {}, make("span", { class: "verdict" }, found.category), " ");
  decided.append(make("span", { class: "tag" }, tierOf(found).label));
  if (found.provisional) decided.append(" ", make("span", { class: "tag" }, labels.tiers.provisional?.label ?? ""));
  const reasons = [
    ...found.why.matched.map((step, index) => reason(step, index === 0 && found.pattern !== null)),
    ...found.why.missed.map((step) => reason(step, false, "does not match: ")),
  ];
  const notes = [behind(found), found.why.note].filter(Boolean).map((note) => make("li", {}, note));
  return [decided, make("ul", { class: "reasons" }, ...reasons, ...notes)];
}

function reason({ pattern, tier, category, reason: why }, wins, before = "") {
  const what = make(
    "span",
    {},
    make("code", {}, pattern),
    ` ${PLACES[tier]} → ${category}`,
  );
  return make("li", { class: wins ? "wins" : "" }, what, make("small", {}, before + why));
}

function behind(found) {
  if (found.llmWouldBeAsked) return "No tier knows it: the pipeline would ask the LLM now.";
  if (found.tier === "fallback") return "No rule matches, and nobody else knows it.";
  return found.pattern === null ? `No rule decides; ${tierOf(found).meaning}.` : "";
}
