// The photos being identified: a queue worked off one by one. It outlives the view, so one can look elsewhere and return.

import { ask, can, form, post } from "/page/api.js";
import { announce } from "/page/dom.js";
import { cut, decode } from "/page/pictures.js";
import { some } from "/page/words.js";

export const shelf = { items: [], selected: 0, keep: false, onChange: () => {} };
let working = false;

/** Put photos on the shelf and work on them. */
export function add(files) {
  if (!files.length) return;
  const had = shelf.items.length;
  for (const file of files) {
    shelf.items.push({ file, url: URL.createObjectURL(file), state: "waiting", answer: null, error: null, thumb: null, cuts: [], own: [] });
  }
  if (!had || shelf.items[shelf.selected].state !== "working") shelf.selected = had;
  shelf.onChange();
  work();
}

/** Forget every photo of this page; what was kept on the server stays. */
export function clear() {
  for (const item of shelf.items) URL.revokeObjectURL(item.url);
  shelf.items = [];
  shelf.selected = 0;
  shelf.onChange();
}

/** Identify everything again, after somebody was enrolled or named. */
export function again() {
  for (const item of shelf.items) Object.assign(item, { state: "waiting", error: null });
  shelf.onChange();
  work();
}

/** How many photos are done, and what was found in them. */
export function tally() {
  const done = shelf.items.filter((item) => item.state === "done");
  const faces = done.flatMap((item) => item.answer.faces.map((face, i) => outcome(item, face, i)));
  const of = (kind) => faces.filter((one) => one === kind).length;
  return { total: shelf.items.length, done: done.length, failed: shelf.items.filter((i) => i.state === "failed").length, faces: faces.length, named: of("accept"), strangers: of("reject"), unsure: of("abstain") };
}

/** What was decided about a face, by the user or else by the server. */
export function outcome(item, face, index) {
  if (item.own[index]) return "accept";
  return face.decision?.outcome ?? "found";
}

async function work() {
  if (working) return;
  working = true;
  for (;;) {
    const item = shelf.items.find((one) => one.state === "waiting");
    if (!item) break;
    item.state = "working";
    shelf.onChange();
    await look(item);
    shelf.onChange();
  }
  working = false;
  const sum = tally();
  if (sum.total) announce(`${some(sum.faces, "face", "faces")} found, ${sum.named} named, ${sum.strangers} not enrolled, ${sum.unsure} not sure.`);
}

async function look(item) {
  try {
    const values = shelf.keep && can("enroll") ? { keep: "true" } : {};
    const answer = await sent(item, values);
    const bitmap = await decode(item.file);
    item.answer = answer;
    item.own = answer.faces.map((face, i) => (item.own[i] && item.own[i].face_id === face.face_id ? item.own[i] : null));
    item.thumb = bitmap && cut(bitmap, null, 112);
    item.cuts = answer.faces.map((face) => bitmap && cut(bitmap, face.box_norm, 128));
    bitmap?.close();
    item.state = "done";
  } catch (error) {
    if (error.code === "NoFace") {
      item.answer = { image: null, faces: [] };
      item.state = "done";
    } else {
      item.error = error;
      item.state = "failed";
    }
  }
}

async function sent(item, values) {
  const body = form("image", [item.file], values);
  const onWait = () => shelf.onChange();
  return (await ask("POST", "/v1/identify", { form: body, patience: 4, onWait })).json();
}

/** Store one face of a photo, and none of the strangers beside it. Returns its id. */
export async function keepFace(item, index) {
  const known = item.answer.faces[index].face_id;
  if (known) return known;
  const answer = await sent(item, { keep: String(index) });
  answer.faces.forEach((face, i) => (item.answer.faces[i].face_id = face.face_id ?? item.answer.faces[i].face_id));
  return item.answer.faces[index].face_id;
}

/** Ask anew who a stored face is, after something about it was corrected. */
export async function reconsider(item, index) {
  const face = item.answer.faces[index];
  const answer = await post(`/v1/faces/${encodeURIComponent(face.face_id)}/suggest`);
  face.decision = answer.decision ?? answer;
  face.words = answer.words ?? "";
  face.candidates = answer.candidates ?? [];
  item.own[index] = null;
}
