// Enrolling: a folder per person, or photos and a name. What became of every photo is shown.

import { can } from "/page/api.js";
import { takePhoto } from "/page/camera.js";
import { button, el, empty, icon, linkButton, page, put } from "/page/dom.js";
import { choose, dropZone, onPaste } from "/page/pictures.js";
import { drop, enroll, gather, reset, roster, run, stop, totals, without } from "/page/roster.js";
import { sentence, some } from "/page/words.js";

/** The view. */
export async function view({ signal }) {
  if (!can("enroll")) {
    return page({ title: "Enroll" }, empty("enroll", "Enrolling needs another key", "Your key may look and identify. Ask whoever runs this server for one that may enroll."));
  }
  const body = el("div", { class: "enroll" });
  const draw = () => {
    const focused = document.activeElement?.dataset?.keep;
    put(body, roster.groups.length ? [sources("", ["Folder", "Photos", "Camera"]), list(), foot()] : welcome());
    if (focused) body.querySelector(`[data-keep="${CSS.escape(focused)}"]`)?.focus();
  };
  roster.onChange = draw;
  signal.addEventListener("abort", () => (roster.onChange = () => {}));
  dropZone(body, gather);
  onPaste(signal, gather);
  draw();
  return page({ title: "Enroll", lede: "Two to ten sharp photos of a person work best; one is enough to begin with." }, body);
}

async function fromCamera() {
  const photo = await takePhoto();
  if (photo) gather([photo]);
}

function sources(kind, [folder, photos, camera]) {
  return el(
    "div",
    { class: "actions start" },
    button(folder, async () => gather(await choose({ folder: true })), { glyph: "folder", kind }),
    button(photos, async () => gather(await choose()), { glyph: "photo" }),
    button(camera, fromCamera, { glyph: "camera" }),
  );
}

function welcome() {
  return el(
    "div",
    { class: "drop" },
    el("div", { class: "empty-mark" }, icon("enroll")),
    el("h2", { text: "Drop a folder of people here" }),
    el("p", { class: "soft", text: "A folder with one folder per person, called by their names. Or photos of one person: you give the name." }),
    sources("primary", ["Choose a folder", "Choose photos", "Use the camera"]),
  );
}

function list() {
  return el("ul", { class: "enrollees", "aria-label": "People to enroll" }, roster.groups.map(row));
}

function row(group, index) {
  const rest = group.files.length - group.urls.length;
  const thumbs = el("span", { class: "strip" }, group.urls.map((url) => el("span", { class: "portrait small" }, el("img", { src: url, alt: "", loading: "lazy" }))), rest > 0 && el("span", { class: "portrait small rest", text: `+${rest}` }));
  return el(
    "li",
    { class: `enrollee ${group.state}` },
    el("div", { class: "enrollee-line" }, thumbs, nameField(group, index), el("span", { class: "soft small nowrap", text: some(group.files.length, "photo", "photos") }), status(group)),
    outcome(group),
  );
}

function nameField(group, index) {
  if (group.state !== "ready" && group.state !== "failed") return el("b", { class: "enrollee-name", text: group.name });
  const input = el("input", {
    class: "enrollee-name",
    value: group.name,
    maxlength: 200,
    autocomplete: "off",
    placeholder: "Who is this?",
    "aria-label": `Name of person ${index + 1}`,
    data: { keep: `name-${index}` },
    on: { input: () => ((group.name = input.value), updateStart()) },
  });
  return input;
}

function status(group) {
  const away = button("Take off the list", () => drop(group), { kind: "icon quiet", glyph: "close" });
  if (group.state === "working") return el("span", { class: "state" }, el("span", { class: "spinner" }), el("span", { class: "small", text: roster.waiting ? `Busy: waiting ${roster.waiting} s` : "Enrolling" }));
  if (group.state === "done") return el("span", { class: "state" }, icon("check"), el("a", { href: `#/people/${encodeURIComponent(group.personId)}`, text: "Open", "aria-label": `Open ${group.name}` }));
  return el("span", { class: "state" }, away);
}

