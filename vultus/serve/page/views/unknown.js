// Faces nobody is known for: grouped by likeness, to be named, split off or removed.

import { can, follow, get, post, query, remove, upload, form } from "/page/api.js";
import { button, el, empty, linkButton, page, put } from "/page/dom.js";
import { confirm } from "/page/dialogs.js";
import { chooser, strip } from "/page/faces.js";
import { change, complain, toast } from "/page/notices.js";
import { who } from "/page/picker.js";
import { choose } from "/page/pictures.js";
import { show } from "/page/router.js";
import { decided, interval, share, some } from "/page/words.js";

/** The view. */
export async function view({ signal }) {
  const [groups, loose] = await Promise.all([
    get(query("/v1/clusters", { limit: 50 }), { signal }),
    get(query("/v1/faces", { unknown: "true", limit: 100 }), { signal }),
  ]);
  const work = el("div", { class: "job", role: "status" });
  const actions = can("enroll")
    ? [button("Add photos", () => addPhotos(work, signal), { glyph: "add" }), button("Group faces", () => group(work, signal), { kind: "primary", glyph: "unknown" })]
    : [];
  const clusters = groups.items.filter((one) => one.size > 1);
  if (!clusters.length && !loose.items.length) {
    return page(
      { title: "Unknown", actions: actions.slice(0, 1) },
      work,
      empty("unknown", "No unknown faces", "Faces are kept here when you identify photos with “Keep unknown faces for review”, or add photos without names. Alike faces are grouped, so that one name covers many.", linkButton("Identify photos", "#/identify")),
    );
  }
  const shown = new Set(clusters.map((one) => one.id));
  const rest = loose.items.filter((face) => !face.cluster_id || !shown.has(face.cluster_id));
  return page(
    { title: "Unknown", lede: "Groups of faces that look like one person. Name a group, or open it to take out who does not belong.", actions },
    work,
    clusters.length ? el("ul", { class: "clusters" }, clusters.map((one) => card(one, signal))) : el("p", { class: "soft", text: "No groups yet. Group faces to find those that are alike." }),
    groups.next_cursor && el("p", { class: "soft", text: "More groups follow when these are named." }),
    rest.length > 0 && single(rest, loose.next_cursor, signal),
  );
}

async function addPhotos(work, signal) {
  const files = await choose();
  let stored = 0;
  for (const [i, file] of files.entries()) {
    put(work, el("progress", { value: i, max: files.length, "aria-label": "Photos added" }), el("span", { text: `${i} of ${some(files.length, "photo", "photos")}` }));
    try {
      const answer = await upload("/v1/faces", form("images", [file]), { signal });
      stored += answer.faces.length;
    } catch (error) {
      if (error.name === "AbortError") return;
      toast(`${file.name}: ${error.message}`, { error: true });
    }
  }
  put(work);
  if (!files.length) return;
  toast(`${some(stored, "face", "faces")} added.`);
  show();
}

async function group(work, signal) {
  try {
    const job = await post("/v1/clusters", {}, { signal });
    await follow(job, (now) => put(work, el("progress", now.total ? { value: now.done, max: now.total, "aria-label": "Grouping" } : { "aria-label": "Grouping" }), el("span", { text: now.message || "Grouping faces by likeness" })), signal);
    toast("Faces are grouped.");
    show();
  } catch (error) {
    put(work);
    complain(error);
  }
}

/** How sure it is that a group is one person. */
function purity(one) {
  const { value } = one.purity ?? {};
  if (value === null || value === undefined) return some(one.size, "face", "faces");
  const range = interval(one.purity);
  return `${some(one.size, "face", "faces")}, ${share(value)} likely one person${range ? ` (${range})` : ""}`;
}

function suggested(one) {
  const found = one.suggestion?.match ?? one.suggestion;
  return found?.identity_id ? { person_id: found.identity_id, name: found.name } : null;
}

