// Everybody who is enrolled: find, open, merge two who are one.

import { can, get, post, query } from "/page/api.js";
import { button, el, empty, linkButton, page, put } from "/page/dom.js";
import { open } from "/page/dialogs.js";
import { portrait } from "/page/faces.js";
import { change, complain, failure } from "/page/notices.js";
import { show } from "/page/router.js";
import { some } from "/page/words.js";

const PAGE = 60;

/** The view. */
export async function view({ signal }) {
  const body = await get(query("/v1/people", { limit: PAGE }), { signal });
  if (!body.items.length) {
    const next = can("enroll") ? [linkButton("Enroll people", "#/enroll", { kind: "primary", glyph: "enroll" })] : [];
    return page(
      { title: "People" },
      empty("people", "Nobody is enrolled yet", "People appear here with their photos once you enroll a folder, add photos of one person, or name a face.", ...next),
    );
  }
  const state = { signal, q: "", cursor: body.next_cursor, choosing: false, chosen: new Map() };
  const grid = el("ul", { class: "people-grid" });
  const more = el("div", { class: "more" });
  const bar = el("div", { class: "choice-bar", hidden: true });
  const parts = { state, grid, more, bar };
  fill(parts, body, true);
  return page(
    { title: "People", actions: actions(parts) },
    el("div", { class: "tools" }, search(parts)),
    grid,
    more,
    bar,
  );
}

function actions(parts) {
  if (!can("enroll")) return [];
  const toggle = button("Select", () => {
    parts.state.choosing = !parts.state.choosing;
    parts.state.chosen.clear();
    toggle.setAttribute("aria-pressed", String(parts.state.choosing));
    toggle.querySelector("span").textContent = parts.state.choosing ? "Done" : "Select";
    refill(parts);
  }, { "aria-pressed": "false" });
  return [toggle, linkButton("Enroll people", "#/enroll", { kind: "primary", glyph: "enroll" })];
}

function search(parts) {
  let timer = 0;
  const input = el("input", {
    type: "search",
    placeholder: "Find by name",
    "aria-label": "Find people by name",
    autocomplete: "off",
    on: {
      input: () => {
        clearTimeout(timer);
        timer = setTimeout(() => ((parts.state.q = input.value.trim()), refill(parts)), 150);
      },
    },
  });
  return input;
}

async function refill(parts, cursor = null) {
  const { state } = parts;
  const mine = (state.asked = (state.asked ?? 0) + 1);
  try {
    const body = await get(query("/v1/people", { q: state.q, limit: PAGE, cursor }), { signal: state.signal });
    if (mine === state.asked) fill(parts, body, cursor === null);
  } catch (error) {
    if (!state.signal.aborted) put(parts.grid, el("li", { class: "whole" }, failure(error, () => refill(parts))));
  }
}

function fill(parts, body, anew) {
  const { state, grid, more } = parts;
  if (anew) grid.replaceChildren();
  grid.append(...body.items.map((person) => tile(person, parts)));
  if (!grid.children.length) grid.append(el("li", { class: "whole soft", text: `Nobody's name contains “${state.q}”.` }));
  put(more, body.next_cursor && button("Show more", () => refill(parts, body.next_cursor)));
  drawBar(parts);
}

function tile(person, parts) {
  const { state } = parts;
  const inside = [
    portrait(person.cover_face_id, { signal: state.signal, size: "cover" }),
    el("span", { class: "tile-name", text: person.name }),
    el("span", { class: "small soft", text: some(person.n_faces, "photo", "photos") }),
  ];
  if (!state.choosing) return el("li", {}, el("a", { class: "person-tile", href: `#/people/${encodeURIComponent(person.id)}` }, inside));
  const box = el("input", {
    type: "checkbox",
    "aria-label": person.name,
    checked: state.chosen.has(person.id),
    on: {
      change: () => {
        if (box.checked) state.chosen.set(person.id, person);
        else state.chosen.delete(person.id);
        drawBar(parts);
      },
    },
  });
  return el("li", {}, el("label", { class: "person-tile choosable" }, box, inside));
}

function drawBar(parts) {
  const { state, bar } = parts;
  const n = state.chosen.size;
  bar.hidden = !state.choosing;
  put(
    bar,
    el("span", { role: "status", text: n ? some(n, "person selected", "people selected") : "Select the people who are one person" }),
    button("Merge", () => merge(parts), { kind: "primary", glyph: "merge", disabled: n < 2 }),
  );
}

async function merge(parts) {
  const people = [...parts.state.chosen.values()].sort((a, b) => b.n_faces - a.n_faces);
  const keep = await open("Merge into one person", (close) => {
    const choices = people.map((person, i) => {
      const radio = el("input", { type: "radio", name: "keep", value: person.id, checked: i === 0, "data-first": i === 0 });
      return el(
        "label",
        { class: "choice" },
        radio,
        portrait(person.cover_face_id, { size: "small" }),
        el("span", {}, el("b", { text: person.name }), el("span", { class: "small soft", text: some(person.n_faces, "photo", "photos") })),
      );
    });
    const submit = (event) => {
      event.preventDefault();
      close(people.find((person) => person.id === new FormData(event.target).get("keep")));
    };
    return el(
      "form",
      { on: { submit } },
      el("fieldset", {}, el("legend", { text: "Which name stays?" }), choices),
      el("p", { class: "small soft", text: "The others' photos move to this person. You can undo it." }),
      el("div", { class: "dialog-actions" }, button("Cancel", () => close(null)), button("Merge", null, { kind: "primary", type: "submit" })),
    );
  });
  if (!keep) return;
  const absorbed = people.filter((person) => person.id !== keep.id);
  for (const person of absorbed) {
    const done = await change(`Merged ${person.name} into ${keep.name}.`, (undoable) => post(`/v1/people/${encodeURIComponent(keep.id)}/merge`, { absorb_id: person.id }, { undoable }));
    if (!done) break;
  }
  show().catch(complain);
}
