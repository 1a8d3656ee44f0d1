// Who is signed in, how the page looks, which keys exist and which models decide.

import { can, get, post, query, remove, session, setKey } from "/page/api.js";
import { button, el, icon, page, put } from "/page/dom.js";
import { confirm, open } from "/page/dialogs.js";
import { complain, failure, toast } from "/page/notices.js";
import { show } from "/page/router.js";
import { THEMES, setTheme, theme } from "/page/theme-choice.js";
import { count, when } from "/page/words.js";

const ROLES = [
  ["read", "see people, photos and history"],
  ["identify", "also find out who is in a photo"],
  ["enroll", "also enroll, name, merge and split"],
  ["admin", "also erase, set the security level, read the audit log and make keys"],
];

/** The view. */
export async function view({ signal }) {
  const quiet = (error) => (signal.aborted ? Promise.reject(error) : error);
  const [health, models, keys] = await Promise.all([
    get("/v1/health", { signal }).catch(quiet),
    get("/v1/models", { signal }).catch(quiet),
    can("admin") ? get(query("/v1/keys", { limit: 100 }), { signal }).catch(quiet) : null,
  ]);
  return page({ title: "Settings" }, account(), appearance(), keys && keyList(keys), modelList(models), server(health));
}

function block(id, title, ...content) {
  return el("section", { "aria-labelledby": id, class: "setting" }, el("h2", { id, text: title }), el("div", {}, content));
}

function facts(pairs) {
  return el("dl", { class: "facts" }, pairs.map(([name, value]) => el("div", {}, el("dt", { text: name }), el("dd", { text: value }))));
}

function account() {
  const { me } = session;
  const leave = () => {
    setKey(null);
    document.dispatchEvent(new CustomEvent("signed-out", { detail: null }));
  };
  const meaning = Object.fromEntries(ROLES)[me.role] ?? "";
  return block(
    "account",
    "Key of this tab",
    el("p", {}, el("b", { text: me.name || me.key_id || "No key needed" }), el("span", { class: "chip", text: me.role })),
    el("p", { class: "soft", text: `It may ${meaning.replace(/^also /, "")}. The key stays in this tab and is forgotten when the tab is closed.` }),
    button("Sign out", leave, { glyph: "out" }),
  );
}

function appearance() {
  const name = "theme";
  return block(
    "look",
    "Appearance",
    el(
      "fieldset",
      { class: "segments" },
      el("legend", { class: "visually-hidden", text: "Colors" }),
      THEMES.map(([value, label, glyph]) => {
        const input = el("input", { type: "radio", name, value, checked: theme() === value, on: { change: () => setTheme(value) } });
        return el("label", {}, input, icon(glyph), el("span", { text: label }));
      }),
    ),
  );
}

function keyList(keys) {
  if (keys instanceof Error) return block("keys", "Keys", failure(keys));
  const rows = (keys.items ?? keys).map((one) => {
    const revoke = async () => {
      if (!(await confirm(`Revoke ${one.name || one.id}?`, "Whoever uses this key is shut out at once.", "Revoke", { kind: "danger" }))) return;
      try {
        await remove(`/v1/keys/${encodeURIComponent(one.id)}`);
        toast("Key revoked.");
        show();
      } catch (error) {
        complain(error);
      }
    };
    const mine = one.id === session.me.key_id;
    return el(
      "li",
      { class: "key-row" },
      icon("key"),
      el("div", {}, el("p", {}, el("b", { text: one.name || one.id }), el("span", { class: "chip", text: one.role }), mine && el("span", { class: "chip", text: "this tab" })), el("p", { class: "small soft", text: one.created_at ? `Made ${when(one.created_at)}` : one.id })),
      one.revoked_at ? el("span", { class: "soft small", text: "revoked" }) : !mine && button("Revoke", revoke, { kind: "small", "aria-label": `Revoke ${one.name || one.id}` }),
    );
  });
  return block("keys", "Keys", el("ul", { class: "key-list" }, rows), button("New key", makeKey, { glyph: "add" }));
}

async function makeKey() {
  const made = await open("New key", (close) => {
    const name = el("input", { name: "name", required: true, maxlength: 100, autocomplete: "off", "data-first": true });
    const status = el("div");
    const submit = async (event) => {
      event.preventDefault();
      try {
        close(await post("/v1/keys", { name: name.value.trim(), role: new FormData(event.target).get("role") }));
      } catch (error) {
        put(status, failure(error));
      }
    };
    const roles = ROLES.map(([role, meaning], i) => el("label", { class: "choice" }, el("input", { type: "radio", name: "role", value: role, checked: i === 1 }), el("span", {}, el("b", { text: role }), el("span", { class: "small soft", text: meaning }))));
    return el(
      "form",
      { on: { submit } },
      el("label", { class: "field" }, el("span", { text: "Who or what is it for?" }), name),
      el("fieldset", {}, el("legend", { text: "It may" }), roles),
      status,
      el("div", { class: "dialog-actions" }, button("Cancel", () => close(null)), button("Make the key", null, { kind: "primary", type: "submit" })),
    );
  });
  if (!made) return;
  await reveal(made);
  show();
}

function reveal(made) {
  const secret = made.key ?? made.secret ?? made.token;
  return open("Copy the key now", (close) => {
    const field = el("input", { readonly: true, value: secret, class: "mono", "aria-label": "The new key" });
    const copy = async () => {
      field.select();
      await navigator.clipboard.writeText(secret).then(() => toast("Copied."), () => toast("Copying is blocked here: copy the selected text by hand.", { error: true }));
    };
    return el("div", {}, el("p", { text: "It is shown this once. The server keeps only a hash of it." }), field, el("div", { class: "dialog-actions" }, button("Copy", copy, { "data-first": true }), button("Done", () => close(true), { kind: "primary" })));
  });
}

function modelList(models) {
  if (models instanceof Error) return block("models", "Models", failure(models));
  const cards = models.cards ?? models.items ?? [];
  const rows = cards.map((card) => {
    const words = [card.kind, card.license && `license ${card.license}`, card.commercial && `commercial use: ${card.commercial}`, card.training_data && `trained on ${card.training_data}`];
    return el("li", {}, el("b", { text: card.method ?? card.id }), el("p", { class: "small soft", text: words.filter(Boolean).join(" · ") }));
  });
  const parts = Object.entries(models.parts ?? {}).flatMap(([name, value]) => (value === null ? [] : [[name.replaceAll("_", " "), String(value)]]));
  return block("models", "Models", facts([...parts, ["space", models.space ?? "unknown"]]), models.calibration && el("p", { class: "soft", text: String(models.calibration) }), rows.length > 0 && el("ul", { class: "card-list" }, rows));
}

function server(health) {
  if (health instanceof Error) return block("server", "Server", failure(health));
  const words = (value) => (typeof value === "number" ? count(value) : value === true ? "yes" : value === false ? "no" : String(value));
  const pairs = Object.entries(health).flatMap(([name, value]) => {
    if (value === null) return [];
    if (typeof value !== "object") return [[name, words(value)]];
    return Object.entries(value).filter(([, inner]) => inner !== null && typeof inner !== "object").map(([part, inner]) => [`${name} ${part}`, words(inner)]);
  });
  return block("server", "Server", facts(pairs.map(([name, value]) => [name.replaceAll("_", " "), value])));
}
