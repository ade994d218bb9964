// The boards: category and period, page by page, or around one user.

import { ask } from "./api.js";
import { $, empty, failed, make, say } from "./elements.js";
import { number, plural, spent } from "./format.js";

const BOARD_SIZE = 10;
const boardAt = { page: 0, asked: 0 };
const chosenPeriod = () => document.querySelector("input[name=period]:checked").value;

/** Fills the form, the first time, and shows the board that is chosen. */
export async function startBoards() {
  if ($("board-category").options.length === 0) await fillBoardForm();
  await showBoard();
}

/** With what the address asks for: ?category=…&period=…&date=… */
async function fillBoardForm() {
  const given = new URLSearchParams(location.search);
  const { overall, today, categories } = await ask("/api/categories");
  $("board-category").replaceChildren(
    make("option", { value: overall }, "work (all of it)"),
    ...categories.map(({ name }) => make("option", { value: name }, name)),
  );
  const wanted = given.get("category");
  if ([...$("board-category").options].some((option) => option.value === wanted))
    $("board-category").value = wanted;
  const period = document.querySelector(`input[name=period][value="${CSS.escape(given.get("period") ?? "week")}"]`);
  if (period) period.checked = true;
  $("board-date").value = given.get("date") ?? today;
  if (!$("board-date").value) $("board-date").value = today;
}

async function showBoard() {
  const [period, date, user] = [chosenPeriod(), $("board-date").value, $("board-user").value.trim()];
  if (!date) return;
  const asked = ++boardAt.asked;
  const query = user ? { period, date, distance: 5 } : { period, date, page: boardAt.page, size: BOARD_SIZE };
  const path = `/api/boards/${encodeURIComponent($("board-category").value)}`;
  const whose = user ? `/users/${encodeURIComponent(user)}` : "";
  try {
    const board = await ask(`${path}${whose}?${new URLSearchParams(query)}`);
    if (asked === boardAt.asked) drawBoard(board); // else another answer is waited for
  } catch (error) {
    if (asked === boardAt.asked) $("board").replaceChildren(failed(error));
  }
}

function drawBoard(board) {
  const place = board.user?.rank
    ? `rank ${number(board.user.rank)} of ${number(board.total)}`
    : "not on this board";
  const parts = board.user ? [make("p", { class: "caption" }, `${board.user.userId}: ${place}`)] : [];
  if (board.content.length) parts.push(boardTable(board));
  else if (!board.user)
    parts.push(empty(`Nobody is on this board: ${periodName(board)}. ‹ and › step through time.`));
  $("board").replaceChildren(...parts);
  const last = board.user ? 0 : Math.max(0, Math.ceil(board.total / board.size) - 1);
  $("board-pages").hidden = last === 0;
  $("page-before").disabled = boardAt.page === 0;
  $("page-after").disabled = boardAt.page >= last;
  say("page-shown", `Page ${boardAt.page + 1} of ${last + 1}`);
}

function boardTable(board) {
  const highest = Math.max(...board.content.map((row) => row.score), 1);
  const rows = board.content.map((row) => {
    const bar = make("i");
    bar.style.width = `${Math.max(0, (100 * row.score) / highest)}%`;
    return make(
      "tr",
      { class: row.userId === board.user?.userId ? "own" : "" },
      make("td", { class: "rank" }, number(row.rank)),
      make("td", {}, row.userId),
      make("td", { class: "meter", "aria-hidden": "true" }, bar),
      make("td", { class: "number" }, spent(row.score)),
    );
  });
  const head = (name, classes = "") => make("th", { scope: "col", class: classes }, name);
  const heads = [head("Rank"), head("User"), make("td", { class: "meter" }), head("Time", "number")];
  const caption = make(
    "caption",
    { class: "note" },
    `${board.category}, ${periodName(board)}: ${plural(board.total, "user")}`,
  );
  return make(
    "table",
    { class: "board" },
    caption,
    make("thead", {}, make("tr", {}, ...heads)),
    make("tbody", {}, ...rows),
  );
}

function periodName({ period, date }) {
  if (period === "day") return date;
  return period === "month"
    ? date.slice(0, 7)
    : `${shifted(date, -weekday(date))} to ${shifted(date, 6 - weekday(date))}`;
}

const atMidnight = (date) => new Date(`${date}T00:00:00Z`);
const weekday = (date) => (atMidnight(date).getUTCDay() + 6) % 7; // Monday is 0

function shifted(date, days) {
  const moved = atMidnight(date);
  moved.setUTCDate(moved.getUTCDate() + days);
  return moved.toISOString().slice(0, 10);
}

/** One day, week or month earlier (-1) or later (1). */
export function step(direction) {
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
  showBoard();
}

export const showFirstPage = () => turnTo(0);
export const turn = (pages) => turnTo(boardAt.page + pages);
