// What went well, with Undo, and what went wrong, with the server's words.

import { call, get, post } from "/page/api.js";
import { button, el, icon } from "/page/dom.js";
import { sentence } from "/page/words.js";

const SECONDS = 10;

/** A message at the edge of the screen. Errors stay until they are closed. */
export function toast(sentence, { action = null, error = false } = {}) {
  const box = document.getElementById("toasts");
  const close = () => item.remove();
  const item = el(
    "div",
    { class: `toast ${error ? "bad" : ""}`, role: error ? "alert" : null },
    icon(error ? "warn" : "check"),
    el("p", { text: sentence }),
    action && button(action.label, () => (close(), action.run()), { kind: "quiet", glyph: "undo" }),
    button("Close", close, { kind: "icon", glyph: "close" }),
  );
  for (const old of box.querySelectorAll(".toast:not(.bad)")) old.remove(); // one at a time: History has the others
  while (box.children.length >= 3) box.firstElementChild.remove();
  box.append(item);
  if (!error) expire(item, close);
  return item;
}

function expire(item, close) {
  let timer = setTimeout(close, SECONDS * 1000);
  const hold = () => clearTimeout(timer);
  const go = () => (hold(), (timer = setTimeout(close, SECONDS * 1000)));
  item.addEventListener("pointerenter", hold);
  item.addEventListener("pointerleave", go);
  item.addEventListener("focusin", hold);
  item.addEventListener("focusout", go);
}

/** An action failed: its words and, for whoever reads the server's log, the id of the request. */
export function complain(error) {
  if (error.name === "AbortError") return;
  toast(spoken(error), { error: true });
}

function spoken(error) {
  return `${sentence(error.message)}${error.requestId ? ` Request ${error.requestId}.` : ""}`;
}

/** Take back every offer to undo, after something that has made them void. */
export function forget() {
  document.getElementById("toasts").replaceChildren();
}

/** A failure in the place where the content would be. */
export function failure(error, again = null) {
  return el(
    "div",
    { class: "failure", role: "alert" },
    icon("warn"),
    el(
      "div",
      {},
      el("p", { text: sentence(error.message) }),
      error.retryAfter > 0 && el("p", { class: "soft", text: `Try again in ${Math.ceil(error.retryAfter)} s.` }),
      error.requestId && el("p", { class: "soft small" }, "Request ", el("code", { text: error.requestId })),
      again && button("Try again", again, { glyph: "refresh" }),
    ),
  );
}

/**
 * Change something and offer to undo it. `run(undoable)` makes the request with `{ undoable }` among its options;
 * `after` is called when it is done and again when it was undone. Returns the answer, or null when it failed.
 */
export async function change(sentence, run, after = null) {
  const undoable = { seq: null };
  let answer;
  const before = await newest();
  try {
    answer = await run(undoable);
  } catch (error) {
    complain(error);
    return null;
  }
  const words = typeof sentence === "function" ? sentence(answer) : sentence;
  const seq = undoable.seq ?? (await newest(before));
  const undo = async () => {
    try {
      await post(`/v1/history/${encodeURIComponent(seq)}/undo`);
      toast("Undone.");
      await after?.(null);
    } catch (error) {
      complain(error);
    }
  };
  toast(words, seq === null ? {} : { action: { label: "Undo", run: undo } });
  await after?.(answer);
  return answer ?? true;
}

/** The number of the newest entry that can be undone, unless it is `known`: then nothing new was written down. */
async function newest(known = null) {
  try {
    const entry = (await get("/v1/history?limit=1")).items[0];
    return entry?.can_undo && entry.seq !== known ? entry.seq : null;
  } catch (error) {
    return null; // Undo is an offer; the change itself is done
  }
}

/** Do something that cannot be undone; says so when it fails. Returns the answer, or null. */
export async function attempt(method, path, options) {
  try {
    return (await call(method, path, options)) ?? true;
  } catch (error) {
    complain(error);
    return null;
  }
}
