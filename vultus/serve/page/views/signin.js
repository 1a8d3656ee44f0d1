// Signing in with a key.

import { get, session, setKey } from "/page/api.js";
import { button, el, icon, put } from "/page/dom.js";
import { failure } from "/page/notices.js";

/** The whole screen, until a key is accepted; then `enter()` is called. */
export function signIn(enter, refused = null) {
  const input = el("input", { type: "password", id: "key", autocomplete: "off", spellcheck: "false", required: true, placeholder: "vlt_…" });
  const status = el("div", { "aria-live": "assertive" });
  if (refused) put(status, failure(refused));
  const submit = async (event) => {
    event.preventDefault();
    setKey(input.value.trim());
    try {
      session.me = await get("/v1/me");
      enter();
    } catch (error) {
      setKey(null);
      put(status, failure(error));
      input.select();
    }
  };
  return el(
    "div",
    { class: "signin" },
    el("div", { class: "brand" }, icon("scan"), el("span", { text: "vultus" })),
    el("h1", { tabIndex: -1, text: "Sign in with your key" }),
    el("p", { class: "soft" }, "The terminal in which ", el("code", { text: "vultus serve" }), " runs shows a link that signs you in. You can also paste a key here; it stays in this tab."),
    el("form", { on: { submit } }, el("label", { class: "field", for: "key" }, el("span", { text: "Key" })), input, status, button("Sign in", null, { kind: "primary wide", type: "submit" })),
  );
}
