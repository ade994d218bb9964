// What needs a hand: dead letters and proposed patterns, and the token that both want for changes.

import { TOKEN, ask } from "./api.js";
import { $, empty, failed, make, say, tell } from "./elements.js";
import { sumOfStreams } from "./figures.js";
import { moment, number, percent, plural } from "./format.js";

let access = "off";

const LOCKED = {
  off: "Changes are switched off: ADMIN_TOKEN is not set.",
  locked: "Unlock to do so.",
  open: "",
};

/** Asks whether the token, where there is one, is still right, and shows what follows from it. */
export async function refreshAccess() {
  try {
    access = (await ask("/api/access")).changes;
  } catch (error) {
    if (error.status !== 401) return;
    sessionStorage.removeItem(TOKEN);
    access = "locked";
  }
  $("unlock").hidden = access === "off";
  say("unlock", access === "open" ? "Lock" : "Unlock");
  for (const note of document.querySelectorAll(".locked-note")) note.textContent = LOCKED[access];
  await Promise.all([showLetters(), showProposals()]);
}

export function toggleLock() {
  if (access !== "open") {
    say("token-error", "");
    $("token-dialog").showModal();
    return;
  }
  sessionStorage.removeItem(TOKEN);
  refreshAccess();
}

export async function unlock(event) {
  event.preventDefault();
  try {
    await ask("/api/access", { token: $("token").value });
  } catch (error) {
    say("token-error", error.status === 401 ? "This is not the token." : error.message);
    return;
  }
  sessionStorage.setItem(TOKEN, $("token").value);
  $("token").value = "";
  $("token-dialog").close();
  await refreshAccess();
}

/** Changes something by POST, says so, and shows `list` anew. */
async function change(path, done, list) {
  try {
    await ask(path, { body: {} });
    tell(done);
  } catch (error) {
    tell(`It did not work: ${error.message}`);
    if (error.status === 401) refreshAccess();
  }
  await list();
}

const action = (text, label, run) =>
  make(
    "button",
    { type: "button", class: "quiet", "aria-label": label, disabled: access !== "open", onclick: run },
    text,
  );

/** A list in place of the old one; a focus on it stays on the item's neighbour. */
function replaceList(id, items, ifNone) {
  const buttons = [...$(id).querySelectorAll("button")];
  const focused = buttons.indexOf(document.activeElement);
  $(id).replaceChildren(items.length ? make("ul", { class: "items" }, ...items) : empty(ifNone));
  if (focused >= 0) [...$(id).querySelectorAll("button")].at(Math.min(focused, items.length - 1))?.focus();
}

// Dead letters

let shownLetters = "";

async function showLetters() {
  try {
    const { content } = await ask("/api/dead-letters?limit=10");
    const seen = JSON.stringify([access, content]);
    if (seen !== shownLetters)
      replaceList("letters", content.map(letterItem), "None: every message could be processed.");
    shownLetters = seen;
  } catch (error) {
    shownLetters = "";
    $("letters").replaceChildren(failed(error));
  }
}

function letterItem(letter) {
  const about = [
    letter.userId || "no user",
    moment.format(letter.time * 1000),
    plural(letter.deliveries, "try", "tries"),
  ];
  const replay = () => change(`/api/dead-letters/${letter.id}/replay`, "It is back on the stream.", showLetters);
  const button = action("Replay", `Replay the message of ${letter.userId || "no user"}, ${letter.id}`, replay);
  button.disabled ||= letter.truncated;
  return make(
    "li",
    {},
    make("div", { class: "what" }, letter.reason, make("small", {}, about.join(" · "))),
    make("span", { class: "tag warn" }, letter.kind.replaceAll("_", " ")),
    button,
    letter.fields ? letterFields(letter) : null,
  );
}

function letterFields(letter) {
  const rows = Object.entries(letter.fields).map(([name, value]) =>
    make("tr", {}, make("th", { scope: "row" }, name), make("td", {}, value)),
  );
  const note = letter.truncated ? " (cut because of their size: it cannot be put back)" : "";
  return make("details", {}, make("summary", {}, `Fields${note}`), make("table", {}, make("tbody", {}, ...rows)));
}

let letterCount = null;

/** The list is asked for anew when its length has changed. */
export function followLetters(state) {
  const count = sumOfStreams(state, "dead_letters");
  say("letter-count", count ? number(count) : "");
  if (letterCount !== null && letterCount !== count) showLetters();
  letterCount = count;
}

// Proposals

async function showProposals() {
  try {
    const { content } = await ask("/api/proposals");
    const waiting = content.filter(({ status }) => status === "proposed").slice(0, 20);
    const none = "None. python -m cmd.patterns propose looks for some.";
    replaceList("proposals", waiting.map(proposalItem), none);
  } catch (error) {
    $("proposals").replaceChildren(failed(error));
  }
}

function proposalItem({ id, kind, pattern, category, answers, share }) {
  const decide = (verb, done) => () =>
    change(`/api/proposals/${encodeURIComponent(id)}/${verb}`, `${pattern}: ${done}.`, showProposals);
  return make(
    "li",
    {},
    make(
      "div",
      { class: "what" },
      make("code", {}, pattern),
      ` → ${category}`,
      make("small", {}, `${kind}, ${plural(answers, "answer")} of the LLM, ${percent(share)} of them agree`),
    ),
    make(
      "span",
      { class: "buttons" },
      action("Accept", `Accept ${pattern} for ${category}`, decide("accept", "a pattern from now on")),
      action("Reject", `Reject ${pattern}`, decide("reject", "not proposed again")),
    ),
  );
}
