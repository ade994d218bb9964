// The token that changes and users' pages want, and the changes.

import { TOKEN, ask } from "./api.js";
import { $, make, say, tell } from "./elements.js";
import { show } from "./router.js";
import { t } from "./texts.js";

let access = { changes: "off" };

export const isOpen = () => access.changes === "open";

/** Whether a token was given, of an administrator or a user. */
const isRight = ({ changes, user }) => changes === "open" || user != null;

/** Asks whether the token, where there is one, is still right, and shows what follows from it. */
export async function refreshAccess() {
  try {
    access = await ask("/api/access");
  } catch (error) {
    if (error.status !== 401) return;
    sessionStorage.removeItem(TOKEN);
    access = { changes: "locked" };
  }
  const { changes, user, usersHaveTokens } = access;
  $("unlock").hidden = changes === "off" && !usersHaveTokens;
  say("unlock", t(isRight(access) ? "lock" : "unlock"));
  const why = t(`locked.${user && changes === "locked" ? "user" : changes}`);
  for (const note of document.querySelectorAll(".locked-note")) note.textContent = why;
  show();
}

export function toggleLock() {
  if (!isRight(access)) {
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
    if (!isRight(await ask("/api/access", { token: $("token").value }))) return say("token-error", t("token.wrong"));
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
