// What the rest of the page is written with: elements, numbers in words, and the way to the API.

const $ = (id) => document.getElementById(id);

/** An element with attributes and children; texts are always text, never HTML. */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child != null));
  return element;
}

function say(id, text) {
  const element = $(id);
  if (element.textContent !== text) element.textContent = text; // what has not changed is not announced again
}

const empty = (text) => make("p", { class: "empty" }, text);
const failed = (error) => make("p", { class: "error", role: "alert" }, `It could not be loaded: ${error.message}`);
const plural = (count, one, many = `${one}s`) => `${number(count)} ${count === 1 ? one : many}`;

// Numbers and times

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const precise = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });

function number(value) {
  if (value == null) return "–";
  return (Math.abs(value) < 10 && !Number.isInteger(value) ? precise : whole).format(value);
}

function percent(share) {
  if (share > 0 && share < 0.001) return "<0.1 %";
  return `${precise.format(share * 100)} %`;
}

/** Seconds as one number with the unit that suits it. */
function duration(seconds) {
  if (seconds == null) return "–";
  if (seconds === 0) return "0 s";
  if (seconds < 1) return `${number(seconds * 1000)} ms`;
  if (seconds < 120) return `${number(seconds)} s`;
  if (seconds < 7200) return `${number(seconds / 60)} min`;
  return seconds < 172_800 ? `${number(seconds / 3600)} h` : `${number(seconds / 86_400)} days`;
}

/** Seconds as a person counts hours: 31 h 05 min. */
function spent(seconds) {
  const minutes = Math.floor(seconds / 60);
  if (minutes < 1) return `${Math.floor(seconds)} s`;
  const rest = minutes % 60;
  return minutes < 60
    ? `${minutes} min`
    : `${number(Math.floor(minutes / 60))} h ${String(rest).padStart(2, "0")} min`;
}

const moment = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

// The API

const TOKEN = "pomocore-token";

class ApiError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** The document behind `path`; throws ApiError, also where nobody answers (status 0). */
async function ask(path, { body, token = sessionStorage.getItem(TOKEN) } = {}) {
  const headers = {};
  if (token) headers.Authorization = `Bearer ${token}`;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const options = body === undefined ? { headers } : { method: "POST", headers, body: JSON.stringify(body) };
  const answer = await fetch(path, options).catch(() => {
    throw new ApiError(0, "the server does not answer");
  });
  const document = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new ApiError(answer.status, document.detail ?? answer.statusText);
  return document;
}

let forgetting;

/** A message in the corner, for some seconds. */
function tell(text) {
  say("told", text);
  clearTimeout(forgetting);
  forgetting = setTimeout(() => say("told", ""), 6000);
}

// Light and dark

const THEME = "pomocore-theme";
const systemIsDark = matchMedia("(prefers-color-scheme: dark)");

function applyTheme() {
  const theme = localStorage.getItem(THEME) ?? (systemIsDark.matches ? "dark" : "light");
  document.documentElement.dataset.theme = theme;
  say("theme", theme === "dark" ? "Light" : "Dark");
  $("theme").setAttribute("aria-label", `Switch to ${theme === "dark" ? "light" : "dark"} colours`);
}

function switchTheme() {
  localStorage.setItem(THEME, document.documentElement.dataset.theme === "dark" ? "light" : "dark");
  applyTheme();
}
