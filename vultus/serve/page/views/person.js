// One person: the photos behind the template, and everything that can be corrected about them.

import { can, form, get, patch, post, query, remove, upload } from "/page/api.js";
import { button, el, page, put } from "/page/dom.js";
import { confirm, line } from "/page/dialogs.js";
import { chooser, portrait } from "/page/faces.js";
import { change, complain, toast } from "/page/notices.js";
import { choose } from "/page/pictures.js";
import { go, show } from "/page/router.js";
import { erase } from "/page/views/erase.js";
import { quality, share, some, when } from "/page/words.js";

/** The view. */
export async function view({ params, signal }) {
  const path = `/v1/people/${encodeURIComponent(params.id)}`;
  const body = await get(path, { signal });
  const person = body.person ?? body;
  const listed = body.faces?.items ? body.faces : await get(query("/v1/faces", { person_id: person.id, limit: 100 }), { signal });
  const template = body.template ?? person.template ?? {};
  const node = page(
    { title: person.name, back: { href: "#/people", label: "People" }, lede: summary(person, template), actions: actions(person, path, signal) },
    members(person, listed, signal),
    details(person, template),
    can("admin") && danger(person),
  );
  node.querySelector(".head").prepend(portrait(person.cover_face_id ?? listed.items[0]?.id, { signal, size: "large" }));
  return node;
}

function summary(person, template) {
  const n = template.n_images ?? person.n_faces;
  const worth = template.quality === null || template.quality === undefined ? "" : `, ${quality(template.quality)} quality`;
  return `Recognized from ${some(n, "photo", "photos")}${worth}. Enrolled ${when(person.enrolled_at)}.`;
}

function actions(person, path, signal) {
  if (!can("enroll")) return [];
  const rename = async () => {
    const name = await line("Rename", "Name", { value: person.name, yes: "Rename" });
    if (name && name !== person.name) await change(`Renamed to ${name}.`, (undoable) => patch(path, { name }, { undoable }), () => show());
  };
  return [
    button("Rename", rename, { glyph: "edit" }),
    button("Add photos", async () => addPhotos(path, await choose(), signal), { glyph: "add", kind: "primary" }),
  ];
}

async function addPhotos(path, files, signal) {
  if (!files.length) return;
  try {
    const answer = await upload(`${path}/photos`, form("images", files), { signal });
    const refused = answer.refused ?? [];
    toast(`${some(answer.used, "photo", "photos")} added.`);
    for (const one of refused.slice(0, 3)) toast(`${one.photo}: ${one.reason}`, { error: true });
  } catch (error) {
    complain(error);
  }
  show();
}

function members(person, listed, signal) {
  const bar = el("div", { class: "choice-bar", hidden: true });
  const more = el("div", { class: "more" });
  const faces = listed.items;
  const chosenBar = (ids) => {
    bar.hidden = ids.length === 0;
    put(
      bar,
      el("span", { role: "status", text: some(ids.length, "photo selected", "photos selected") }),
      button("Clear the selection", () => grid.clear(), { kind: "icon quiet", glyph: "close" }),
      button("Split off", () => split(person, ids), { glyph: "split", disabled: ids.length >= person.n_faces }),
      button("Make unknown", () => release(ids), { glyph: "unknown" }),
      button("Remove", () => removeAll(ids, person), { kind: "danger", glyph: "trash" }),
    );
  };
  const label = `Photos of ${person.name}`;
  const grid = can("enroll")
    ? chooser(faces, { label, signal, onChange: chosenBar })
    : el("ul", { class: "face-grid", "aria-label": label }, faces.map((face) => el("li", {}, portrait(face.id, { signal }))));
  const showMore = (cursor) =>
    put(more, cursor && button("Show more", async () => {
      try {
        const next = await get(query("/v1/faces", { person_id: person.id, limit: 100, cursor }), { signal });
        grid.more?.(next.items);
        showMore(next.next_cursor);
      } catch (error) {
        complain(error);
      }
    }));
  showMore(listed.next_cursor);
  const hint = can("enroll") && faces.length > 1 ? "Select photos that are of somebody else, or too poor to keep." : null;
  return el("section", { "aria-labelledby": "photos" }, el("h2", { id: "photos", text: "Photos" }), hint && el("p", { class: "soft", text: hint }), grid, more, bar);
}

async function split(person, ids) {
  const name = await line("Split into a new person", "Who is on the selected photos?", { yes: "Split" });
  if (!name) return;
  const run = (undoable) => post(`/v1/people/${encodeURIComponent(person.id)}/split`, { face_ids: ids, name }, { undoable });
  await change(`Moved ${some(ids.length, "photo", "photos")} to ${name}.`, run, () => show());
}

async function release(ids) {
  const run = (undoable) => post("/v1/faces/unassign", { face_ids: ids }, { undoable });
  await change(`Moved ${some(ids.length, "photo", "photos")} to Unknown.`, run, () => show());
}

async function removeAll(ids, person) {
  if (ids.length >= person.n_faces) {
    toast(`These are all photos of ${person.name}. To remove them all, erase the person.`, { error: true });
    return;
  }
  const sure = await confirm(
    `Remove ${some(ids.length, "photo", "photos")}?`,
    `The face, its numbers and its crop are removed for good, and ${person.name} is recognized from the photos that remain. This cannot be undone.`,
    "Remove",
    { kind: "danger" },
  );
  if (!sure) return;
  try {
    for (const id of ids) await remove(`/v1/faces/${encodeURIComponent(id)}`);
    toast(`Removed ${some(ids.length, "photo", "photos")}.`);
  } catch (error) {
    complain(error);
  }
  show();
}

function details(person, template) {
  const rows = [
    ["Identifier", person.id],
    ["Recognizer", template.space ?? "unknown"],
    ["Template quality", template.quality === null || template.quality === undefined ? "not assessed" : `${quality(template.quality)} (${share(template.quality)})`],
    ...Object.entries(person.attributes ?? {}),
  ];
  return el(
    "section",
    { "aria-labelledby": "details" },
    el("h2", { id: "details", text: "Details" }),
    el("dl", { class: "facts" }, rows.map(([name, value]) => el("div", {}, el("dt", { text: name }), el("dd", { text: String(value) })))),
  );
}

function danger(person) {
  const run = async () => {
    if (await erase(person)) go(`receipt/${encodeURIComponent(person.id)}`);
  };
  return el(
    "section",
    { class: "danger-zone", "aria-labelledby": "erase" },
    el("div", {}, el("h2", { id: "erase", text: "Erase this person" }), el("p", { class: "soft", text: "Removes every photo, number and crop of this person, checks that nothing is left, and gives you a receipt." })),
    button("Erase", run, { kind: "danger", glyph: "trash" }),
  );
}
