// Erasing a person: typed confirmation, then the receipt, which can be saved.

import { post } from "/page/api.js";
import { button, el, empty, linkButton, page, save } from "/page/dom.js";
import { open } from "/page/dialogs.js";
import { failure, forget } from "/page/notices.js";
import { some, when } from "/page/words.js";

const receipts = new Map(); // person id -> receipt; of this tab, until it is closed

/** Ask for the name and erase. Answers the receipt, or null. */
export function erase(person) {
  return open(`Erase ${person.name}?`, (close) => {
    const input = el("input", { autocomplete: "off", spellcheck: "false", "data-first": true, "aria-describedby": "erase-what" });
    const yes = button("Erase for good", null, { kind: "danger", type: "submit", disabled: true });
    const status = el("div", { "aria-live": "polite" });
    input.addEventListener("input", () => (yes.disabled = input.value !== person.name));
    const submit = async (event) => {
      event.preventDefault();
      if (input.value !== person.name) return;
      yes.disabled = true;
      status.replaceChildren(el("p", { class: "soft", text: "Erasing, and checking that nothing is left" }));
      try {
        const receipt = await post(`/v1/people/${encodeURIComponent(person.id)}/erase`, { confirm: person.name });
        receipts.set(person.id, receipt.receipt ?? receipt);
        forget();
        close(receipt);
      } catch (error) {
        yes.disabled = false;
        status.replaceChildren(failure(error));
      }
    };
    return el(
      "form",
      { on: { submit } },
      el("p", { id: "erase-what", text: `${some(person.n_faces, "photo", "photos")} and all that was computed from them are removed. This cannot be undone.` }),
      el("label", { class: "field" }, el("span", {}, "Type ", el("b", { text: person.name }), " to confirm"), input),
      status,
      el("div", { class: "dialog-actions" }, button("Cancel", () => close(null)), yes),
    );
  });
}

/** The receipt of a person erased in this tab. */
export async function view({ params }) {
  const receipt = receipts.get(params.id);
  const back = { href: "#/people", label: "People" };
  if (!receipt) {
    return page(
      { title: "Receipt", back },
      empty("log", "This receipt is not here", "Receipts are shown once, after erasing. The audit log keeps the record of every erasure.", linkButton("Open the audit log", "#/audit")),
    );
  }
  const store = () => save(`vultus-receipt-${receipt.id}.json`, `${JSON.stringify(receipt, null, 2)}\n`);
  return page(
    { title: "Erased", back, lede: `Everything of this person was removed on ${when(receipt.at)}.`, actions: [button("Save the receipt", store, { kind: "primary", glyph: "save" })] },
    el(
      "div",
      { class: "receipt" },
      el("h2", { text: "Removed" }),
      el("dl", { class: "facts" }, Object.entries(receipt.removed ?? {}).map(([what, n]) => el("div", {}, el("dt", { text: what.replaceAll("_", " ") }), el("dd", { text: n })))),
      el("h2", { text: "Checked afterwards" }),
      el("ul", { class: "checked" }, (receipt.verified ?? []).map((check) => el("li", { text: check }))),
      el("h2", { text: "On record" }),
      el(
        "dl",
        { class: "facts" },
        [["Receipt", receipt.id], ["Person", receipt.person_id], ["Audit row", receipt.audit_seq], ["Audit hash", receipt.audit_hash]].map(([name, value]) =>
          el("div", {}, el("dt", { text: name }), el("dd", {}, el("code", { text: value ?? "" }))),
        ),
      ),
    ),
  );
}
