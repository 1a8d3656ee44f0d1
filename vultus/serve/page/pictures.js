// Photos of the user's machine: choosing, dropping, pasting, thumbnails, and faces cut out here and not by the server.

import { el } from "/page/dom.js";

const PICTURE = /\.(jpe?g|png|webp|gif|bmp|tiff?|heic|heif|avif|jp2|ppm|pgm)$/i;

/** Whether a file looks like a picture; the server decides. */
export function isPicture(file) {
  return file.type.startsWith("image/") || PICTURE.test(file.name);
}

/** Let the user choose files, or with `folder` a whole folder. Answers [] when nothing was chosen. */
export function choose({ folder = false, many = true } = {}) {
  return new Promise((resolve) => {
    const input = el("input", { type: "file", multiple: many || folder, accept: folder ? null : "image/*", hidden: true });
    if (folder) input.webkitdirectory = true;
    input.addEventListener("change", () => finish([...input.files].filter(isPicture)));
    input.addEventListener("cancel", () => finish([]));
    const finish = (files) => {
      input.remove();
      resolve(files);
    };
    document.body.append(input);
    input.click();
  });
}

/** Every picture of a drop, folders opened; `file.folder` is the path of the folder a file came from. */
export async function dropped(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  const files = [];
  if (!entries.length) files.push(...transfer.files);
  for (const entry of entries) await walk(entry, "", files);
  return files.filter(isPicture);
}

async function walk(entry, folder, files) {
  if (entry.isFile) {
    const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
    file.folder = folder;
    files.push(file);
    return;
  }
  const reader = entry.createReader();
  for (;;) {
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject)); // 100 at a time
    if (!some.length) return;
    for (const one of some) await walk(one, folder ? `${folder}/${entry.name}` : entry.name, files);
  }
}

/** The path of the folder a file came from, "" when it was chosen alone. */
export function folderOf(file) {
  return file.folder ?? (file.webkitRelativePath || "").split("/").slice(0, -1).join("/");
}

/** Make `node` take dropped pictures; `take(files)`. Drops elsewhere do not leave the page. */
export function dropZone(node, take) {
  let depth = 0;
  const over = (on) => node.classList.toggle("over", on);
  node.addEventListener("dragenter", (event) => (event.preventDefault(), over(++depth > 0)));
  node.addEventListener("dragleave", () => over(--depth > 0));
  node.addEventListener("dragover", (event) => event.preventDefault());
  node.addEventListener("drop", async (event) => {
    event.preventDefault();
    depth = 0;
    over(false);
    take(await dropped(event.dataTransfer));
  });
  return node;
}

/** Pictures pasted while the view is shown. */
export function onPaste(signal, take) {
  addEventListener(
    "paste",
    (event) => {
      const files = [...(event.clipboardData?.files ?? [])].filter(isPicture);
      if (files.length) take(files);
    },
    { signal },
  );
}

/** A canvas with part of a picture: `box_norm` widened by a margin, or all of it. */
export function cut(bitmap, box = null, side = 96) {
  const canvas = el("canvas", { width: side, height: side, "aria-hidden": "true" });
  const { width, height } = bitmap;
  let edge = Math.min(width, height);
  let middle = [width / 2, height / 2];
  if (box) {
    middle = [((box.x1 + box.x2) / 2) * width, ((box.y1 + box.y2) / 2) * height];
    edge = Math.max((box.x2 - box.x1) * width, (box.y2 - box.y1) * height) * 1.35;
  }
  canvas.getContext("2d").drawImage(bitmap, middle[0] - edge / 2, middle[1] - edge / 2, edge, edge, 0, 0, side, side);
  return canvas;
}

/** Decode upright; null when this browser cannot (the server may know more formats). */
export async function decode(file) {
  try {
    return await createImageBitmap(file);
  } catch (error) {
    return null;
  }
}
