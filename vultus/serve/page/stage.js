// One photo with its faces marked, and the list of those faces.

import { can, post } from "/page/api.js";
import { button, el, icon, linkButton } from "/page/dom.js";
import { likeness } from "/page/faces.js";
import { change, complain, failure } from "/page/notices.js";
import { who } from "/page/picker.js";
import { again, keepFace, outcome, reconsider, shelf } from "/page/shelf.js";
import { decided, some } from "/page/words.js";

const TITLES = { reject: "Not enrolled", abstain: "Not sure", found: "Face" };

function title(item, face, index) {
  const own = item.own[index];
  if (own) return own.name;
  const kind = outcome(item, face, index);
  return kind === "accept" ? face.decision.match.name : TITLES[kind];
}

/** The photo, with a button around every face. */
export function picture(item) {
  const image = el("img", { src: item.url, alt: `Photo ${item.file.name}` });
  const frame = el("div", { class: "frame" }, image);
  image.addEventListener("error", () => frame.replaceChildren(el("p", { class: "soft unseen", text: "This browser cannot show this kind of picture. The server may still read it." })));
  (item.answer?.faces ?? []).forEach((face, index) => frame.append(marked(item, face, index)));
  if (item.state === "waiting" || item.state === "working") {
    frame.append(el("div", { class: "veil", role: "status" }, el("span", { class: "spinner" }), "Looking for faces"));
  }
  return el("figure", { class: "stage" }, frame, el("figcaption", { class: "small soft", text: item.file.name }));
}

function marked(item, face, index) {
  const box = face.box_norm;
  const percent = (value) => `${(100 * value).toFixed(3)}%`;
  const name = title(item, face, index);
  return el(
    "button",
    {
      type: "button",
      class: `mark-box ${outcome(item, face, index)}`,
      "aria-label": `Face ${index + 1}: ${name}`,
      style: { left: percent(box.x1), top: percent(box.y1), width: percent(box.x2 - box.x1), height: percent(box.y2 - box.y1) },
      on: {
        click: () => document.getElementById(`face-${index}`)?.focus(),
        pointerenter: () => light(index, true),
        pointerleave: () => light(index, false),
      },
    },
    el("span", { class: "tag" }, el("b", { text: index + 1 }), el("span", { text: name })),
  );
}

function light(index, on) {
  document.getElementById(`face-${index}`)?.classList.toggle("lit", on);
  document.querySelectorAll(".mark-box")[index]?.classList.toggle("lit", on);
}

/** The faces of the photo, each with who it is, how sure that is, and how to correct it. */
export function faceList(item) {
  if (item.state === "failed") return failure(item.error, () => retry(item));
  if (!item.answer) return el("p", { class: "soft", text: "The faces appear here." });
  const { faces } = item.answer;
  if (!faces.length) {
    return el("div", { class: "note" }, icon("scan"), el("p", { text: "No face was found in this photo. Faces need to be at least a few dozen pixels wide and turned to the camera." }));
  }
  return el(
    "div",
    {},
    el("h2", { class: "list-title", text: some(faces.length, "face", "faces") }),
    el("ol", { class: "sightings" }, faces.map((face, index) => card(item, face, index))),
  );
}

function retry(item) {
  Object.assign(item, { error: null });
  again();
}

function card(item, face, index) {
  const kind = outcome(item, face, index);
  const own = item.own[index];
  const { decision } = face;
  const sentence = own ? "Named by you." : decided(decision, face.words);
  return el(
    "li",
    {
      class: `sighting ${kind}`,
      id: `face-${index}`,
      tabIndex: -1,
      on: { pointerenter: () => light(index, true), pointerleave: () => light(index, false) },
    },
    el("span", { class: "portrait" }, item.cuts[index] ?? icon("people"), el("b", { class: "number", text: index + 1 })),
    el(
      "div",
      { class: "sighting-words" },
      el("h3", {}, el("span", { class: `dot ${kind}`, "aria-hidden": "true" }), el("span", { text: title(item, face, index) })),
      sentence && el("p", { class: "small", text: sentence }),
      !own && likeness(decision?.score, decision?.threshold),
      el("div", { class: "sighting-actions" }, corrections(item, face, index)),
    ),
  );
}

function corrections(item, face, index) {
  const kind = outcome(item, face, index);
  const { match } = face.decision ?? {};
  const personId = item.own[index]?.person_id ?? (kind === "accept" ? match?.identity_id : null);
  const links = personId ? [linkButton("Open", `#/people/${encodeURIComponent(personId)}`, { kind: "small" })] : [];
  if (!can("enroll")) return links;
  const naming = button(personId ? "Somebody else" : "Name this face", () => name(item, face, index), { kind: "small", glyph: personId ? null : "edit" });
  if (kind === "abstain" && match) {
    return [button(`Yes, ${match.name}`, () => assign(item, index, { person_id: match.identity_id, name: match.name }), { kind: "small primary", glyph: "check" }), naming];
  }
  if (kind === "accept" && !item.own[index]) {
    const no = button(`Not ${match.name}`, () => notThem(item, index, match), { kind: "small", glyph: "close" });
    return [...links, no, naming];
  }
  return [...links, naming];
}

async function name(item, face, index) {
  const first = (face.candidates ?? []).map((one) => ({ person_id: one.identity_id, name: one.name }));
  const note = face.face_id ? null : "This face is stored under the name; the other faces of the photo are not.";
  const choice = await who("Who is this?", { first, note });
  if (choice) await assign(item, index, choice);
}

async function assign(item, index, choice) {
  const target = choice.person_id ? { person_id: choice.person_id } : { name: choice.name };
  const run = async (undoable) => {
    const faceId = await keepFace(item, index);
    return post("/v1/faces/assign", { face_ids: [faceId], ...target }, { undoable });
  };
  await change(`Named ${choice.name}.`, run, (answer) => {
    const person = answer?.person ?? answer;
    item.own[index] = person ? { person_id: person.id, name: person.name, face_id: item.answer.faces[index].face_id } : null;
    shelf.onChange(index);
  });
}

async function notThem(item, index, match) {
  const run = async (undoable) => {
    const faceId = await keepFace(item, index);
    return post("/v1/links", { kind: "not_person", a: faceId, b: match.identity_id }, { undoable });
  };
  await change(`Noted: this is not ${match.name}.`, run, async () => {
    try {
      await reconsider(item, index);
    } catch (error) {
      complain(error);
    }
    shelf.onChange(index);
  });
}
