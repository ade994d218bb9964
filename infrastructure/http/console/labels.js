// What tiers and lanes are called. The server says so, in the order in which it asks tiers.

import { ask } from "./api.js";

/** {name: {label, meaning}} of each tier and lane; empty until `loadLabels` is done. */
export const labels = { tiers: {}, lanes: {} };

let loading;

/** Asks for them once; a failure is an ApiError, and the next call asks again. */
export function loadLabels() {
  loading ??= ask("/api/labels").then(
    ({ tiers, lanes }) => Object.assign(labels, { tiers: byName(tiers), lanes: byName(lanes) }),
    (error) => {
      loading = undefined;
      throw error;
    },
  );
  return loading;
}

const byName = (list) => Object.fromEntries(list.map(({ name, ...label }) => [name, label]));
