// Who is in this photo? Drop, paste, choose or take one; several are worked off one after the other.

import { can, get } from "/page/api.js";
import { takePhoto } from "/page/camera.js";
import { button, el, icon, linkButton, page, put } from "/page/dom.js";
import { choose, dropZone, onPaste } from "/page/pictures.js";
import { add, again, clear, shelf, tally } from "/page/shelf.js";
import { faceList, picture } from "/page/stage.js";
import { once, outOf, some } from "/page/words.js";

/** The view. */
export async function view({ signal }) {
  const [people, security, health] = await Promise.all([
    get("/v1/people?limit=1", { signal }),
    get("/v1/security", { signal }).catch(() => null), // a recognizer nobody has calibrated: photos can still be looked at
    get("/v1/health", { signal }),
  ]);
  const body = el("div", { class: "identify" });
  const draw = (focus = null) => {
    put(body, shelf.items.length ? bench() : welcome(people.items.length > 0));
    if (focus !== null) document.getElementById(`face-${focus}`)?.focus({ preventScroll: true });
  };
  shelf.onChange = draw;
  signal.addEventListener("abort", () => (shelf.onChange = () => {}));
  onPaste(signal, add);
  dropZone(body, add);
  draw();
  return page({ title: "Identify", lede: level(security, health.store?.people ?? 0) }, body);
}

function level(security, n) {
  if (!security) return null;
  const now = security.levels?.find((one) => one.fmr === security.fmr);
  const chance = now?.fpir?.value;
  const known = chance !== null && chance !== undefined && n > 0;
  return [
    `A stranger is taken for a given person ${once(security.fmr)}`,
    known ? `; with ${some(n, "person", "people")} enrolled, ${outOf(chance)} strangers would be named. ` : ". ",
    el("a", { href: "#/security", text: "Change the level" }),
  ];
}

async function fromCamera() {
  const photo = await takePhoto();
  if (photo) add([photo]);
}

function sources([photos, folder, camera]) {
  return [
    button(photos, async () => add(await choose()), { kind: "primary", glyph: "photo" }),
    button(folder, async () => add(await choose({ folder: true })), { glyph: "folder" }),
    button(camera, fromCamera, { glyph: "camera" }),
  ];
}

function welcome(enrolled) {
  return [
    el(
      "div",
      { class: "drop" },
      el("div", { class: "empty-mark" }, icon("scan")),
      el("h2", { text: "Drop photos here" }),
      el("p", { class: "soft", text: "or paste one. They go to your own server and are not kept unless you name a face." }),
      el("div", { class: "actions" }, sources(["Choose photos", "Choose a folder", "Use the camera"])),
    ),
    !enrolled &&
      el(
        "div",
        { class: "note" },
        icon("enroll"),
        el("p", { text: "Nobody is enrolled yet: every face will be a stranger. Name the faces of a photo, or enroll people from their photos." }),
        can("enroll") && linkButton("Enroll people", "#/enroll"),
      ),
  ];
}

function bench() {
  shelf.selected = Math.min(shelf.selected, shelf.items.length - 1);
  const item = shelf.items[shelf.selected];
  return [
    el("div", { class: "bench-bar" }, sources(["Photos", "Folder", "Camera"]), keepSwitch()),
    el("div", { class: "progress-line" }, progress(), el("span", { class: "push" }), rerun(), button("Clear", clear, { kind: "quiet small", glyph: "close" })),
    shelf.items.length > 1 && film(),
    el("div", { class: "bench" }, picture(item), el("section", { class: "found", "aria-label": "Faces of this photo" }, faceList(item))),
  ];
}

function rerun() {
  if (shelf.items.some((item) => item.state === "waiting" || item.state === "working")) return null;
  return button("Identify again", again, { kind: "quiet small", glyph: "refresh" });
}

function keepSwitch() {
  if (!can("enroll")) return null;
  const box = el("input", { type: "checkbox", checked: shelf.keep, on: { change: () => (shelf.keep = box.checked) } });
  return el("label", { class: "check", title: "Faces nobody is known for go to Unknown, for review" }, box, el("span", { text: "Keep unknown faces for review" }));
}

function progress() {
  const sum = tally();
  const ended = sum.done + sum.failed;
  const words = `${some(sum.faces, "face", "faces")}: ${sum.named} named, ${sum.strangers} not enrolled, ${sum.unsure} not sure`;
  return [
    ended < sum.total && el("progress", { value: ended, max: sum.total, "aria-label": "Photos done" }),
    el("span", { text: ended < sum.total ? `${ended} of ${sum.total} photos` : some(sum.total, "photo", "photos") }),
    el("span", { class: "soft", text: words }),
    sum.failed > 0 && el("span", { class: "bad-words", text: `${sum.failed} not read` }),
  ];
}

function film() {
  const select = (index) => {
    shelf.selected = index;
    shelf.onChange();
    document.querySelectorAll(".film button")[index]?.focus();
  };
  const mark = { failed: "warn", waiting: "more", working: "refresh" };
  return el(
    "ul",
    { class: "film", "aria-label": "Photos" },
    shelf.items.map((item, index) =>
      el(
        "li",
        {},
        el(
          "button",
          {
            type: "button",
            class: `thumb ${item.state}`,
            "aria-label": `${item.file.name}, ${item.state}`,
            "aria-current": index === shelf.selected ? "true" : null,
            on: { click: () => select(index) },
          },
          item.thumb ?? icon(mark[item.state] ?? "photo"),
          item.answer && el("b", { text: item.answer.faces.length }),
        ),
      ),
    ),
  );
}
