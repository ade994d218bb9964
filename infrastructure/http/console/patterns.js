// Patterns: what is proposed, what sites say of themselves, and all rules in use.

import { action, change, isOpen } from "./access.js";
import { ask } from "./api.js";
import { $, empty, failed, make, replaceList } from "./elements.js";
import { number, percent, spent } from "./format.js";
import { page, setQuery } from "./router.js";
import { showSites } from "./sites.js";
import { t } from "./texts.js";

const MOST_PROPOSALS = 20;

page("patterns", {
  open: (given) => {
    $("pattern-search").value = given.get("q") ?? "";
    return Promise.all([showProposals(), showSites(), showPatterns()]);
  },
  refresh: () => Promise.all([showProposals(), showSites()]),
});

let shownProposals = "";

async function showProposals() {
  try {
    const { content } = await ask("/api/proposals");
    const waiting = content.filter(({ status }) => status === "proposed").slice(0, MOST_PROPOSALS);
    const seen = JSON.stringify([isOpen(), waiting]);
    if (seen !== shownProposals) replaceList("proposals", waiting.map(proposalItem), t("proposals.none"));
    shownProposals = seen;
  } catch (error) {
    shownProposals = "";
    $("proposals").replaceChildren(failed(error));
  }
}

/** Why a pattern is proposed: the LLM's answers, what the site's own page says, or both; and what it would decide. */
function evidenceOf({ kind, answers, windows, share, site }) {
  const answered = answers ? [t("proposals.answers", { n: answers, share: percent(share) })] : [];
  const said = site ? [t("proposals.site", { share: percent(site) })] : [];
  const moved = windows ? [t("proposals.moves", { n: windows })] : [];
  return [t(`kind.${kind}`), ...answered, ...said, ...moved].join(" · ");
}

function proposalItem(proposal) {
  const { id, pattern, category } = proposal;
  const decide = (verb, done) => () =>
    change(`/api/proposals/${encodeURIComponent(id)}/${verb}`, t(`proposals.${done}`, { pattern }), () =>
      Promise.all([showProposals(), showPatterns()]),
    );
  return make(
    "li",
    {},
    make("div", { class: "what" }, make("code", {}, pattern), ` → ${category}`, make("small", {}, evidenceOf(proposal))),
    make(
      "span",
      { class: "buttons" },
      action(t("proposals.preview"), t("proposals.preview.label", { pattern }), (event) => showPreview(proposal, event)),
      action(t("proposals.accept"), t("proposals.accept.label", { pattern, category }), decide("accept", "accepted")),
      action(t("proposals.reject"), t("proposals.reject.label", { pattern }), decide("reject", "rejected")),
    ),
  );
}

/** What accepting it would move, of the logs of the last week. */
async function showPreview({ id, category }, { target }) {
  const item = target.closest("li");
  let told;
  try {
    const { days, logs, complete, moved } = await ask(`/api/proposals/${encodeURIComponent(id)}/preview`);
    const lines = moved.map((it) => make("li", {}, t("proposals.moved", { ...it, to: category, users: t("users", { n: it.users }), n: it.logs, time: spent(it.seconds) })));
    const about = t(complete ? "proposals.looked-at" : "proposals.looked-at-some", { n: logs, days });
    told = make("div", { class: "preview" }, make("small", {}, about), ...(lines.length ? lines : [t("proposals.moves-none")]));
  } catch (error) {
    told = make("div", { class: "preview" }, failed(error));
  }
  item.querySelector(".preview")?.remove();
  item.append(told);
}

// All patterns

const KINDS = { appPatterns: "patterns.apps", domainPatterns: "patterns.domains", titlePatterns: "patterns.titles" };
let all = [];

async function showPatterns() {
  try {
    all = (await ask("/api/patterns")).content;
    drawPatterns();
  } catch (error) {
    $("patterns").replaceChildren(failed(error));
  }
}

function drawPatterns() {
  const wanted = $("pattern-search").value.trim().toLowerCase();
  const found = all
    .map((it) => ({ ...it, ...Object.fromEntries(Object.keys(KINDS).map((kind) => [kind, having(it[kind], wanted)])) }))
    .filter((it) => Object.keys(KINDS).some((kind) => it[kind].length));
  const count = found.reduce((total, it) => total + countOf(it), 0);
  const parts = found.map((it) => categoryPatterns(it, wanted !== ""));
  $("patterns").replaceChildren(
    make("p", { class: "note" }, t("patterns.found", { n: count })),
    ...(parts.length ? parts : [empty(t("patterns.none"))]),
  );
}

const having = (patterns, wanted) => patterns.filter((pattern) => pattern.toLowerCase().includes(wanted));
const countOf = (it) => Object.keys(KINDS).reduce((total, kind) => total + it[kind].length, 0);

function categoryPatterns(it, open) {
  const priority = it.priority === null ? "" : ` · ${t("patterns.priority", { n: it.priority })}`;
  const lists = Object.entries(KINDS)
    .filter(([kind]) => it[kind].length)
    .map(([kind, name]) => make("p", {}, make("span", { class: "note" }, `${t(name)}: `), it[kind].join(", ")));
  const summary = make("summary", {}, it.category, make("span", { class: "note" }, ` ${number(countOf(it))}${priority}`));
  return make("details", { class: "plain", open }, summary, ...lists);
}

$("pattern-form").addEventListener("submit", (event) => event.preventDefault());
$("pattern-search").addEventListener("input", () => {
  setQuery({ q: $("pattern-search").value.trim() });
  drawPatterns();
});
