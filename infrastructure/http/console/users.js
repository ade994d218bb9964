// A user's day and week: the page that the server makes, within this one.

import { ask, askPage } from "./api.js";
import { loadCategories } from "./boards.js";
import { $, adopt, empty, failed, make } from "./elements.js";
import { page, query, setQuery } from "./router.js";
import { language, t } from "./texts.js";

const SUGGESTED = 50;

page("users", { open: showUser });

const card = $("user-card").attachShadow({ mode: "open" });
let asked = 0;

async function showUser(given) {
  const [user, mine] = [given.get("user") ?? "", ++asked];
  if (document.activeElement !== $("user-id")) $("user-id").value = user;
  const { overall, today } = await loadCategories();
  $("user-date").value = given.get("date") ?? today;
  suggest(overall, today);
  if (!user) return show(empty(t("users.none")));
  const asks = new URLSearchParams({ lang: language, ...(given.get("date") && { date: given.get("date") }) });
  try {
    const html = await askPage(`/users/${encodeURIComponent(user)}?${asks}`);
    if (mine !== asked) return;
    adopt(card, html);
    const day = new URLSearchParams({ category: overall, period: "day", date: $("user-date").value, user, drill: user });
    const link = make("a", { href: `/boards?${day}`, "data-page-link": true }, t("users.windows"));
    if (!$("user-problem").querySelector("a")?.href.endsWith(`?${day}`)) $("user-problem").replaceChildren(link);
  } catch (error) {
    const why = { 400: "users.years", 404: "users.years", 401: "users.refused", 403: "users.refused" }[error.status];
    if (mine === asked) show(why ? empty(t(why)) : failed(error));
  }
}

function show(problem) {
  card.replaceChildren();
  $("user-problem").replaceChildren(problem);
}

async function suggest(overall, today) {
  if ($("known-users").children.length) return;
  const board = await ask(`/api/boards/${overall}?${new URLSearchParams({ period: "week", date: today, size: SUGGESTED })}`);
  $("known-users").replaceChildren(...board.content.map(({ userId }) => make("option", { value: userId })));
}

/** Its links to other days stay on this page. */
card.addEventListener("click", (event) => {
  const link = event.target.closest("a");
  const to = link && new URL(link.href);
  if (!to?.pathname.startsWith("/users/") || to.searchParams.get("lang") !== language) return;
  event.preventDefault();
  setQuery({ user: query().get("user"), date: to.searchParams.get("date") });
  showUser(query());
});

$("user-form").addEventListener("submit", (event) => {
  event.preventDefault();
  setQuery({ user: $("user-id").value.trim(), date: $("user-date").value });
  showUser(query());
});
