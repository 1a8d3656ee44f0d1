// "Who is this?": a text field that finds people while one types (the combobox pattern), or takes a new name.

import { get, query } from "/page/api.js";
import { button, el, icon } from "/page/dom.js";
import { open } from "/page/dialogs.js";
import { portrait } from "/page/faces.js";
import { some } from "/page/words.js";

let serial = 0;

/**
 * Ask who somebody is. `first` are people to offer before anything is typed: [{person_id, name}].
 * Answers {person_id, name} for somebody known, {name} for a new person, or null.
 */
export function who(title, { first = [], fresh = true, yes = "Name", except = null, note = null } = {}) {
  return open(title, (close) => {
    const box = combobox({ fresh, except, first, onPick: (choice) => close(choice) });
    const submit = (event) => {
      event.preventDefault();
      const choice = box.choice();
      if (choice) close(choice);
      else box.input.focus();
    };
    return el(
      "form",
      { on: { submit } },
      el("label", { class: "field", for: box.input.id }, el("span", { text: fresh ? "Name" : "Person" })),
      box.node,
      note && el("p", { class: "soft small", text: note }),
      el(
        "div",
        { class: "dialog-actions" },
        button("Cancel", () => close(null)),
        button(yes, null, { kind: "primary", type: "submit" }),
      ),
    );
  });
}

/** The field and its list. `onPick` is called for a choice by pointer; `choice()` is what is written or highlighted. */
export function combobox({ fresh = true, first = [], except = null, onPick }) {
  const id = `who-${++serial}`;
  let options = [];
  let active = -1;
  let asked = 0;
  const input = el("input", {
    id,
    role: "combobox",
    autocomplete: "off",
    spellcheck: "false",
    maxlength: 200,
    "aria-autocomplete": "list",
    "aria-expanded": "false",
    "aria-controls": `${id}-list`,
    placeholder: fresh ? "Type a name" : "Find a person",
    "data-first": true,
  });
  const list = el("ul", { id: `${id}-list`, role: "listbox", class: "options", "aria-label": "People", hidden: true });

  const mark = (index) => {
    active = index;
    [...list.children].forEach((item, i) => item.setAttribute("aria-selected", String(i === active)));
    if (active >= 0) {
      input.setAttribute("aria-activedescendant", list.children[active].id);
      list.children[active].scrollIntoView({ block: "nearest" });
    } else input.removeAttribute("aria-activedescendant");
  };
  const show = (items) => {
    options = items;
    list.replaceChildren(...items.map((item, i) => option(item, `${id}-${i}`, () => onPick(item.choice))));
    list.hidden = items.length === 0;
    input.setAttribute("aria-expanded", String(items.length > 0));
    mark(-1);
  };
  const look = async () => {
    const mine = ++asked;
    const typed = input.value.trim();
    if (!typed && first.length) return show(first.map((one) => ({ choice: one, face: one.cover_face_id, hint: "suggested" })));
    let items = [];
    try {
      items = (await get(query("/v1/people", { q: typed, limit: 8 }))).items;
    } catch (error) {
      input.setAttribute("aria-description", error.message); // a new name can still be given
    }
    if (mine !== asked) return undefined; // a later letter was typed
    const known = items
      .filter((one) => one.id !== except)
      .map((one) => ({
        choice: { person_id: one.id, name: one.name },
        face: one.cover_face_id,
        hint: some(one.n_faces, "photo", "photos"),
      }));
    const exact = items.some((one) => one.name === typed);
    const added = fresh && typed && !exact ? [{ choice: { name: typed }, hint: "new person" }] : [];
    return show([...known, ...added]);
  };
  let timer = 0;
  input.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(look, 120);
  });
  input.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      const step = event.key === "ArrowDown" ? 1 : -1;
      if (options.length) mark((active + step + options.length) % options.length);
    }
  });
  const choice = () => {
    if (active >= 0) return options[active].choice;
    const typed = input.value.trim();
    if (!typed) return null;
    const exact = options.find((one) => one.choice.person_id && one.choice.name.toLowerCase() === typed.toLowerCase());
    return exact?.choice ?? (fresh ? { name: typed } : null);
  };
  look();
  return { node: el("div", { class: "combobox" }, input, list), input, choice };
}

function option(item, id, pick) {
  return el(
    "li",
    { id, role: "option", "aria-selected": "false", on: { click: pick } },
    item.choice.person_id ? portrait(item.face, { size: "tiny" }) : el("span", { class: "portrait tiny" }, icon("add")),
    el("span", { class: "option-name", text: item.choice.name }),
    el("span", { class: "soft small", text: item.hint }),
  );
}
