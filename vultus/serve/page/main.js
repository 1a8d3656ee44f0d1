// The page: signing in, navigation, and which view shows what.

import { can, get, key, session, setKey, takeKeyFromAddress } from "/page/api.js";
import { button, el, icon, put } from "/page/dom.js";
import { open } from "/page/dialogs.js";
import { failure } from "/page/notices.js";
import { halt, here, start } from "/page/router.js";
import { THEMES, setTheme, theme } from "/page/theme-choice.js";
import { view as audit } from "/page/views/audit.js";
import { view as cluster } from "/page/views/cluster.js";
import { view as enroll } from "/page/views/enroll.js";
import { view as receipt } from "/page/views/erase.js";
import { view as history } from "/page/views/history.js";
import { view as identify } from "/page/views/identify.js";
import { view as people } from "/page/views/people.js";
import { view as person } from "/page/views/person.js";
import { view as security } from "/page/views/security.js";
import { view as settings } from "/page/views/settings.js";
import { signIn } from "/page/views/signin.js";
import { view as unknown } from "/page/views/unknown.js";

const ROUTES = [
  ["identify", identify],
  ["people", people],
  ["people/:id", person],
  ["receipt/:id", receipt],
  ["unknown", unknown],
  ["unknown/:id", cluster],
  ["enroll", enroll],
  ["history", history],
  ["security", security],
  ["audit", audit],
  ["settings", settings],
];
const WORK = [
  ["identify", "Identify", "scan", "identify"],
  ["people", "People", "people", "read"],
  ["unknown", "Unknown", "unknown", "read"],
  ["enroll", "Enroll", "enroll", "enroll"],
];
const RECORDS = [
  ["history", "History", "history", "read"],
  ["security", "Security", "shield", "read"],
  ["audit", "Audit", "log", "admin"],
  ["settings", "Settings", "settings", "read"],
];
const PARENT = { receipt: "people" };
let running = false;

function entry([path, label, glyph]) {
  return el("a", { href: `#/${path}`, class: "nav-link", data: { path } }, icon(glyph), el("span", { text: label }), path === "unknown" && el("span", { class: "badge", data: { badge: "unknown" }, hidden: true }));
}

function allowed(entries) {
  return entries.filter(([, , , role]) => can(role));
}

function drawNavigation() {
  const who = session.me.name || session.me.key_id || "local";
  put(
    document.getElementById("side"),
    el("a", { class: "brand", href: "#/identify" }, icon("scan"), el("span", { text: "vultus" })),
    el("nav", { "aria-label": "Main" }, el("div", { class: "nav-group" }, allowed(WORK).map(entry)), el("div", { class: "nav-group" }, allowed(RECORDS).map(entry))),
    el("div", { class: "side-foot" }, el("p", { class: "small soft who" }, icon("key"), el("span", { class: "name", text: who }), el("span", { text: `may ${session.me.role === "admin" ? "administer" : session.me.role}` })), themeButton()),
  );
  put(document.getElementById("bottom"), allowed(WORK).map(entry), button("More", more, { kind: "nav-link", glyph: "more" }));
  mark(here());
}

function themeButton() {
  const node = el("button", { type: "button", class: "button icon quiet" });
  const draw = () => {
    const at = THEMES.findIndex(([value]) => value === theme());
    const [, label, glyph] = THEMES[at];
    put(node, icon(glyph), el("span", { class: "visually-hidden", text: `Colors: ${label}. Change` }));
    node.title = `Colors: ${label}`;
    return at;
  };
  node.addEventListener("click", () => {
    setTheme(THEMES[(draw() + 1) % THEMES.length][0]);
    draw();
  });
  draw();
  return node;
}

function more() {
  return open("More", (close) => el("nav", { class: "sheet", "aria-label": "More" }, allowed(RECORDS).map((one) => {
    const link = entry(one);
    link.addEventListener("click", () => close(null));
    return link;
  })));
}

function mark(path) {
  const now = PARENT[path] ?? path;
  for (const link of document.querySelectorAll(".side .nav-link, .bottom .nav-link")) {
    if (link.dataset.path === now) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const inMore = RECORDS.some(([one]) => one === now);
  document.querySelector(".bottom button")?.classList.toggle("current", inMore);
  count();
}

async function count() {
  let unknownFaces;
  try {
    unknownFaces = (await get("/v1/health")).store?.unknown ?? 0;
  } catch (error) {
    return; // the number is a convenience; the view itself says what is wrong
  }
  for (const badge of document.querySelectorAll("[data-badge=unknown]")) {
    put(badge, unknownFaces > 999 ? "999+" : unknownFaces, el("span", { class: "visually-hidden", text: " unknown faces" }));
    badge.hidden = unknownFaces === 0;
  }
}

function enter() {
  document.body.classList.remove("locked");
  drawNavigation();
  if (running) dispatchEvent(new HashChangeEvent("hashchange"));
  else start(ROUTES);
  running = true;
}

function lock(refused) {
  halt();
  document.body.classList.add("locked");
  document.querySelectorAll("dialog").forEach((dialog) => dialog.close());
  put(document.getElementById("side"));
  put(document.getElementById("bottom"));
  const screen = signIn(enter, refused);
  put(document.getElementById("main"), screen);
  document.title = "Sign in · vultus";
  screen.querySelector("input").focus();
}

async function begin() {
  takeKeyFromAddress();
  addEventListener("hashchange", () => {
    if (takeKeyFromAddress()) location.reload(); // a new link was opened in this tab
  });
  document.addEventListener("view", (event) => mark(event.detail));
  addEventListener("dragover", (event) => event.preventDefault());
  addEventListener("drop", (event) => event.preventDefault()); // a photo dropped beside the zone must not replace the page
  const had = key() !== null;
  document.addEventListener("signed-out", (event) => {
    if (document.body.classList.contains("locked")) return; // the form itself says that a key was refused
    setKey(null);
    lock(event.detail?.status === 401 && !had && !running ? null : event.detail);
  });
  try {
    session.me = await get("/v1/me");
  } catch (error) {
    if (error.status === 401) return; // the screen is locked
    const again = () => location.reload();
    put(document.getElementById("main"), el("div", { class: "signin" }, el("h1", { text: "vultus" }), failure(error, again)));
    return;
  }
  enter();
}

begin();
