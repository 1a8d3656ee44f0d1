// The audit log: every change, chained by hashes, so that a removed or altered row shows.

import { all, can, get, query } from "/page/api.js";
import { button, el, empty, icon, page, put, save } from "/page/dom.js";
import { complain, failure } from "/page/notices.js";
import { some, verb, when } from "/page/words.js";

/** The view. */
export async function view({ signal }) {
  if (!can("admin")) {
    return page({ title: "Audit" }, empty("log", "The audit log needs an admin key", "It says who changed what. Ask whoever runs this server."));
  }
  const body = await get(query("/v1/audit", { limit: 50 }), { signal });
  const verdict = el("div", { class: "verdict", role: "status" });
  const rows = el("tbody");
  const more = el("div", { class: "more" });
  const fill = (part) => {
    rows.append(...part.items.map(row));
    put(more, part.next_cursor && button("Show more", () => next(part.next_cursor)));
  };
  const next = async (cursor) => {
    try {
      fill(await get(query("/v1/audit", { limit: 50, cursor }), { signal }));
    } catch (error) {
      complain(error);
    }
  };
  fill(body);
  const heads = ["Row", "When", "Who", "What", "Hash"];
  return page(
    {
      title: "Audit",
      lede: "Every change, in order. Each row's hash covers the row before it, so nothing can be taken out unseen.",
      actions: [button("Save as a file", () => store(signal), { glyph: "save" }), button("Verify", () => verify(verdict, signal), { kind: "primary", glyph: "shield" })],
    },
    verdict,
    el(
      "div",
      { class: "table-wrap audit", tabIndex: 0, role: "region", "aria-label": "Audit rows" },
      el("table", {}, el("caption", { class: "visually-hidden", text: "Audit rows, newest first" }), el("thead", {}, el("tr", {}, heads.map((head) => el("th", { scope: "col", text: head })))), rows),
    ),
    more,
  );
}

function row(entry) {
  const what = entry.summary || [verb(entry.verb), entry.subject].filter(Boolean).join(" ");
  return el(
    "tr",
    {},
    el("td", { class: "soft", text: entry.seq }),
    el("td", {}, el("time", { datetime: entry.at, text: when(entry.at) })),
    el("td", { text: entry.actor }),
    el("td", { class: "what" }, el("span", { class: "chip", text: verb(entry.verb) }), entry.summary && el("span", { text: what })),
    el("td", {}, entry.hash && el("code", { title: entry.hash, text: entry.hash.slice(0, 12) })),
  );
}

async function verify(verdict, signal) {
  put(verdict, el("span", { class: "spinner" }), "Reading every row");
  try {
    const answer = await get("/v1/audit/verify", { signal });
    put(
      verdict,
      el(
        "div",
        { class: answer.ok ? "note good" : "failure" },
        icon(answer.ok ? "check" : "warn"),
        answer.ok ? el("p", { text: `The log is whole: ${some(answer.rows, "row", "rows")}, every hash fits.` }) : el("div", {}, el("p", { text: "The log was altered:" }), el("ul", {}, answer.problems.map((one) => el("li", { text: one })))),
      ),
    );
  } catch (error) {
    put(verdict, failure(error, () => verify(verdict, signal)));
  }
}

async function store(signal) {
  try {
    const rows = await all("/v1/audit", {}, { most: 100000, signal });
    save("vultus-audit.json", `${JSON.stringify(rows, null, 2)}\n`);
  } catch (error) {
    complain(error);
  }
}
