// A photo from the camera. Nothing is recorded and nothing leaves the page before the button is pressed.

import { button, el } from "/page/dom.js";
import { open } from "/page/dialogs.js";

const REFUSED = {
  NotAllowedError: "The camera is blocked for this page. Allow it in the browser's settings for this address.",
  NotFoundError: "No camera was found on this machine.",
  NotReadableError: "The camera is in use by another program.",
};

/** Open the camera in a dialog. Answers a File, or null. */
export async function takePhoto() {
  let stream = null;
  const stop = () => stream?.getTracks().forEach((track) => track.stop());
  const photo = await open(
    "Camera",
    (close) => {
      const video = el("video", { class: "camera", autoplay: true, playsinline: true, muted: true, "aria-label": "Live picture of the camera" });
      video.muted = true;
      const status = el("p", { class: "soft", role: "status", text: "Waiting for the camera" });
      const shoot = button("Take photo", async () => close(await still(video)), { kind: "primary", glyph: "camera", disabled: true });
      start(video).then(
        (opened) => {
          stream = opened;
          if (!video.isConnected) return stop(); // closed while the browser was asking
          status.textContent = "The picture goes to your own server, and only when you take it.";
          shoot.disabled = false;
          return shoot.focus();
        },
        (error) => (status.textContent = REFUSED[error.name] ?? `The camera did not open: ${error.message}`),
      );
      return el("div", {}, video, status, el("div", { class: "dialog-actions" }, button("Cancel", () => close(null)), shoot));
    },
    { wide: true },
  );
  stop();
  return photo;
}

async function start(video) {
  if (!navigator.mediaDevices) {
    throw new Error("browsers open cameras only for 127.0.0.1 and for https addresses.");
  }
  const wanted = { width: { ideal: 1920 }, height: { ideal: 1080 }, facingMode: "user" };
  const stream = await navigator.mediaDevices.getUserMedia({ video: wanted, audio: false });
  video.srcObject = stream;
  await new Promise((resolve) => video.addEventListener("loadeddata", resolve, { once: true }));
  return stream;
}

function still(video) {
  const canvas = el("canvas", { width: video.videoWidth, height: video.videoHeight });
  canvas.getContext("2d").drawImage(video, 0, 0);
  const name = `camera-${new Date().toISOString().replace(/[:.]/g, "-")}.jpg`;
  return new Promise((resolve) =>
    canvas.toBlob((blob) => resolve(new File([blob], name, { type: "image/jpeg" })), "image/jpeg", 0.95),
  );
}
