// Light and dark.

import { $, say } from "./elements.js";
import { t } from "./texts.js";

const THEME = "pomocore-theme";
export const systemIsDark = matchMedia("(prefers-color-scheme: dark)");

export function applyTheme() {
  const theme = localStorage.getItem(THEME) ?? (systemIsDark.matches ? "dark" : "light");
  document.documentElement.dataset.theme = theme;
  say("theme", t(theme === "dark" ? "theme.light" : "theme.dark"));
}

export function switchTheme() {
  localStorage.setItem(THEME, document.documentElement.dataset.theme === "dark" ? "light" : "dark");
  applyTheme();
}
