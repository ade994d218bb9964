// The token that changes want, and the changes.

import { TOKEN, ask } from "./api.js";
import { $, make, say, tell } from "./elements.js";
import { show } from "./router.js";
import { t } from "./texts.js";

let access = "off";

export const isOpen = () => access === "open";

/** Asks whether the token, where there is one, is still right, and shows what follows from it. */
export async function refreshAccess() {
  try {
    access = (await ask("/api/access")).changes;
  } catch (error) {
    if (error.status !== 401) return;
    sessionStorage.removeItem(TOKEN);
    access = "locked";
  }
  $("unlock").hidden = access === "off";
  say("unlock", t(access === "open" ? "lock" : "unlock"));
  for (const note of document.querySelectorAll(".locked-note")) note.textContent = t(`locked.${access}`);
  show();
}

export function toggleLock() {
  if (access !== "open") {
    say("token-error", "");
    $("token-dialog").showModal();
    return;
  }
  sessionStorage.removeItem(TOKEN);
  refreshAccess();
}

export async function unlock(event) {
  event.preventDefault();
  try {
    await ask("/api/access", { token: $("token").value });
  } catch (error) {
    say("token-error", error.status === 401 ? t("token.wrong") : error.message);
    return;
  }
  sessionStorage.setItem(TOKEN, $("token").value);
  $("token").value = "";
  $("token-dialog").close();
  await refreshAccess();
}

/** Changes something by POST, says what `done` makes of the answer, and calls `after`. Tells whether it worked. */
export async function change(path, done, after, body = {}) {
  let worked = false;
  try {
    const answer = await ask(path, { body });
    tell(typeof done === "function" ? done(answer) : done);
    worked = true;
  } catch (error) {
    tell(t("not-done", { error: error.message }));
    if (error.status === 401) refreshAccess();
  }
  await after?.();
  return worked;
}

/** A button for a change; without the token it is off. */
export const action = (text, label, run) =>
  make("button", { type: "button", class: "quiet", "aria-label": label, disabled: !isOpen(), onclick: run }, text);