function card(one, signal) {
  const guess = suggested(one);
  const href = `#/unknown/${encodeURIComponent(one.id)}`;
  const name = async () => {
    const choice = await who("Who is this group?", { first: guess ? [guess] : [], yes: "Name the group" });
    if (choice) await nameGroup(one, choice);
  };
  return el(
    "li",
    { class: "cluster" },
    el("a", { href, class: "cluster-faces", "aria-label": `Open the group of ${some(one.size, "face", "faces")}` }, strip(one.face_ids.slice(0, 8), one.size, signal)),
    el("div", { class: "cluster-words" }, el("p", { text: purity(one) }), guess && el("p", { class: "soft", text: `Looks like ${guess.name}` })),
    can("enroll") &&
      el(
        "div",
        { class: "cluster-actions" },
        guess && button(`Yes, ${guess.name}`, () => nameGroup(one, guess), { kind: "primary small", glyph: "check" }),
        button(guess ? "Somebody else" : "Name", name, { kind: guess ? "small" : "small primary", glyph: guess ? null : "edit" }),
        linkButton("Review", href, { kind: "small" }),
      ),
  );
}

async function nameGroup(one, choice) {
  const body = choice.person_id ? { person_id: choice.person_id } : { name: choice.name };
  const path = `/v1/clusters/${encodeURIComponent(one.id)}/name`;
  await change(`Named ${some(one.size, "face", "faces")} ${choice.name}.`, (undoable) => post(path, body, { undoable }), () => show());
}

function single(faces, cursor, signal) {
  const bar = el("div", { class: "choice-bar", hidden: true });
  const grid = chooser(faces, { label: "Single unknown faces", signal, onChange: (ids) => singleBar(bar, grid, ids) });
  return el(
    "section",
    { "aria-labelledby": "single" },
    el("h2", { id: "single", text: "Single faces" }),
    el("p", { class: "soft", text: cursor ? "In no group; the newest hundred." : "In no group. Select some to name or remove them." }),
    grid,
    bar,
  );
}

function singleBar(bar, grid, ids) {
  bar.hidden = ids.length === 0;
  put(
    bar,
    el("span", { role: "status", text: some(ids.length, "face selected", "faces selected") }),
    button("Clear the selection", () => grid.clear(), { kind: "icon quiet", glyph: "close" }),
    ids.length === 1 && button("Suggest", () => suggest(ids[0]), { glyph: "search" }),
    button("Remove", () => discard(ids), { kind: "danger", glyph: "trash" }),
    button("Name", () => nameFaces(ids), { kind: "primary", glyph: "edit" }),
  );
}

async function suggest(id) {
  try {
    const answer = await post(`/v1/faces/${encodeURIComponent(id)}/suggest`);
    const decision = answer.decision ?? answer;
    if (decision.outcome !== "accept") return toast(decided(decision, answer.words));
    const { match } = decision;
    const yes = await confirm(`Is this ${match.name}?`, decided(decision, answer.words), `Yes, ${match.name}`);
    if (yes) await nameFaces([id], { person_id: match.identity_id, name: match.name });
  } catch (error) {
    complain(error);
  }
  return null;
}

/** Name chosen faces; asks who it is unless it is given. */
export async function nameFaces(ids, given = null) {
  const choice = given ?? (await who("Who is this?"));
  if (!choice) return;
  const target = choice.person_id ? { person_id: choice.person_id } : { name: choice.name };
  await change(`Named ${some(ids.length, "face", "faces")} ${choice.name}.`, (undoable) => post("/v1/faces/assign", { face_ids: ids, ...target }, { undoable }), () => show());
}

/** Remove chosen faces for good, after asking. */
export async function discard(ids) {
  const what = some(ids.length, "face", "faces");
  if (!(await confirm(`Remove ${what}?`, "The crops and their numbers are removed for good. This cannot be undone.", "Remove", { kind: "danger" }))) return;
  try {
    for (const id of ids) await remove(`/v1/faces/${encodeURIComponent(id)}`);
    toast(`Removed ${what}.`);
  } catch (error) {
    complain(error);
  }
  show();
}
