// One group of unknown faces: name it, or take out who does not belong.

import { all, can, get, post, query } from "/page/api.js";
import { button, el, page, put } from "/page/dom.js";
import { chooser } from "/page/faces.js";
import { change, complain, toast } from "/page/notices.js";
import { who } from "/page/picker.js";
import { go, show } from "/page/router.js";
import { discard, nameFaces } from "/page/views/unknown.js";
import { some } from "/page/words.js";

/** The view. */
export async function view({ params, signal }) {
  const listed = await get(query("/v1/faces", { cluster_id: params.id, unknown: "true", limit: 100 }), { signal });
  const back = { href: "#/unknown", label: "Unknown" };
  if (!listed.items.length) {
    return page({ title: "This group is done", back, lede: "Its faces are named, removed, or in another group by now." });
  }
  const faces = listed.next_cursor ? await all("/v1/faces", { cluster_id: params.id, unknown: "true" }, { signal }) : listed.items;
  const bar = el("div", { class: "choice-bar", hidden: true });
  const grid = chooser(faces, { label: "Faces of this group", signal, onChange: (ids) => drawBar(bar, grid, faces, ids) });
  const name = async () => {
    const choice = await who("Who is this group?", { yes: "Name the group" });
    if (choice) await nameAll(params.id, faces, choice);
  };
  return page(
    {
      title: some(faces.length, "unknown face", "unknown faces"),
      back,
      lede: "One person? Name them all at once. If somebody else slipped in, select those faces first.",
      actions: can("enroll") ? [button("Name the group", name, { kind: "primary", glyph: "edit" })] : [],
    },
    grid,
    bar,
  );
}

async function nameAll(id, faces, choice) {
  const body = choice.person_id ? { person_id: choice.person_id } : { name: choice.name };
  const run = (undoable) => post(`/v1/clusters/${encodeURIComponent(id)}/name`, body, { undoable });
  const done = await change(`Named ${some(faces.length, "face", "faces")} ${choice.name}.`, run);
  if (done) go("unknown");
}

function drawBar(bar, grid, faces, ids) {
  bar.hidden = ids.length === 0 || !can("enroll");
  const rest = faces.filter((face) => !ids.includes(face.id));
  put(
    bar,
    el("span", { role: "status", text: some(ids.length, "face selected", "faces selected") }),
    button("Clear the selection", () => grid.clear(), { kind: "icon quiet", glyph: "close" }),
    button("Not this person", () => splitOff(ids, rest), { glyph: "split", disabled: rest.length === 0 }),
    button("Remove", () => discard(ids), { kind: "danger", glyph: "trash" }),
    button("Name these", () => nameFaces(ids), { kind: "primary", glyph: "edit" }),
  );
}

/** Note that the chosen faces are not who the rest are; grouping keeps them apart from then on. */
async function splitOff(ids, rest) {
  try {
    for (const a of ids) await post("/v1/links", { kind: "cannot", a, b: rest[0].id });
    toast(`${some(ids.length, "face", "faces")} will stay apart from the rest. Group faces again to see it.`);
  } catch (error) {
    complain(error);
  }
  show();
}
