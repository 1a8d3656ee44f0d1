// Tables that become one card per row on a phone. The roles are written out, because such cards lose those of a table.

import { el } from "/page/dom.js";

/** A table: its caption is for ears; `heads` are the columns, `rows` come from `tr`. */
export function table(caption, heads, rows) {
  return el(
    "table",
    { role: "table" },
    el("caption", { class: "visually-hidden", text: caption }),
    el("thead", { role: "rowgroup" }, tr({}, heads.map((head) => th("col", head)))),
    el("tbody", { role: "rowgroup" }, rows),
  );
}

/** A row. */
export function tr(props, ...cells) {
  return el("tr", { role: "row", ...props }, cells);
}

/** A heading of a column ("col") or a row ("row"). */
export function th(scope, ...content) {
  return el("th", { scope, role: scope === "col" ? "columnheader" : "rowheader" }, content);
}

/** A cell; `label` is the heading of its column, shown beside it on phones. */
export function td(label, ...content) {
  return el("td", { role: "cell", data: { label } }, content);
}
