// Rates, counts and times in words.

const GAP = "\u202f"; // narrow no-break space between thousands: 10 000

/** 12345 -> "12 345". */
export function count(n) {
  return Math.round(n).toString().replace(/\B(?=(\d{3})+(?!\d))/g, GAP);
}

/** "1 person", "2 people". */
export function some(n, one, many) {
  return `${count(n)} ${n === 1 ? one : many}`;
}

function twoDigits(n) {
  if (n < 10) return Math.round(n * 10) / 10;
  const scale = 10 ** (Math.floor(Math.log10(n)) - 1);
  return Math.round(n / scale) * scale;
}

/** A rate as a frequency: .0001 -> "once in 10 000", .5 -> "every second time", 0 -> "never". */
export function once(rate) {
  if (rate === null || rate === undefined || Number.isNaN(rate)) return "at an unknown rate";
  if (rate <= 0) return "never";
  if (rate >= 0.95) return "nearly every time";
  const every = twoDigits(1 / rate);
  if (every < 2) return `in ${share(rate)} of cases`;
  return every === 2 ? "every second time" : `once in ${every < 10 ? every : count(every)}`;
}

/** A rate of many: .021 -> "about 2 of 100", of the smallest round number that gives a whole case. */
export function outOf(rate) {
  if (rate <= 0) return `none of ${count(1000)}`;
  let of = 100;
  while (rate * of < 0.95 && of < 1e9) of *= 10;
  return `about ${count(Math.max(1, rate * of))} of ${count(of)}`;
}

/** A share in percent with as many digits as it needs: .0213 -> "2.1%", .00009 -> "0.009%". */
export function share(value) {
  if (value === null || value === undefined) return "unknown";
  const percent = value * 100;
  if (percent === 0) return "0%";
  const decimals = percent >= 9.95 ? 0 : percent >= 0.095 ? 1 : Math.min(7, -Math.floor(Math.log10(percent)));
  return `${percent.toFixed(decimals)}%`;
}

/** A metric as "2.1% (1.2% to 3.5%)", or why there is none. */
export function metric(m) {
  if (!m || m.value === null || m.value === undefined) return m?.note || "not enough data";
  const ends = interval(m);
  return ends ? `${share(m.value)} (${ends})` : share(m.value);
}

/** The interval of a metric as "1.2% to 3.5%", or "". */
export function interval(m) {
  if (!m || m.low === null || m.low === undefined || m.high === null || m.high === undefined) return "";
  return `${share(m.low)} to ${share(m.high)}`;
}

/** What a false match rate means for one comparison. */
export function strict(fmr) {
  return `a stranger is accepted ${once(fmr)}`;
}

/** A sentence of the server as one of the page: a capital letter first, a stop last. */
export function sentence(words) {
  const text = String(words ?? "").trim();
  if (!text) return "";
  return text[0].toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? "" : ".");
}

/** A decision in one sentence. */
export function decided(decision, words = "") {
  if (!decision) return sentence(words);
  const rate = strict(decision.fmr?.value);
  if (decision.outcome === "accept") return `The same person, at a level where ${rate}.`;
  return sentence(decision.reason || words) || `Nobody enrolled is alike enough, at a level where ${rate}.`;
}

/** A likeness with two digits and a true minus sign. */
export function score(value) {
  return value.toFixed(2).replace("-", "\u2212");
}

/** Quality in [0, 1] in a word. */
export function quality(value) {
  if (value === null || value === undefined) return "not assessed";
  return value >= 0.7 ? "good" : value >= 0.4 ? "fair" : "poor";
}

/** UTC ISO 8601 -> local date and time, short. */
export function when(iso) {
  const date = new Date(iso);
  if (Number.isNaN(date.getTime())) return iso ?? "";
  return new Intl.DateTimeFormat("en", { dateStyle: "medium", timeStyle: "short" }).format(date);
}

/** UTC ISO 8601 -> local day. */
export function day(iso) {
  const date = new Date(iso);
  return Number.isNaN(date.getTime()) ? "" : new Intl.DateTimeFormat("en", { dateStyle: "long" }).format(date);
}

/** UTC ISO 8601 -> local hour and minute. */
export function clock(iso) {
  const date = new Date(iso);
  return Number.isNaN(date.getTime()) ? "" : new Intl.DateTimeFormat("en", { timeStyle: "short" }).format(date);
}

/** A verb of the log as a word: "name_cluster" -> "name cluster". */
export function verb(name) {
  return String(name ?? "").replaceAll("_", " ");
}
