// What a window would be, and why; and what people have corrected.

import { action, change, isOpen } from "./access.js";
import { ask } from "./api.js";
import { loadCategories } from "./boards.js";
import { $, empty, failed, make, replaceList } from "./elements.js";
import { moment, spent } from "./format.js";
import { labels, loadLabels } from "./labels.js";
import { page, setQuery } from "./router.js";
import { said } from "./said.js";
import { t } from "./texts.js";

const FIELDS = { app: "try-app", url: "try-url", title: "try-title-text" };

page("windows", {
  open: (given) => {
    for (const [name, id] of Object.entries(FIELDS)) if (given.has(name)) $(id).value = given.get(name);
    showCorrections();
    if (["app", "url"].some((name) => given.get(name))) classify();
  },
  refresh: showCorrections,
});

const typed = () => Object.fromEntries(Object.entries(FIELDS).map(([name, id]) => [name, $(id).value]));

async function classify() {
  const window = typed();
  if (!Object.values(window).some(Boolean)) {
    $("explained").replaceChildren(empty(t("try.empty")));
    return;
  }
  try {
    const [found] = await Promise.all([ask("/api/classify", { body: window }), loadLabels(), loadCategories()]);
    $("explained").replaceChildren(...verdict(found), ...(isOpen() ? [await correcting(window, found)] : []));
  } catch (error) {
    $("explained").replaceChildren(failed(error));
  }
}

const tierOf = (found) => labels.tiers[found.tier] ?? { label: found.tier, meaning: "" };

function verdict(found) {
  const decided = make("p", {}, make("span", { class: "verdict" }, found.category), " ");
  decided.append(make("span", { class: "tag" }, tierOf(found).label));
  if (found.provisional) decided.append(" ", make("span", { class: "tag" }, labels.tiers.provisional?.label ?? ""));
  const reasons = [
    ...found.why.matched.map((step, index) => reason(step, said(step.reason), index === 0 && found.pattern !== null)),
    ...found.why.missed.map((step) => reason(step, t("try.missed", { why: said(step.reason) }), false)),
  ];
  const notes = [behind(found), said(found.why.note ?? "")].filter(Boolean).map((note) => make("li", {}, note));
  return [decided, make("ul", { class: "reasons" }, ...reasons, ...notes)];
}

function reason({ pattern, tier, category }, why, wins) {
  const what = make("span", {}, make("code", {}, pattern), ` ${t(`try.in.${tier}`)} → ${category}`);
  return make("li", { class: wins ? "wins" : "" }, what, make("small", {}, why));
}

function behind(found) {
  if (found.llmWouldBeAsked) return t("try.ask");
  if (found.tier === "fallback") return t("try.nobody");
  return found.pattern === null ? t("try.no-rule", tierOf(found)) : "";
}

// Corrections

async function correcting(window, found) {
  const { categories } = await loadCategories();
  const options = categories.map(({ name }) => make("option", { value: name, selected: name === found.category }, name));
  const chosen = make("select", {}, ...options);
  const correct = (event) => {
    event.preventDefault();
    const body = { ...window, category: chosen.value, forAll: true };
    change("/api/corrections", correctedText, () => Promise.all([classify(), showCorrections()]), body);
  };
  return make(
    "form",
    { class: "row", onsubmit: correct },
    make("label", {}, `${t("try.correct")} `, chosen),
    make("button", { type: "submit", class: "quiet" }, t("try.correct.do")),
  );
}

const nameOf = ({ app, url, title }) => [app, url, title].filter(Boolean).join(" · ");
const correctedText = (correction) => t("corrections.done", { window: nameOf(correction), ...correction });

async function showCorrections() {
  try {
    const content = isOpen() ? (await ask("/api/corrections")).content : [];
    $("corrections-card").hidden = content.length === 0;
    replaceList("corrections", content.map(correctionItem), t("none"));
  } catch (error) {
    $("corrections").replaceChildren(failed(error));
  }
}

function correctionItem(correction) {
  const { id, userId, category, by, time, state, logs, seconds } = correction;
  const undo = () => change(`/api/corrections/${id}/undo`, t("corrections.undone"), showCorrections);
  const whose = userId || t("corrections.everybody");
  const moved = state === "applied" ? t("corrections.moved", { n: logs, time: spent(seconds) }) : t(`corrections.${state}`);
  const button = action(t("corrections.undo"), `${t("corrections.undo")}: ${nameOf(correction)}`, undo);
  button.disabled ||= state === "undoing";
  return make(
    "li",
    {},
    make(
      "div",
      { class: "what" },
      nameOf(correction),
      ` → ${category}`,
      make("small", {}, [whose, moved, by, moment(time)].join(" · ")),
    ),
    button,
  );
}

$("try").addEventListener("submit", (event) => {
  event.preventDefault();
  setQuery({ app: $("try-app").value, url: $("try-url").value });
  classify();
});