function outcome(group) {
  if (group.state === "conflict") return conflict(group);
  if (group.state === "failed") {
    const id = group.error.requestId ? ` Request ${group.error.requestId}.` : "";
    return el("div", { class: "enrollee-more bad-words" }, el("p", { role: "alert", text: `${sentence(group.error.message)}${id}` }), refusals(group.error.details.refused ?? group.refused), button("Try again", () => enroll(group), { kind: "small", glyph: "refresh" }));
  }
  if (group.state !== "done") return null;
  const known = group.known ? `, ${some(group.known, "was", "were")} there already` : "";
  const words = `${some(group.used, "photo", "photos")} used${known}${group.refused.length ? `, ${group.refused.length} refused` : ""}.`;
  return el("div", { class: "enrollee-more" }, el("p", { class: "small soft", text: words }), refusals(group.refused));
}

function refusals(refused) {
  if (!refused.length) return null;
  return el("ul", { class: "refusals", "aria-label": "Refused photos" }, refused.map((one) => el("li", {}, el("b", { text: one.photo }), el("span", { text: one.reason }))));
}

function conflict(group) {
  const alike = group.error.details.photos;
  const names = [...new Set(alike.map((one) => one.name))];
  const whose = alike[0].person_id; // without an id the very photo is somebody's already, and no wish changes that
  const left = group.files.length - alike.length;
  return el(
    "div",
    { class: "enrollee-more" },
    el("p", { role: "alert", text: `${some(alike.length, "photo looks", "photos look")} like ${names.join(", ")}, who ${names.length === 1 ? "is" : "are"} enrolled already.` }),
    el("ul", { class: "refusals", "aria-label": "Photos of somebody else" }, alike.map((one) => el("li", {}, el("b", { text: one.photo }), el("span", { text: one.reason ?? `is a photo of ${one.name}` })))),
    el(
      "div",
      { class: "actions start" },
      whose && names.length === 1 && button(`Add to ${names[0]}`, () => enroll(group, { into: whose }), { kind: "small primary" }),
      left > 0 && button("Leave these out", () => without(group, alike), { kind: "small" }),
      whose && button(`Enroll as ${group.name} anyway`, () => enroll(group, { force: true }), { kind: "small" }),
      button("Skip this person", () => drop(group), { kind: "small quiet" }),
    ),
  );
}

function foot() {
  const sum = totals();
  const node = el("div", { class: "enroll-foot" });
  if (roster.running) {
    put(node, el("progress", { value: sum.sent, max: sum.photos, "aria-label": "Photos sent" }), el("span", { class: "soft", text: `${sum.sent} of ${some(sum.photos, "photo", "photos")}` }), button("Stop", stop));
    return node;
  }
  if (sum.open) {
    put(node, el("span", { class: "soft", text: `${some(sum.open, "person", "people")}, ${some(sum.photos - sum.sent, "photo", "photos")}` }), button("Clear", reset, { kind: "quiet" }), button("Enroll", run, { kind: "primary", glyph: "check", data: { start: "true" }, disabled: !ready() }));
    return node;
  }
  const done = sum.people ? `${some(sum.people, "person", "people")} enrolled from ${some(sum.used, "photo", "photos")}. ` : "";
  const refused = sum.refused ? `${some(sum.refused, "photo", "photos")} refused. ` : "";
  const stuck = sum.stuck ? `${some(sum.stuck, "person needs", "people need")} your decision.` : "";
  put(node, el("p", { role: "status" }, el("b", { text: done }), refused, stuck), button("Enroll more", reset), linkButton("See people", "#/people", { kind: "primary", glyph: "people" }));
  return node;
}

function ready() {
  return roster.groups.some((one) => one.state === "ready" && one.name.trim());
}

function updateStart() {
  const start = document.querySelector("[data-start]");
  if (start) start.disabled = !ready();
}
