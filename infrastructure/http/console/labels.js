// What tiers and lanes are called, and the boards' time zone. The server says so, tiers in the order in which it asks.

import { ask } from "./api.js";
import { language } from "./texts.js";

/** {name: {label, meaning}} of each tier and lane; empty until `loadLabels` is done. */
export const labels = { tiers: {}, lanes: {}, zone: undefined };

let loading;

/** Asks for them once; a failure is an ApiError, and the next call asks again. */
export function loadLabels() {
  loading ??= ask(`/api/labels?lang=${language}`).then(
    ({ tiers, lanes, zone }) => Object.assign(labels, { tiers: byName(tiers), lanes: byName(lanes), zone }),
    (error) => {
      loading = undefined;
      throw error;
    },
  );
  return loading;
}

const byName = (list) => Object.fromEntries(list.map(({ name, ...label }) => [name, label]));
