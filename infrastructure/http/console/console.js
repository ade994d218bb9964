// Listening to the server, and everything that happens on a click.

import { showFirstPage, startBoards, step, turn } from "./boards.js";
import { $, failed, say } from "./elements.js";
import { showState, takeHistory } from "./figures.js";
import { loadLabels } from "./labels.js";
import { followLetters, refreshAccess, toggleLock, unlock } from "./letters.js";
import { applyTheme, switchTheme, systemIsDark } from "./theme.js";
import { classify } from "./windows.js";

const RETRY_SECONDS = [1, 2, 4, 8];
const SILENT_SECONDS = 15;
const stream = { source: null, tries: 0, heard: Date.now(), live: false, retry: null };

function listen() {
  stream.source = new EventSource("/api/events");
  stream.source.addEventListener("history", (event) => takeHistory(JSON.parse(event.data)));
  stream.source.addEventListener("state", (event) => hear(JSON.parse(event.data)));
  stream.source.addEventListener("end", () => lose("The pipeline is stopping."));
  stream.source.onerror = () => lose("The pipeline does not answer.");
}

async function hear(state) {
  stream.heard = Date.now();
  stream.tries = 0;
  const { source } = stream;
  try {
    await loadLabels();
  } catch (error) {
    lose(`Its labels could not be loaded: ${error.message}.`);
  }
  if (source.readyState === EventSource.CLOSED) return;
  if (!stream.live) enliven();
  showState(state);
  followLetters(state);
}

function enliven() {
  stream.live = true;
  $("connection").dataset.state = "live";
  say("connection", "Live, every second");
  $("lost").hidden = true;
  document.body.classList.remove("stale");
  $("main").setAttribute("aria-busy", "false");
  startBoards().catch((error) => $("board").replaceChildren(failed(error)));
  refreshAccess();
}

/** Closes the stream and opens another one a little later: by itself a browser gives up at some errors. */
function lose(why) {
  stream.source.close();
  stream.live = false;
  const seconds = RETRY_SECONDS[Math.min(stream.tries++, RETRY_SECONDS.length - 1)];
  $("connection").dataset.state = "lost";
  say("connection", "Disconnected");
  say("lost", `${why} The figures are those of ${new Date(stream.heard).toLocaleTimeString()}; trying again …`);
  $("lost").hidden = false;
  document.body.classList.add("stale");
  clearTimeout(stream.retry);
  stream.retry = setTimeout(listen, seconds * 1000);
}

function watchSilence() {
  if (stream.live && Date.now() - stream.heard > SILENT_SECONDS * 1000) lose("Nothing was heard for a while.");
}

$("theme").addEventListener("click", switchTheme);
systemIsDark.addEventListener("change", applyTheme);
$("unlock").addEventListener("click", toggleLock);
$("token-form").addEventListener("submit", unlock);
$("token-cancel").addEventListener("click", () => $("token-dialog").close());
$("try").addEventListener("submit", classify);
$("board-form").addEventListener("submit", (event) => event.preventDefault());
$("board-form").addEventListener("input", showFirstPage);
$("earlier").addEventListener("click", () => step(-1));
$("later").addEventListener("click", () => step(1));
$("page-before").addEventListener("click", () => turn(-1));
$("page-after").addEventListener("click", () => turn(1));

applyTheme();
setInterval(watchSilence, 1000);
listen();
