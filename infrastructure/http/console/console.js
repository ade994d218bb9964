// Listening to the server, and what stands on every page.

import { refreshAccess, toggleLock, unlock } from "./access.js";
import "./analytics.js";
import "./boards.js";
import "./letters.js";
import "./patterns.js";
import "./system.js";
import "./users.js";
import "./windows.js";
import { $, say } from "./elements.js";
import { showState } from "./figures.js";
import { clock } from "./format.js";
import { loadLabels } from "./labels.js";
import { followLetters } from "./letters.js";
import { here, refreshShown, show, startRouting } from "./router.js";
import { followSystem } from "./system.js";
import { fillTexts, switchLanguage, t } from "./texts.js";
import { applyTheme, switchTheme, systemIsDark } from "./theme.js";

const RETRY_SECONDS = [1, 2, 4, 8];
const SILENT_SECONDS = 15;
const REFRESH_SECONDS = 5;
const stream = { source: null, tries: 0, heard: Date.now(), live: false, retry: null };

function listen() {
  stream.source = new EventSource("/api/events");
  stream.source.addEventListener("state", (event) => hear(JSON.parse(event.data)));
  stream.source.addEventListener("end", () => lose(t("lost.stopping")));
  stream.source.onerror = () => lose(t("lost.no-answer"));
}

async function hear(state) {
  stream.heard = Date.now();
  stream.tries = 0;
  const { source } = stream;
  try {
    await loadLabels();
  } catch (error) {
    lose(t("lost.labels", { error: error.message }));
  }
  if (source.readyState === EventSource.CLOSED) return;
  if (!stream.live) enliven();
  showState(state);
  followLetters(state);
  followSystem(state);
  showLevel(state.level);
}

/** Asks anew for what is shown: at the beginning, and after an outage. */
function enliven() {
  stream.live = true;
  $("connection").dataset.state = "live";
  say("connection", t("live"));
  $("lost").hidden = true;
  document.body.classList.remove("stale");
  $("main").setAttribute("aria-busy", "false");
  refreshAccess();
}

/** Closes the stream and opens another one a little later: by itself a browser gives up at some errors. */
function lose(why) {
  stream.source.close();
  stream.live = false;
  const seconds = RETRY_SECONDS[Math.min(stream.tries++, RETRY_SECONDS.length - 1)];
  $("connection").dataset.state = "lost";
  say("connection", t("disconnected"));
  say("lost", t("lost", { why, time: clock(stream.heard / 1000) }));
  $("lost").hidden = false;
  document.body.classList.add("stale");
  showLevel("down", t("disconnected"));
  clearTimeout(stream.retry);
  stream.retry = setTimeout(listen, seconds * 1000);
}

function watchSilence() {
  if (stream.live && Date.now() - stream.heard > SILENT_SECONDS * 1000) lose(t("lost.silent"));
}

/** The tab's title and icon, which are seen from other tabs: the state, or which page it is where all is well. */
function showLevel(level, name = t(`level.${level}`)) {
  const page = here();
  const about = level === "healthy" ? page !== "overview" && t(`route.${page}`) : name;
  const title = about ? `${about} · Pomocore` : "Pomocore";
  if (document.title === title) return;
  document.title = title;
  document.querySelector("link[rel=icon]").href = level === "healthy" ? "/console/icon.svg" : `/console/icon-${level}.svg`;
}

$("theme").addEventListener("click", switchTheme);
$("language").addEventListener("click", switchLanguage);
systemIsDark.addEventListener("change", applyTheme);
$("unlock").addEventListener("click", toggleLock);
$("token-form").addEventListener("submit", unlock);
$("token-cancel").addEventListener("click", () => $("token-dialog").close());

fillTexts();
say("connection", t("connecting"));
say("language", t("language"));
applyTheme();
startRouting();
await loadLabels().catch(() => {}); // times are the boards', not the browser's
show();
setInterval(watchSilence, 1000);
setInterval(() => stream.live && refreshShown(), REFRESH_SECONDS * 1000);
listen();
