// People about to be enrolled, each with their photos; worked off one by one, also while another view is open.

import { form, get, query, upload } from "/page/api.js";
import { announce } from "/page/dom.js";
import { folderOf } from "/page/pictures.js";
import { some } from "/page/words.js";

const AT_ONCE = 24; // photos in one request

export const roster = { groups: [], running: false, waiting: 0, onChange: () => {} };

/** Sort photos into people: those of a folder belong to one person called like the folder, loose ones to one without a name. */
export function gather(files) {
  for (const file of files) {
    const folder = folderOf(file);
    const name = folder.split("/").pop();
    let group = roster.groups.find((one) => one.folder === folder && one.state === "ready" && (folder || !one.sealed));
    if (!group) {
      group = { folder, name, files: [], urls: [], state: "ready", sealed: false, used: 0, known: 0, refused: [], error: null, personId: null, sent: 0 };
      roster.groups.push(group);
    }
    group.files.push(file);
    if (group.urls.length < 5) group.urls.push(URL.createObjectURL(file));
  }
  roster.groups.filter((one) => !one.folder).forEach((one) => (one.sealed = true)); // the next loose photos are somebody else's
  roster.onChange();
}

/** Take somebody off the list. */
export function drop(group) {
  group.urls.forEach((url) => URL.revokeObjectURL(url));
  roster.groups = roster.groups.filter((one) => one !== group);
  roster.onChange();
}

/** Empty the list. */
export function reset() {
  [...roster.groups].forEach(drop);
}

/** What came of it so far. */
export function totals() {
  const sum = (of) => roster.groups.reduce((n, one) => n + of(one), 0);
  return {
    people: roster.groups.filter((one) => one.state === "done").length,
    photos: sum((one) => one.files.length),
    sent: sum((one) => one.sent),
    used: sum((one) => one.used),
    refused: sum((one) => one.refused.length),
    open: roster.groups.filter((one) => one.state === "ready" || one.state === "working").length,
    stuck: roster.groups.filter((one) => one.state === "conflict" || one.state === "failed").length,
  };
}

/** Enroll everybody who has a name and was not enrolled yet. */
export async function run() {
  if (roster.running) return;
  roster.running = true;
  for (;;) {
    const group = roster.groups.find((one) => one.state === "ready" && one.name.trim());
    if (!group || !roster.running) break;
    await enroll(group);
  }
  roster.running = false;
  roster.onChange();
  const sum = totals();
  announce(`${some(sum.people, "person", "people")} enrolled from ${some(sum.used, "photo", "photos")}, ${some(sum.refused, "photo", "photos")} refused.`);
}

/** Stop after the person under way. */
export function stop() {
  roster.running = false;
  roster.onChange();
}

/** Enroll one person; `force` although they look like somebody else, `into` a person who is enrolled. */
export async function enroll(group, { force = false, into = null } = {}) {
  Object.assign(group, { state: "working", error: null });
  roster.onChange();
  try {
    group.personId = into ?? group.personId ?? (await known(group.name.trim()));
    while (group.sent < group.files.length) {
      const part = group.files.slice(group.sent, group.sent + AT_ONCE);
      take(group, await sendPart(group, part, force), part.length);
      roster.onChange();
    }
    group.state = "done";
  } catch (error) {
    group.error = error;
    group.state = error.status === 409 && error.details.photos?.length ? "conflict" : "failed";
  }
  roster.onChange();
}

/** Enroll a person without the photos that look like somebody else. */
export function without(group, photos) {
  const out = new Set(photos.map((one) => one.photo));
  group.files = group.files.filter((file, i) => i < group.sent || !out.has(file.name));
  group.refused.push(...photos.map((one) => ({ photo: one.photo, reason: `left out: it looks like ${one.name}` })));
  return enroll(group);
}

async function known(name) {
  const { items } = await get(query("/v1/people", { q: name, limit: 100 }));
  return items.find((one) => one.name === name)?.id ?? null;
}

function sendPart(group, files, force) {
  const extra = force ? { force: "true" } : {};
  const options = {
    onWait: (seconds) => {
      roster.waiting = seconds;
      roster.onChange();
      roster.waiting = 0;
    },
  };
  if (group.personId) return upload(`/v1/people/${encodeURIComponent(group.personId)}/photos`, form("images", files, extra), options);
  return upload("/v1/people", form("images", files, { name: group.name.trim(), ...extra }), options);
}

function take(group, answer, n) {
  group.sent += n;
  group.used += answer.used ?? 0;
  group.known += answer.known ?? 0;
  group.refused.push(...(answer.refused ?? []));
  group.personId = answer.person?.id ?? group.personId;
}
