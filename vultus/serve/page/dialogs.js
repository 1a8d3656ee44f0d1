// Questions in a <dialog>: focus stays inside, Escape closes, focus returns to where it was.

import { button, el } from "/page/dom.js";

let serial = 0;

/**
 * Open a dialog and wait for its answer. `body(close)` returns the content; `close(value)` ends it. Escape, the cross
 * and a click beside it answer null.
 */
export function open(title, body, { wide = false } = {}) {
  return new Promise((resolve) => {
    const id = `dialog-${++serial}`;
    let answer = null;
    const close = (value = null) => {
      answer = value;
      dialog.close();
    };
    const dialog = el(
      "dialog",
      { class: wide ? "wide" : null, "aria-labelledby": id },
      el(
        "div",
        { class: "dialog-head" },
        el("h2", { id, text: title }),
        button("Close", () => close(), { kind: "icon", glyph: "close" }),
      ),
      body(close),
    );
    dialog.addEventListener("click", (event) => {
      if (event.target === dialog && event.detail > 0) close();
    });
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(answer);
    });
    document.body.append(dialog);
    dialog.showModal();
    dialog.querySelector("[data-first]")?.focus();
  });
}

/** Yes or no about something that cannot be taken back easily. */
export function confirm(title, sentence, yes, { kind = "primary" } = {}) {
  return open(title, (close) =>
    el(
      "div",
      {},
      el("p", { text: sentence }),
      el(
        "div",
        { class: "dialog-actions" },
        button("Cancel", () => close(null), { "data-first": true }),
        button(yes, () => close(true), { kind }),
      ),
    ),
  );
}

/** Ask for one line of text; null when it was canceled. */
export function line(title, label, { value = "", yes = "Save" } = {}) {
  return open(title, (close) => {
    const input = el("input", { id: `line-${serial}`, value, required: true, autocomplete: "off", maxlength: 200, "data-first": true });
    const form = el(
      "form",
      {
        on: {
          submit: (event) => {
            event.preventDefault();
            if (input.value.trim()) close(input.value.trim());
          },
        },
      },
      el("label", { class: "field" }, el("span", { text: label }), input),
      el(
        "div",
        { class: "dialog-actions" },
        button("Cancel", () => close(null)),
        button(yes, null, { kind: "primary", type: "submit" }),
      ),
    );
    queueMicrotask(() => input.select());
    return form;
  });
}
