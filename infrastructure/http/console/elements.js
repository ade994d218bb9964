// Elements of the page, and how they are filled with texts.

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
export const failed = (error) => make("p", { class: "error", role: "alert" }, `It could not be loaded: ${error.message}`);

let forgetting;

/** A message in the corner, for some seconds. */
export function tell(text) {
  say("told", text);
  clearTimeout(forgetting);
  forgetting = setTimeout(() => say("told", ""), 6000);
}

/** A table; all columns but the first hold numbers. */
export function table(heads, rows) {
  const cells = heads.map((head, index) => make("th", { scope: "col", class: index ? "number" : "" }, head));
  return make("table", {}, make("thead", {}, make("tr", {}, ...cells)), make("tbody", {}, ...rows));
}
