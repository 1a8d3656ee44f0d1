// The audit log: every change, chained by hashes, so that a removed or altered row shows.

import { all, can, get, query } from "/page/api.js";
import { button, el, empty, icon, page, put, save } from "/page/dom.js";
import { complain, failure } from "/page/notices.js";
import { table, td, tr } from "/page/table.js";
import { some, verb, when } from "/page/words.js";

const HEADS = ["Row", "When", "Who", "What", "Hash"];

/** The view. */
export async function view({ signal }) {
  if (!can("admin")) {
    return page({ title: "Audit" }, empty("log", "The audit log needs an admin key", "It says who changed what. Ask whoever runs this server."));
  }
  const body = await get(query("/v1/audit", { limit: 50 }), { signal });
  const verdict = el("div", { class: "verdict", role: "status" });
  const grid = table("Audit rows", HEADS, []);
  const rows = grid.querySelector("tbody");
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
      grid,
    ),
    more,
  );
}

function row(entry) {
  const [number, when_, who, what, hash] = HEADS;
  return tr(
    {},
    td(number, el("span", { class: "soft", text: entry.seq })),
    td(when_, el("time", { datetime: entry.at, text: when(entry.at) })),
    td(who, entry.actor),
    td(what, el("span", {}, el("span", { class: "chip", text: verb(entry.verb) }), told(entry))),
    td(hash, entry.hash && el("code", { title: entry.hash, text: entry.hash.slice(0, 12) })),
  );
}

function told(entry) {
  const details = Object.entries(entry.details ?? {}).filter(([, value]) => value !== null && typeof value !== "object");
  const words = details.map(([name, value]) => `${verb(name)}: ${value}`);
  return [entry.summary || entry.subject, ...words].filter(Boolean).join(", ");
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
