// Elements of the page, and how they are filled with texts.

import { t } from "./texts.js";

export const $ = (id) => document.getElementById(id);

/** An element with attributes and children; texts are always text, never HTML. */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child != null));
  return element;
}

export function say(id, text) {
  const element = $(id);
  if (element.textContent !== text) element.textContent = text; // what has not changed is not announced again
}

export const empty = (text) => make("p", { class: "empty" }, text);
/** What could not be loaded. During an outage (503) the overview says why. */
export const failure = ({ status, message }) => (status === 503 ? t("unavailable") : t("failed", { error: message }));
export const failed = (error) => make("p", { class: "error", role: "alert" }, failure(error));

/** Shows the main part of a page that the server has made, in a shadow root, with its own style. */
export function adopt(root, html) {
  const { childNodes } = new DOMParser().parseFromString(html, "text/html").querySelector("main");
  const made = make("div", { class: "main" }, ...childNodes); // this page has a main part already
  const style = make("link", { rel: "stylesheet", href: "/console/card.css" });
  if (root.querySelector(".main")?.innerHTML !== made.innerHTML) root.replaceChildren(style, made);
}

let forgetting;

/** A message in the corner, for some seconds. */
export function tell(text) {
  say("told", text);
  clearTimeout(forgetting);
  forgetting = setTimeout(() => say("told", ""), 6000);
}

/** A table; all columns but the first hold numbers, unless `numbers` is false. */
export function table(heads, rows, numbers = true) {
  const cells = heads.map((head, index) => make("th", { scope: "col", class: index && numbers ? "number" : "" }, head));
  return make("table", {}, make("thead", {}, make("tr", {}, ...cells)), make("tbody", {}, ...rows));
}

const FOCUSABLE = "a, button, input, select, summary";

/** Fills an element anew. A focus in it stays on what has the same name, or place, and what is open stays open. */
export function renew(element, ...children) {
  const { activeElement } = document;
  const place = [...element.querySelectorAll(FOCUSABLE)].indexOf(activeElement);
  const open = [...element.querySelectorAll("details")].map((it) => it.open);
  element.replaceChildren(...children);
  element.querySelectorAll("details").forEach((it, n) => (it.open = open[n] ?? it.open));
  if (place < 0) return;
  const [name, anew] = [activeElement.getAttribute("aria-label"), [...element.querySelectorAll(FOCUSABLE)]];
  const same = name && anew.find((it) => it.getAttribute("aria-label") === name);
  (same ?? anew[Math.min(place, anew.length - 1)])?.focus({ preventScroll: true });
}

/** A list in place of the old one; a focus on it stays on the item's neighbour. */
export function replaceList(id, items, ifNone) {
  const buttons = [...$(id).querySelectorAll("button")];
  const focused = buttons.indexOf(document.activeElement);
  $(id).replaceChildren(items.length ? make("ul", { class: "items" }, ...items) : empty(ifNone));
  if (focused >= 0) [...$(id).querySelectorAll("button")].at(Math.min(focused, items.length - 1))?.focus();
}
