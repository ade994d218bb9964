// Light and dark.

import { $, say } from "./elements.js";

const THEME = "pomocore-theme";
export const systemIsDark = matchMedia("(prefers-color-scheme: dark)");

export function applyTheme() {
  const theme = localStorage.getItem(THEME) ?? (systemIsDark.matches ? "dark" : "light");
  document.documentElement.dataset.theme = theme;
  say("theme", theme === "dark" ? "Light" : "Dark");
  $("theme").setAttribute("aria-label", `Switch to ${theme === "dark" ? "light" : "dark"} colours`);
}

export function switchTheme() {
  localStorage.setItem(THEME, document.documentElement.dataset.theme === "dark" ? "light" : "dark");
  applyTheme();
}
