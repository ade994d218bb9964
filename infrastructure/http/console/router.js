// Which page is shown: the path of the address says it, and its query what of it.

const pages = new Map();
let shown = null;

/** `open` is called when the page comes up or its query changes, `refresh` every few seconds while it is looked at. */
export const page = (name, { open = () => {}, refresh = open }) => pages.set(name, { open, refresh });

export const query = () => new URLSearchParams(location.search);

/** Puts what is chosen into the address; empty values are left out. */
export function setQuery(values) {
  const kept = Object.entries(values).filter(([, value]) => value !== "" && value != null);
  const text = new URLSearchParams(kept).toString();
  history.replaceState(null, "", location.pathname + (text ? `?${text}` : ""));
}

/** The page that the address names: `nowhere` where there is none. */
export function here() {
  const name = location.pathname.slice(1) || "overview";
  return document.querySelector(`.page[data-page="${CSS.escape(name)}"]`) ? name : "nowhere";
}

/** Shows the page that the address names. */
export function show() {
  const name = here();
  for (const each of document.querySelectorAll(".page")) each.hidden = each.dataset.page !== name;
  for (const link of document.querySelectorAll("#routes a")) {
    const isHere = link.getAttribute("href") === location.pathname;
    isHere ? link.setAttribute("aria-current", "page") : link.removeAttribute("aria-current");
    if (isHere) link.parentElement.scrollLeft = link.offsetLeft - link.parentElement.clientWidth / 2;
  }
  shown = pages.get(name);
  shown?.open(query());
}

export function go(address) {
  history.pushState(null, "", address);
  show();
  scrollTo(0, 0);
  document.getElementById("main").focus({ preventScroll: true });
}

export const isShown = (name) => shown === pages.get(name);

export function refreshShown() {
  if (document.visibilityState === "visible") shown?.refresh(query());
}

function follow(event) {
  const link = event.target.closest?.("a[data-page-link]");
  if (!link || event.metaKey || event.ctrlKey || event.shiftKey || event.button) return;
  event.preventDefault();
  go(link.getAttribute("href"));
}

export function startRouting() {
  document.addEventListener("click", follow);
  addEventListener("popstate", show);
  document.addEventListener("visibilitychange", refreshShown);
}
