// Stored faces: their crops, fetched with the key, and a grid in which some can be chosen.

import { crop } from "/page/api.js";
import { el, icon } from "/page/dom.js";
import { score as digits, quality, some } from "/page/words.js";

const seen = new IntersectionObserver(
  (entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      seen.unobserve(entry.target);
      entry.target.dispatchEvent(new Event("wanted"));
    }
  },
  { rootMargin: "300px" },
);

/** A square with the crop of a stored face; asked for when it comes near the screen. */
export function portrait(faceId, { alt = "", size = "", signal } = {}) {
  const box = el("span", { class: `portrait ${size}` }, icon("people"));
  if (!faceId) return box;
  box.addEventListener("wanted", () => load(box, faceId, alt, signal));
  seen.observe(box);
  return box;
}

async function load(box, faceId, alt, signal) {
  let blob;
  try {
    blob = await crop(faceId, signal);
  } catch (error) {
    if (error.name !== "AbortError") box.title = error.message; // the placeholder stays
    return;
  }
  const url = URL.createObjectURL(blob);
  const image = el("img", { alt, src: url, draggable: "false" });
  const done = () => URL.revokeObjectURL(url); // once decoded it is shown from memory
  image.addEventListener("load", () => (done(), box.replaceChildren(image)));
  image.addEventListener("error", done);
}

/** Several crops on one line, with "+3" for the rest. */
export function strip(faceIds, total, signal) {
  const rest = total - faceIds.length;
  return el(
    "div",
    { class: "strip" },
    faceIds.map((id) => portrait(id, { signal })),
    rest > 0 && el("span", { class: "portrait rest", text: `+${rest}`, "aria-label": `and ${some(rest, "more face", "more faces")}` }),
  );
}

/**
 * Faces that can be chosen, as checkboxes with pictures. `onChange(ids)` gets the chosen ids. The element has
 * `chosen()` and `clear()`.
 */
export function chooser(faces, { label, signal, onChange, caption = null }) {
  const boxes = new Map();
  const chosen = () => [...boxes].filter(([, box]) => box.checked).map(([id]) => id);
  const list = el("ul", { class: "face-grid", "aria-label": label });
  const add = (face, index) => {
    const words = `Photo ${index + 1}, ${quality(face.quality)} quality`;
    const box = el("input", { type: "checkbox", "aria-label": words, on: { change: () => onChange(chosen()) } });
    boxes.set(face.id, box);
    const foot = caption ? caption(face) : meter(face.quality);
    list.append(el("li", {}, el("label", { class: "face-tile" }, portrait(face.id, { signal }), box, foot)));
  };
  faces.forEach(add);
  list.chosen = chosen;
  list.clear = () => {
    for (const box of boxes.values()) box.checked = false;
    onChange([]);
  };
  list.more = (items) => items.forEach((face) => add(face, boxes.size));
  return list;
}

/** Quality as a short bar and a word. */
export function meter(value) {
  const known = value !== null && value !== undefined;
  return el(
    "span",
    { class: "meter-line" },
    known && el("span", { class: "bar", style: { "--share": Math.min(1, Math.max(0, value)) } }),
    el("span", { text: known ? `${quality(value)} quality` : "quality not assessed" }),
  );
}

/** How alike, with the bar it has to clear. */
export function likeness(score, threshold) {
  if (score === null || score === undefined || threshold === null || threshold === undefined) return null;
  const at = (value) => Math.min(1, Math.max(0, value));
  return el(
    "span",
    { class: `likeness ${score >= threshold ? "over" : ""}` },
    el(
      "span",
      { class: "scale", "aria-hidden": "true", style: { "--score": at(score), "--need": at(threshold) } },
      el("span", { class: "need" }),
    ),
    el("span", { class: "small soft", text: `likeness ${digits(score)}, ${digits(threshold)} needed` }),
  );
}
