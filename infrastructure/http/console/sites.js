// What sites that no rule knows say of themselves, and what was concluded from it.

import { action, change, isOpen } from "./access.js";
import { ask } from "./api.js";
import { $, failed, make, replaceList } from "./elements.js";
import { moment, percent } from "./format.js";
import { has, t } from "./texts.js";

let shown = "";

/** The card is there only where a site has been looked at. */
export async function showSites() {
  try {
    const { content, hasMore } = await ask("/api/sites?limit=20");
    $("sites-card").hidden = content.length === 0;
    const seen = JSON.stringify([isOpen(), content]);
    if (seen === shown) return;
    shown = seen;
    replaceList("sites", content.map(siteItem), t("none"));
    if (hasMore) $("sites").append(make("p", { class: "empty" }, t("sites.more")));
  } catch (error) {
    shown = "";
    if (error.status !== 404) $("sites").replaceChildren(failed(error)); // 404: SITE_PROFILES is off
  }
}

function siteItem(profile) {
  const { site, state, category, confidence, outcome, visitedAt, evidence } = profile;
  const forget = () =>
    change(`/api/sites/${encodeURIComponent(site)}/forget`, t("sites.forgotten", { site }), showSites);
  const about = [
    category ? t("sites.sure", { share: percent(confidence) }) : state,
    outcome === "page" ? null : outcome?.replaceAll("_", " "),
    moment(visitedAt),
  ];
  const known = evidence.length > 0 || category;
  return make(
    "li",
    {},
    make(
      "div",
      { class: "what" },
      make("code", {}, site),
      category ? ` → ${category}` : "",
      make("small", {}, about.filter(Boolean).join(" · ")),
    ),
    known ? action(t("sites.forget"), t("sites.forget.label", { site }), forget) : null,
    evidence.length ? siteEvidence(profile) : null,
  );
}

function siteEvidence({ title, evidence }) {
  const rows = evidence.map(({ kind, found, category, weight }) =>
    make(
      "tr",
      {},
      make("th", { scope: "row" }, category),
      make("td", {}, `${has(`evidence.${kind}`) ? t(`evidence.${kind}`) : kind} (${percent(weight)}): ${found}`),
    ),
  );
  const summary = make("summary", {}, title ? t("sites.evidence-of", { title }) : t("sites.evidence"));
  return make("details", {}, summary, make("table", {}, make("tbody", {}, ...rows)));
}
