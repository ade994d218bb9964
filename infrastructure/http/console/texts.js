// The texts of the page in one language: the one chosen here, or the browser's.

const LANGUAGE = "pomocore-language";
const ofBrowser = navigator.language.toLowerCase().startsWith("ko") ? "ko" : "en";
export const language = localStorage.getItem(LANGUAGE) ?? ofBrowser;

const table = await fetch(`/console/${language}.json`)
  .then((answer) => answer.json())
  .catch(() => setTimeout(() => location.reload(), 2000) && {});
const whole = new Intl.NumberFormat(language, { maximumFractionDigits: 0 });
const precise = new Intl.NumberFormat(language, { maximumFractionDigits: 1 });

export function number(value) {
  if (value == null || Number.isNaN(value)) return "–";
  return (Math.abs(value) < 10 && !Number.isInteger(value) ? precise : whole).format(value);
}

/** The text of `key` with its {names} filled in; of "one|many" the one that suits `values.n`. */
export function t(key, values = {}) {
  const [one, many = one] = (table[key] ?? key).split("|");
  const text = values.n === 1 ? one : many;
  const shown = (value) => (typeof value === "number" ? number(value) : value);
  return text.replace(/\{([\w-]+)\}/g, (whole, name) => (name in values ? shown(values[name]) : whole));
}

export const has = (key) => key in table;

/** The text of `key`, which the table of a language has where the server's own English will not do. */
export const translated = (key, english) => (has(key) ? t(key) : english);

/** Fills what carries data-t (its text) or data-t-NAME (its attribute NAME). */
export function fillTexts() {
  document.documentElement.lang = language;
  for (const element of document.querySelectorAll("*"))
    for (const { name, value } of [...element.attributes].filter((it) => it.name.startsWith("data-t")))
      if (name === "data-t") element.textContent = t(value);
      else if (name.startsWith("data-t-")) element.setAttribute(name.slice("data-t-".length), t(value));
}

export function switchLanguage() {
  localStorage.setItem(LANGUAGE, language === "ko" ? "en" : "ko");
  location.reload();
}
