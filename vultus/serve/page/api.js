// The only file that talks to the server: the key, errors in words, lists and jobs.

const STORED = "vultus.key";
const RANK = { read: 0, identify: 1, enroll: 2, admin: 3 };

/** What the server (or its absence) said. */
export class ApiError extends Error {
  constructor(status, body, headers) {
    const error = body?.error ?? {};
    super(error.message || `The server answered ${status} without a reason.`);
    this.status = status;
    this.code = error.code ?? String(status);
    this.details = error.details ?? {};
    this.requestId = body?.request_id ?? headers?.get("X-Request-Id") ?? "";
    this.retryAfter = Number(headers?.get("Retry-After")) || 0;
  }
}

/** Who is signed in; `me` is null until the server has said. */
export const session = { me: null };

/** Whether the key may do what needs `role`. */
export function can(role) {
  return session.me !== null && RANK[session.me.role] >= RANK[role];
}

/** Take the key of a one-time link out of the address bar. Returns whether there was one. */
export function takeKeyFromAddress() {
  const found = /^#key=([^&]+)$/.exec(location.hash);
  if (!found) return false;
  sessionStorage.setItem(STORED, decodeURIComponent(found[1]));
  history.replaceState(null, "", location.pathname + location.search);
  return true;
}

/** The key of this tab, or null. */
export function key() {
  return sessionStorage.getItem(STORED);
}

/** Set or, with null, forget the key of this tab. */
export function setKey(value) {
  if (value) sessionStorage.setItem(STORED, value);
  else sessionStorage.removeItem(STORED);
  session.me = null;
}

function wait(seconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, seconds * 1000);
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason);
    });
  });
}

async function send(method, path, { json, form, signal } = {}) {
  const headers = {};
  if (key()) headers.Authorization = `Bearer ${key()}`;
  if (json !== undefined) headers["Content-Type"] = "application/json";
  let answer;
  try {
    answer = await fetch(path, {
      method,
      headers,
      signal,
      body: json === undefined ? form : JSON.stringify(json),
      cache: "no-store",
      credentials: "omit",
    });
  } catch (error) {
    if (error.name === "AbortError" || signal?.aborted) throw error;
    const message = "The server does not answer. Is vultus serve still running?";
    throw new ApiError(0, { error: { code: "Unreachable", message } }, null);
  }
  if (answer.ok) return answer;
  const body = await answer.json().catch(() => null); // a proxy in between may answer without JSON
  const refused = new ApiError(answer.status, body, answer.headers);
  if (answer.status === 401) document.dispatchEvent(new CustomEvent("signed-out", { detail: refused }));
  throw refused;
}

/**
 * Ask the server. A busy server (429, 503) is asked again when it said to, if that is soon; what it refused that way
 * it has not done. `onWait(seconds)` is told.
 */
export async function ask(method, path, options = {}) {
  const { patience = method === "GET" ? 2 : 0, onWait, signal } = options;
  for (let attempt = 0; ; attempt++) {
    try {
      return await send(method, path, options);
    } catch (error) {
      const busy = error.status === 429 || error.status === 503;
      if (!busy || attempt >= patience || error.retryAfter > 30) throw error;
      const seconds = Math.max(1, error.retryAfter);
      onWait?.(seconds);
      await wait(seconds, signal);
    }
  }
}

/** The answer as data, or null when there is none; `seq` of the history entry is put on `undoable`. */
export async function call(method, path, options = {}) {
  const answer = await ask(method, path, options);
  const body = answer.status === 204 ? null : await answer.json();
  if (options.undoable) options.undoable.seq = answer.headers.get("X-History-Seq");
  return body;
}

export const get = (path, options) => call("GET", path, options);
export const post = (path, json = {}, options = {}) => call("POST", path, { json, ...options });
export const patch = (path, json, options = {}) => call("PATCH", path, { json, ...options });
export const putTo = (path, json, options = {}) => call("PUT", path, { json, ...options });
export const upload = (path, body, options = {}) => call("POST", path, { form: body, patience: 6, ...options });
export const remove = (path, options) => call("DELETE", path, options);

/** A path with its query; what is null, undefined or empty is left out. */
export function query(path, values) {
  const pairs = Object.entries(values).filter(([, value]) => value !== null && value !== undefined && value !== "");
  return pairs.length ? `${path}?${new URLSearchParams(pairs)}` : path;
}

/** Files and fields as one form; every file keeps its name. */
export function form(field, files, values = {}) {
  const body = new FormData();
  for (const [name, value] of Object.entries(values)) if (value !== undefined && value !== null) body.append(name, value);
  for (const file of files) body.append(field, file, file.name ?? "photo.jpg");
  return body;
}

/** The crop of a stored face, as a blob (an <img> cannot send the key). */
export async function crop(faceId, signal) {
  return (await ask("GET", `/v1/faces/${encodeURIComponent(faceId)}/crop`, { signal })).blob();
}

/** Ask for a job until it has ended; `onStep(job)` sees every state. Throws in the job's words when it failed. */
export async function follow(job, onStep, signal) {
  let pause = 0.2;
  while (job.state === "queued" || job.state === "running") {
    onStep(job);
    await wait(pause, signal);
    pause = Math.min(2, pause * 1.4);
    job = await get(`/v1/jobs/${encodeURIComponent(job.id)}`, { signal });
  }
  onStep(job);
  if (job.state === "done") return job;
  throw new ApiError(200, { error: { code: job.state, message: job.message || `The work ended as "${job.state}".` } }, null);
}

/** Everything of a paged list, at most `most` items. */
export async function all(path, values = {}, { most = 1000, signal } = {}) {
  const items = [];
  let cursor = null;
  do {
    const body = await get(query(path, { limit: 100, ...values, cursor }), { signal });
    items.push(...body.items);
    cursor = body.next_cursor;
  } while (cursor && items.length < most);
  return items;
}
