// The boards: category and period, page by page, or around one user; and the windows behind a score.

import { change, isOpen } from "./access.js";
import { ask } from "./api.js";
import { $, empty, failed, make, renew, say, table } from "./elements.js";
import { clock, number, spent } from "./format.js";
import { labels } from "./labels.js";
import { page, setQuery } from "./router.js";
import { t } from "./texts.js";

const BOARD_SIZE = 10;
const ROSE_SECONDS = 20;
const boardAt = { page: 0, asked: 0 };
const chosenPeriod = () => document.querySelector("input[name=period]:checked").value;
let known;

/** {overall, today, categories}, asked for once a day. */
export async function loadCategories() {
  if (!known || Date.now() - known.asked > 60_000) known = { ...(await ask("/api/categories")), asked: Date.now() };
  return known;
}

page("boards", { open: (given) => openBoards(given), refresh: () => showBoard() });

async function openBoards(given) {
  try {
    const { overall, today, categories } = await loadCategories();
    if ($("board-category").options.length === 0)
      $("board-category").replaceChildren(
        make("option", { value: overall }, t("boards.work")),
        ...categories.map(({ name }) => make("option", { value: name }, name)),
      );
    const names = [...$("board-category").options].map((option) => option.value);
    $("board-category").value = names.includes(given.get("category")) ? given.get("category") : overall;
    const wanted = CSS.escape(given.get("period") ?? "week");
    (document.querySelector(`input[name=period][value="${wanted}"]`) ?? { checked: true }).checked = true;
    $("board-date").value = given.get("date") ?? today;
    if (!$("board-date").value) $("board-date").value = today;
    $("board-user").value = given.get("user") ?? "";
    boardAt.page = Math.max(0, Number.parseInt(given.get("page") ?? "1", 10) - 1 || 0);
    $("drill").hidden = true;
    await showBoard();
    if (given.has("drill")) await drill(place(), given.get("drill"));
  } catch (error) {
    $("board").replaceChildren(failed(error));
  }
}

const place = () => ({
  category: $("board-category").value,
  period: chosenPeriod(),
  date: $("board-date").value,
  user: $("board-user").value.trim(),
});

async function showBoard() {
  const { category, period, date, user } = place();
  if (!date) return;
  const asked = ++boardAt.asked;
  const asks = user ? { period, date, distance: 5 } : { period, date, page: boardAt.page, size: BOARD_SIZE };
  const whose = user ? `/users/${encodeURIComponent(user)}` : "";
  try {
    const board = await ask(`/api/boards/${encodeURIComponent(category)}${whose}?${new URLSearchParams(asks)}`);
    if (asked === boardAt.asked) drawBoard(board); // else another answer is waited for
  } catch (error) {
    if (asked === boardAt.asked) $("board").replaceChildren(failed(error));
  }
}

function drawBoard(board) {
  const { user, total } = board;
  const own = user?.rank
    ? t("boards.place", { user: user.userId, rank: user.rank, total })
    : t("boards.no-place", { user: user?.userId });
  const parts = user ? [make("p", { class: "caption" }, own)] : [];
  if (board.content.length) parts.push(boardTable(board, true));
  else if (!user) parts.push(empty(t("boards.nobody", { period: periodName(board) })));
  renew($("board"), ...parts);
  const last = user ? 0 : Math.max(0, Math.ceil(total / board.size) - 1);
  $("board-pages").hidden = last === 0;
  $("page-before").disabled = boardAt.page === 0;
  $("page-after").disabled = boardAt.page >= last;
  say("page-shown", t("page.shown", { page: boardAt.page + 1, last: last + 1 }));
  say("board-updated", t("updated", { time: clock(Date.now() / 1000) }));
}

// Who rose since the board was last looked at, for some seconds

const seen = new Map();

function risen(board, row) {
  const key = [board.category, board.period, board.date, row.userId].join("\n");
  const before = seen.get(key);
  const grown = before && row.score > before.score;
  const rose = grown ? { by: before.rank - row.rank, more: row.score - before.score, at: Date.now() } : before?.rose;
  seen.set(key, { rank: row.rank, score: row.score, rose });
  return rose && Date.now() - rose.at < ROSE_SECONDS * 1000 ? rose : null;
}

function riseMark(rose) {
  if (!rose) return null;
  const up = rose.by > 0 ? `▲ ${number(rose.by)} ` : "";
  return make("span", { class: "tag good", title: rose.by > 0 ? t("boards.rose", { n: rose.by }) : null }, up + `+${spent(rose.more)}`);
}

