// What was changed, by whom, and how to take it back.

import { can, get, post, query } from "/page/api.js";
import { button, el, empty, page, put } from "/page/dom.js";
import { complain, toast } from "/page/notices.js";
import { show } from "/page/router.js";
import { clock, day, verb } from "/page/words.js";

const GLYPHS = { merge: "merge", split: "split", rename: "edit", assign: "edit", enroll: "enroll", name_cluster: "edit" };

/** The view. */
export async function view({ signal }) {
  const body = await get(query("/v1/history", { limit: 50 }), { signal });
  if (!body.items.length) {
    return page({ title: "History" }, empty("history", "Nothing was changed yet", "Naming, merging, splitting and renaming are listed here, and each can be undone. Erasing is not: it is in the audit log."));
  }
  const list = el("div", { class: "timeline" });
  const more = el("div", { class: "more" });
  const state = { day: "", list: null };
  const fill = (part) => {
    for (const entry of part.items) {
      const today = day(entry.at);
      if (today !== state.day) {
        state.day = today;
        state.list = el("ol", { class: "entries" });
        list.append(el("h2", { text: today }), state.list);
      }
      state.list.append(row(entry));
    }
    put(more, part.next_cursor && button("Show more", () => next(part.next_cursor)));
  };
  const next = async (cursor) => {
    try {
      fill(await get(query("/v1/history", { limit: 50, cursor }), { signal }));
    } catch (error) {
      complain(error);
    }
  };
  fill(body);
  return page({ title: "History", lede: "Every change of names and groups, newest first." }, list, more);
}

function row(entry) {
  const undo = async () => {
    try {
      await post(`/v1/history/${encodeURIComponent(entry.seq)}/undo`);
      toast("Undone.");
      show();
    } catch (error) {
      complain(error);
    }
  };
  const canUndo = entry.can_undo && !entry.undone_at && can("enroll");
  const words = entry.summary || verb(entry.verb);
  return el(
    "li",
    { class: entry.undone_at ? "entry undone" : "entry", "data-glyph": GLYPHS[entry.verb] ?? "" },
    el("time", { datetime: entry.at, text: clock(entry.at) }),
    el("div", { class: "entry-words" }, el("p", { text: words }), el("p", { class: "small soft", text: entry.undone_at ? `by ${entry.actor}, undone` : `by ${entry.actor}` })),
    canUndo && button("Undo", undo, { kind: "small", glyph: "undo", "aria-label": `Undo: ${words}` }),
  );
}
