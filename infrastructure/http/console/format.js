// Numbers, shares and times as a person reads them.

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const precise = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });

export function number(value) {
  if (value == null) return "–";
  return (Math.abs(value) < 10 && !Number.isInteger(value) ? precise : whole).format(value);
}

export function percent(share) {
  if (share > 0 && share < 0.001) return "<0.1 %";
  return `${precise.format(share * 100)} %`;
}

/** Seconds as one number with the unit that suits it. */
export function duration(seconds) {
  if (seconds == null) return "–";
  if (seconds === 0) return "0 s";
  if (seconds < 1) return `${number(seconds * 1000)} ms`;
  if (seconds < 120) return `${number(seconds)} s`;
  if (seconds < 7200) return `${number(seconds / 60)} min`;
  return seconds < 172_800 ? `${number(seconds / 3600)} h` : `${number(seconds / 86_400)} days`;
}

/** Seconds as a person counts hours: 31 h 05 min. */
export function spent(seconds) {
  const minutes = Math.floor(seconds / 60);
  if (minutes < 1) return `${Math.floor(seconds)} s`;
  const rest = minutes % 60;
  return minutes < 60
    ? `${minutes} min`
    : `${number(Math.floor(minutes / 60))} h ${String(rest).padStart(2, "0")} min`;
}

export const moment = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

export const plural = (count, one, many = `${one}s`) => `${number(count)} ${count === 1 ? one : many}`;
