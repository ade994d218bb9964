// Numbers, shares and times as a person reads them, in the language of the page and the boards' time zone.

import { labels } from "./labels.js";
import { language, number, t } from "./texts.js";

const shares = new Intl.NumberFormat(language, { maximumFractionDigits: 1 });

export function percent(share) {
  return share > 0 && share < 0.001 ? "<0.1 %" : `${shares.format(share * 100)} %`;
}

/** Seconds as one number with the unit that suits it. */
export function duration(seconds) {
  if (seconds == null) return "–";
  if (seconds > 0 && seconds < 1) return t("unit.ms", { n: seconds * 1000 });
  if (seconds < 120) return t("unit.s", { n: seconds });
  if (seconds < 7200) return t("unit.min", { n: Math.round(seconds / 60) });
  return seconds < 172_800
    ? t("unit.h", { n: Math.round(seconds / 3600) })
    : t("unit.days", { n: Math.round(seconds / 86_400) });
}

/** Seconds as a person counts hours: 31 h 5 min. */
export function spent(seconds) {
  const minutes = Math.floor(seconds / 60);
  if (minutes < 1) return t("unit.s", { n: Math.floor(seconds) });
  if (minutes < 60) return t("unit.min", { n: minutes });
  const hours = Math.floor(minutes / 60);
  return minutes % 60 ? t("unit.h-min", { hours, minutes: minutes % 60 }) : t("unit.h", { n: hours });
}

export const perSecond = (value) => t("unit.per-second", { n: value });

const shown = (options) => (seconds) =>
  new Intl.DateTimeFormat(language, { timeZone: labels.zone, hourCycle: "h23", ...options }).format(seconds * 1000);

const TIME = { hour: "2-digit", minute: "2-digit", second: "2-digit" };
/** A moment, in seconds since 1970. */
export const moment = shown({ year: "numeric", month: language === "ko" ? "numeric" : "short", day: "numeric", ...TIME });
export const clock = shown(TIME);

export { number };
