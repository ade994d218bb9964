// Where the time went: the page that the server makes of the events, within this one.

import { askPage } from "./api.js";
import { $, adopt, failed } from "./elements.js";
import { page } from "./router.js";
import { language } from "./texts.js";

const made = $("analytics").attachShadow({ mode: "open" });

page("analytics", { open: showAnalytics, refresh: () => {} }); // its questions read all events

async function showAnalytics(given) {
  const asks = new URLSearchParams({ lang: language, ...(given.get("date") && { date: given.get("date") }) });
  try {
    adopt(made, await askPage(`/analytics/page?${asks}`));
  } catch (error) {
    made.replaceChildren(failed(error));
  }
}
