// Views by the part of the address after #. One view at a time; leaving it stops what it had under way.

import { el, icon, page, put } from "/page/dom.js";
import { failure } from "/page/notices.js";

let routes = [];
let leave = null; // AbortController of the view shown
let first = true;

/** `table`: [pattern, view] with patterns such as "people/:id"; a view is async ({params, signal}) -> element. */
export function start(table) {
  routes = table.map(([pattern, view]) => ({ parts: pattern.split("/"), view, pattern }));
  addEventListener("hashchange", () => show());
  show();
}

/** Go to another view. */
export function go(path) {
  if (location.hash === `#/${path}`) show();
  else location.hash = `#/${path}`;
}

/** The first part of the address: which view is shown. */
export function here() {
  return location.hash.replace(/^#\/?/, "").split("/")[0] || "identify";
}

function match(path) {
  const parts = path.split("/").map(decodeURIComponent);
  for (const route of routes) {
    if (route.parts.length !== parts.length) continue;
    const params = {};
    const fits = route.parts.every((want, i) => {
      if (!want.startsWith(":")) return want === parts[i];
      params[want.slice(1)] = parts[i];
      return parts[i] !== "";
    });
    if (fits) return { view: route.view, params };
  }
  return null;
}

/** Give up the view that is shown or on its way. */
export function halt() {
  leave?.abort(new DOMException("the page was locked", "AbortError"));
}

/** Show the view of the address (again). */
export async function show() {
  if (location.hash === "#main") return; // the skip link
  leave?.abort(new DOMException("another view was opened", "AbortError"));
  leave = new AbortController();
  const { signal } = leave;
  const main = document.getElementById("main");
  const found = match(location.hash.replace(/^#\/?/, "") || "identify");
  document.dispatchEvent(new CustomEvent("view", { detail: here() }));
  main.setAttribute("aria-busy", "true");
  const slow = setTimeout(() => put(main, loading()), 150);
  let node;
  try {
    node = found ? await found.view({ params: found.params, signal }) : missing();
  } catch (error) {
    if (signal.aborted) return;
    node = page({ title: "This did not work" }, failure(error, () => show()));
  } finally {
    clearTimeout(slow);
  }
  if (signal.aborted) return;
  put(main, node);
  main.removeAttribute("aria-busy");
  arrive(main);
}

function arrive(main) {
  const heading = main.querySelector("h1");
  document.title = heading ? `${heading.textContent} · vultus` : "vultus";
  scrollTo(0, 0);
  if (!first) heading?.focus({ preventScroll: true }); // where a screen reader goes on reading
  first = false;
}

function loading() {
  return el("div", { class: "loading", role: "status" }, el("span", { class: "spinner" }), el("span", { text: "Loading" }));
}

function missing() {
  return page(
    { title: "There is no such page" },
    el("p", { class: "lede" }, "The address may be old. "),
    el("a", { class: "button", href: "#/identify" }, icon("scan"), el("span", { text: "Identify a photo" })),
  );
}
