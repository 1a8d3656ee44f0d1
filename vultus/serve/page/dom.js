// Elements from data. Text and attributes are never parsed as markup, so a name cannot become a script.

const SVG = "http://www.w3.org/2000/svg";
const PROPERTIES = new Set(["value", "checked", "disabled", "indeterminate", "files", "srcObject", "tabIndex", "hidden"]);

/** One element: `props` holds class, text, data, style (custom properties), on (events) and attributes. */
export function el(tag, props, ...children) {
  const node = document.createElement(tag);
  fill(node, props ?? {});
  node.append(...flat(children));
  return node;
}

/** One SVG element. */
export function svg(tag, props, ...children) {
  const node = document.createElementNS(SVG, tag);
  fill(node, props ?? {});
  node.append(...flat(children));
  return node;
}

function fill(node, props) {
  for (const [key, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (key === "on") {
      for (const [event, run] of Object.entries(value)) node.addEventListener(event, run);
    } else if (key === "class") node.setAttribute("class", value);
    else if (key === "text") node.textContent = value;
    else if (key === "data") Object.assign(node.dataset, value);
    else if (key === "style") for (const [name, to] of Object.entries(value)) node.style.setProperty(name, to);
    else if (/^on/i.test(key)) throw new Error(`attribute ${key}: pass events under "on"`);
    else if (PROPERTIES.has(key)) node[key] = value;
    else node.setAttribute(key, value === true ? "" : String(value));
  }
}

function flat(children) {
  return children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false);
}

/** Put new children in place of the old ones. */
export function put(node, ...children) {
  node.replaceChildren(...flat(children));
  return node;
}

const PATHS = {
  scan: "M4 8V6a2 2 0 0 1 2-2h2M16 4h2a2 2 0 0 1 2 2v2M20 16v2a2 2 0 0 1-2 2h-2M8 20H6a2 2 0 0 1-2-2v-2M9 10v.5M15 10v.5M9 14.500c1.7 1.6 4.3 1.6 6 0",
  people: "M9 11a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7zM2.5 20c.4-3.6 3-5.5 6.5-5.500s6.1 1.9 6.5 5.500M16 4.300a3.5 3.5 0 0 1 0 6.400M18 14.900c2 .7 3.2 2.5 3.5 5.1",
  unknown: "M9.5 9a2.5 2.5 0 1 1 3.6 2.200c-.8.4-1.1.9-1.1 1.800M12 16.500v.1M4 8V6a2 2 0 0 1 2-2h2M16 4h2a2 2 0 0 1 2 2v2M20 16v2a2 2 0 0 1-2 2h-2M8 20H6a2 2 0 0 1-2-2v-2",
  add: "M12 5v14M5 12h14",
  enroll: "M10 11a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7zM3.5 20c.4-3.6 3-5.5 6.5-5.5 1.5 0 2.9.4 4 1.100M18 14v6M15 17h6",
  history: "M4 12a8 8 0 1 0 2.6-5.900L4 8.500M4 4v4.500h4.500M12 8v4.300l2.8 1.7",
  shield: "M12 3.500l7 2.500v5.500c0 4.3-2.9 7.3-7 9-4.1-1.7-7-4.7-7-9V6zM9 12l2.2 2.200L15.2 10",
  log: "M6 3.500h9l3.5 3.500v13.500H6zM9 11h6.500M9 14.500h6.500M9 7.500h3",
  settings: "M5 7h8M17 7h2M5 17h2M11 17h8M15 9.200a2.2 2.2 0 1 0 0-4.4 2.2 2.2 0 0 0 0 4.400zM9 19.200a2.2 2.2 0 1 0 0-4.4 2.2 2.2 0 0 0 0 4.400z",
  more: "M5.5 12h.1M12 12h.1M18.5 12h.1",
  photo: "M4 5.500h16v13H4zM4 16l4.5-4.5 4 4 2.5-2.5 5 4.500M15 9.500h.1",
  folder: "M3.5 6.500h6l2 2.500h9v10.500h-17z",
  camera: "M4 8h3.500L9 5.500h6L16.5 8H20v11H4zM12 16.500a3.3 3.3 0 1 0 0-6.6 3.3 3.3 0 0 0 0 6.600z",
  check: "M5 12.500l4.5 4.500L19 7.5",
  close: "M6 6l12 12M18 6L6 18",
  undo: "M8.5 5L4 9.5 8.5 14M4 9.500h10a5.5 5.5 0 0 1 0 11h-3",
  merge: "M6 4v4c0 4 6 4 6 8v4M18 4v4c0 4-6 4-6 8",
  split: "M12 20v-4c0-4-6-4-6-8V4M12 16c0-4 6-4 6-8V4",
  trash: "M5 7h14M9.5 7V4.500h5V7M7 7l.8 12.500h8.400L17 7M10.5 10.500v5.500M13.5 10.500v5.5",
  edit: "M5 19l.8-3.800L16 5l3 3L8.8 18.200zM13.5 7.500l3 3",
  search: "M10.5 17a6.5 6.5 0 1 0 0-13 6.5 6.5 0 0 0 0 13zM15.5 15.500L20 20",
  sun: "M12 16a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM12 3v1.500M12 19.500V21M3 12h1.500M19.5 12H21M5.6 5.600l1.1 1.100M17.3 17.300l1.1 1.100M18.4 5.600l-1.1 1.100M6.7 17.300l-1.1 1.1",
  moon: "M19.5 14.500A8 8 0 0 1 9.5 4.500a8 8 0 1 0 10 10z",
  system: "M4 5h16v11H4zM9 20h6M12 16v4",
  key: "M8 16a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM12 12h8.500M17 12v3.500M20.5 12v2.5",
  warn: "M12 4.500l8.5 15h-17zM12 10v4.500M12 17v.1",
  save: "M12 4v11M7.5 10.500L12 15l4.5-4.500M5 19.500h14",
  back: "M14.5 5.500L8 12l6.5 6.5",
  refresh: "M19.5 12a7.5 7.5 0 1 1-2.3-5.400L19.5 9M19.5 4.500V9H15",
  out: "M10 4.500H5v15h5M14.5 8l4 4-4 4M18.5 12H10",
};