/** Rows in which `drills` says whether a user's name opens the windows behind the score. */
export function boardTable(board, drills = false) {
  const highest = Math.max(...board.content.map((row) => row.score), 1);
  const rows = board.content.map((row) => {
    const bar = make("i");
    bar.style.width = `${Math.max(0, (100 * row.score) / highest)}%`;
    const label = t("boards.drill", { user: row.userId });
    const name = drills
      ? make("button", { type: "button", class: "link", "aria-label": label, onclick: () => openDrill(board, row.userId) }, row.userId)
      : row.userId;
    return make(
      "tr",
      { class: row.userId === board.user?.userId ? "own" : "" },
      make("td", { class: "rank" }, number(row.rank)),
      make("td", {}, name, " ", riseMark(risen(board, row))),
      make("td", { class: "meter", "aria-hidden": "true" }, bar),
      make("td", { class: "number" }, spent(row.score)),
    );
  });
  const head = (name, classes = "") => make("th", { scope: "col", class: classes }, name);
  const heads = [head(t("boards.rank")), head(t("user")), make("td", { class: "meter" }), head(t("time"), "number")];
  const about = `${board.category}, ${periodName(board)}: ${t("users", { n: board.total })}`;
  return make(
    "table",
    { class: "board" },
    make("caption", { class: "note" }, about),
    make("thead", {}, make("tr", {}, ...heads)),
    make("tbody", {}, ...rows),
  );
}

// What made these hours

function openDrill(board, userId) {
  setQuery({ ...place(), page: boardAt.page ? boardAt.page + 1 : "", drill: userId });
  drill(board, userId);
}

async function drill({ category, period, date }, userId) {
  $("drill").hidden = false;
  say("drill-title", t("boards.drill", { user: userId }));
  const again = () => drill({ category, period, date }, userId);
  try {
    const path = `/api/boards/${encodeURIComponent(category)}/users/${encodeURIComponent(userId)}/windows`;
    const [{ content, score }] = await Promise.all([ask(`${path}?${new URLSearchParams({ period, date })}`), loadCategories()]);
    say("drill-title", t("drill.title", { user: userId, time: spent(score) }));
    const rows = content.map((window) => drillRow(window, again));
    const heads = [t("app"), t("title"), t("category"), t("time")];
    $("drill-windows").replaceChildren(rows.length ? table(heads, rows, false) : empty(t("drill.none")));
  } catch (error) {
    $("drill-windows").replaceChildren([401, 403].includes(error.status) ? empty(t("users.refused")) : failed(error));
  }
  $("drill").scrollIntoView({ block: "nearest" });
}

function drillRow(window, again) {
  const { app, host, title, category, seconds, tier } = window;
  const name = title || host || app;
  const shown = isOpen() && app ? correcting(window, name, again) : category;
  return make(
    "tr",
    {},
    make("td", {}, app, host ? make("small", {}, host) : null),
    make("td", {}, title ?? ""),
    make("td", {}, shown, make("small", {}, labels.tiers[tier]?.label ?? tier ?? "")),
    make("td", { class: "number" }, spent(seconds)),
  );
}

/** By a button: where a list is closed, each press of an arrow chooses another category. */
function correcting({ logId, category }, name, again) {
  const options = known.categories.map((it) => make("option", { value: it.name, selected: it.name === category }, it.name));
  const correct = () => {
    const body = { logId, category: chosen.value };
    change("/api/corrections", t("corrections.done", { window: name, category: body.category }), again, body).then(showBoard);
  };
  const label = t("drill.correct", { window: name });
  const button = make("button", { type: "button", class: "quiet", hidden: true, "aria-label": `${t("try.correct.do")}: ${label}`, onclick: correct }, t("try.correct.do"));
  const chosen = make("select", { "aria-label": label, onchange: () => (button.hidden = chosen.value === category) }, ...options);
  return make("span", { class: "row" }, chosen, button);
}

// Periods

function periodName({ period, date }) {
  if (period === "day") return date;
  if (period === "month") return date.slice(0, 7);
  return t("boards.week", { first: shifted(date, -weekday(date)), last: shifted(date, 6 - weekday(date)) });
}

const atMidnight = (date) => new Date(`${date}T00:00:00Z`);
const weekday = (date) => (atMidnight(date).getUTCDay() + 6) % 7; // Monday is 0

function shifted(date, days) {
  const moved = atMidnight(date);
  moved.setUTCDate(moved.getUTCDate() + days);
  return moved.toISOString().slice(0, 10);
}

/** One day, week or month earlier (-1) or later (1). */
function step(direction) {
  const date = $("board-date").value;
  if (!date) return;
  const ofMonth = () => {
    const first = atMidnight(`${date.slice(0, 7)}-01`);
    first.setUTCMonth(first.getUTCMonth() + direction);
    return first.toISOString().slice(0, 10);
  };
  const days = chosenPeriod() === "week" ? 7 : 1;
  $("board-date").value = chosenPeriod() === "month" ? ofMonth() : shifted(date, direction * days);
  turnTo(0);
}

function turnTo(page) {
  boardAt.page = page;
  $("drill").hidden = true;
  setQuery({ ...place(), page: page ? page + 1 : "" });
  showBoard();
}

$("board-form").addEventListener("submit", (event) => event.preventDefault());
$("board-form").addEventListener("input", () => turnTo(0));
$("earlier").addEventListener("click", () => step(-1));
$("later").addEventListener("click", () => step(1));
$("page-before").addEventListener("click", () => turnTo(boardAt.page - 1));
$("page-after").addEventListener("click", () => turnTo(boardAt.page + 1));
