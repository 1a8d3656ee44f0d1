// Two error rates over the security levels, with their intervals, as one small SVG.

import { svg } from "/page/dom.js";
import { count, metric, share } from "/page/words.js";

const LEFT = 46;
const RIGHT = 44;
const TOP = 12;
const BOTTOM = 52;
const H = 260;

/** `levels`: SecurityLevel[], loosest first; `chosen`: index of the level to mark. */
export function costs(levels, chosen) {
  const W = matchMedia("(max-width: 760px)").matches ? 370 : 1110; // drawn at its size, so that its words stay readable
  const rows = levels.map((level) => ({ fnmr: level.fnmr_own, fpir: measured(level) }));
  const highest = Math.max(0.02, ...rows.flatMap((row) => [top(row.fnmr), top(row.fpir)]));
  const most = [0.02, 0.05, 0.1, 0.2, 0.5, 1].find((step) => step >= highest) ?? 1;
  const x = (i) => LEFT + (levels.length === 1 ? 0.5 : i / (levels.length - 1)) * (W - LEFT - RIGHT);
  const y = (value) => H - BOTTOM - (value / most) * (H - TOP - BOTTOM);
  const said = levels.map((level, i) => `once in ${count(1 / level.fmr)}: misses ${metric(rows[i].fnmr)}, strangers named ${metric(rows[i].fpir)}`);
  return svg(
    "svg",
    { class: "chart", viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": `Errors by level. ${said.join("; ")}.` },
    [0, 0.5, 1].map((part) => grid(y(part * most), share(part * most), W)),
    levels.map((level, i) => tick(x(i), count(1 / level.fmr), i === chosen)),
    chosen >= 0 && svg("line", { class: "mark", x1: x(chosen), x2: x(chosen), y1: TOP, y2: H - BOTTOM }),
    svg("text", { x: (LEFT + W - RIGHT) / 2, y: H - 6, "text-anchor": "middle", text: "a stranger is accepted once in" }),
    curve("other", rows.map((row) => row.fpir), x, y),
    curve("own", rows.map((row) => row.fnmr), x, y),
  );
}

const ENOUGH = 100; // searches of its own, below which a gallery says less about strangers than the calibration does

/** What this gallery's own searches say, or else what is expected of its size. */
export function measured(level) {
  const own = level.fpir_own;
  return own && own.value !== null && own.value !== undefined && own.n >= ENOUGH ? own : level.fpir;
}

function top(m) {
  return m?.high ?? m?.value ?? 0;
}

function grid(at, words, W) {
  return [
    svg("line", { class: "grid", x1: LEFT, x2: W - RIGHT, y1: at, y2: at }),
    svg("text", { x: LEFT - 8, y: at + 4, "text-anchor": "end", text: words }),
  ];
}

function tick(at, words, on) {
  return svg("text", { class: on ? "on" : null, x: at, y: H - BOTTOM + 20, "text-anchor": "middle", text: words });
}

function curve(kind, metrics, x, y) {
  const points = metrics.map((m, i) => ({ m, i })).filter(({ m }) => m?.value !== null && m?.value !== undefined);
  if (!points.length) return null;
  const path = points.map(({ m, i }, n) => `${n ? "L" : "M"}${x(i).toFixed(1)} ${y(m.value).toFixed(1)}`).join("");
  const ranged = points.filter(({ m }) => m.low !== null && m.low !== undefined && m.high !== null && m.high !== undefined);
  return svg(
    "g",
    { class: kind },
    ranged.map(({ m, i }) => svg("line", { class: "range", x1: x(i), x2: x(i), y1: y(m.low), y2: y(m.high) })),
    svg("path", { class: "line", d: path }),
    points.map(({ m, i }) => svg("circle", { cx: x(i), cy: y(m.value), r: 3.5 })),
  );
}