/** A line icon; decoration only, the control beside it carries the name. */
export function icon(name) {
  return svg("svg", { class: "icon", viewBox: "0 0 24 24", "aria-hidden": "true" }, svg("path", { d: PATHS[name] }));
}

/** A button with an icon and a label. `kind`: "", "primary", "danger", "quiet" or "icon" (label for ears only). */
export function button(label, run, { kind = "", glyph = null, ...props } = {}) {
  const bare = kind.split(" ").includes("icon");
  const text = bare ? el("span", { class: "visually-hidden", text: label }) : el("span", { text: label });
  const title = bare ? { title: label } : {};
  return el(
    "button",
    { type: "button", class: `button ${kind}`, on: { click: run }, ...title, ...props },
    glyph && icon(glyph),
    text,
  );
}

/** A link that looks like a button. */
export function linkButton(label, href, { kind = "", glyph = null } = {}) {
  return el("a", { class: `button ${kind}`, href }, glyph && icon(glyph), el("span", { text: label }));
}

/** The frame of a view: a heading, a sentence and what can be done. */
export function page({ title, lede = null, actions = [], back = null }, ...content) {
  return el(
    "div",
    { class: "view" },
    back && el("a", { class: "back", href: back.href }, icon("back"), el("span", { text: back.label })),
    el(
      "div",
      { class: "head" },
      el("div", { class: "head-words" }, el("h1", { tabIndex: -1, text: title }), lede && el("p", { class: "lede" }, lede)),
      actions.length > 0 && el("div", { class: "actions" }, actions),
    ),
    content,
  );
}

/** What is shown where there is nothing yet: why, and the next step. */
export function empty(glyph, title, sentence, ...actions) {
  return el(
    "div",
    { class: "empty" },
    el("div", { class: "empty-mark" }, icon(glyph)),
    el("h2", { text: title }),
    el("p", { text: sentence }),
    actions.length > 0 && el("div", { class: "actions" }, actions),
  );
}

/** Say something to a screen reader. */
export function announce(sentence) {
  document.getElementById("live").textContent = sentence;
}

/** Hand the user a file made here. */
export function save(name, text, type = "application/json") {
  const url = URL.createObjectURL(new Blob([text], { type }));
  const link = el("a", { href: url, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}
