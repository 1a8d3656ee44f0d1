// How strict recognition is, and what each level costs with this gallery's own photos.

import { can, get, putTo } from "/page/api.js";
import { costs, measured } from "/page/chart.js";
import { button, el, icon, page, put } from "/page/dom.js";
import { complain, toast } from "/page/notices.js";
import { table, td, th, tr } from "/page/table.js";
import { count, interval, once, outOf, sentence, share, some } from "/page/words.js";

const FEW = 100; // own photos, below which a rate of them is told with what it cannot rule out

/** The view. */
export async function view({ signal }) {
  const [body, health, models] = await Promise.all([get("/v1/security", { signal }), get("/v1/health", { signal }), get("/v1/models", { signal })]);
  const people = health.store?.people ?? 0;
  const levels = [...(body.levels ?? body.items ?? [])].sort((a, b) => b.fmr - a.fmr);
  const at = nearest(levels, body.fmr);
  const state = { levels, people, saved: at, chosen: at };
  const panel = el("div", { class: "level-panel" });
  const figure = el("figure", { class: "cost-figure" });
  const wrap = el("div", { class: "table-wrap", tabIndex: 0, role: "region", "aria-label": "What each level costs, as a table" });
  const draw = () => {
    drawWords(panel.querySelector(".level-words"), panel.querySelector(".level-actions"), state, draw);
    put(figure, caption(people), costs(levels, state.chosen));
    put(wrap, rows(state));
  };
  put(panel, slider(state, draw), el("div", { class: "level-words", "aria-live": "polite" }), el("div", { class: "level-actions" }));
  draw();
  return page(
    { title: "Security", lede: "How alike two faces must be to count as one person. Stricter means fewer strangers with a name, and more of your own photos that go unrecognized." },
    panel,
    el("section", { "aria-labelledby": "costs" }, el("h2", { id: "costs", text: "What it costs" }), figure, wrap),
    models.calibration && el("section", { "aria-labelledby": "from" }, el("h2", { id: "from", text: "Where the rates come from" }), el("p", { class: "soft", text: sentence(models.calibration) })),
  );
}

function nearest(levels, fmr) {
  let best = 0;
  levels.forEach((level, i) => {
    if (Math.abs(Math.log(level.fmr / fmr)) < Math.abs(Math.log(levels[best].fmr / fmr))) best = i;
  });
  return best;
}

function slider(state, draw) {
  const input = el("input", {
    type: "range",
    id: "level",
    min: 0,
    max: state.levels.length - 1,
    step: 1,
    value: state.chosen,
    disabled: !can("admin"),
    "aria-valuetext": spoken(state),
    on: {
      input: () => {
        state.chosen = Number(input.value);
        input.setAttribute("aria-valuetext", spoken(state));
        draw();
      },
    },
  });
  return el(
    "div",
    { class: "slider" },
    el("label", { for: "level", class: "slider-label", text: "Strictness" }),
    input,
    el("div", { class: "slider-ends small soft", "aria-hidden": "true" }, el("span", { text: "more open" }), el("span", { text: "stricter" })),
  );
}

function spoken(state) {
  return `a stranger is accepted ${once(state.levels[state.chosen].fmr)}`;
}

function drawWords(words, actions, state, draw) {
  const level = state.levels[state.chosen];
  const { people } = state;
  const missed = level.fnmr_own;
  const named = measured(level);
  put(
    words,
    el("p", { class: "big" }, "A stranger is accepted ", el("span", { class: "nowrap", text: once(level.fmr) })),
    el(
      "ul",
      { class: "plain" },
      el("li", { text: unrecognized(missed) }),
      named?.value !== null && named?.value !== undefined && el("li", { text: `Of photos of strangers, ${outOf(named.value)} ${named.value > 0 ? "get" : "gets"} the name of one of ${some(people, "person", "people")}.` }),
    ),
  );
  if (!can("admin")) return put(actions, el("p", { class: "soft small", text: "Changing the level needs an admin key." }));
  if (state.chosen === state.saved) return put(actions, el("p", { class: "current" }, icon("check"), "This level is in use"));
  const save = async () => {
    try {
      await putTo("/v1/security", { fmr: level.fmr });
      state.saved = state.chosen;
      toast(`From now on a stranger is accepted ${once(level.fmr)}.`);
      draw();
      document.getElementById("level").focus();
    } catch (error) {
      complain(error);
    }
  };
  return put(actions, button("Use this level", save, { kind: "primary" }));
}

/** How many own photos are missed; with few of them, what that can and cannot say. */
function unrecognized(m) {
  if (!m || m.value === null || m.value === undefined) {
    return sentence(`How many of your own photos go unrecognized is not known yet: ${m?.note || "enroll people with two or more photos"}`);
  }
  if (m.n >= FEW) return `Of your own photos, ${outOf(m.value)} ${m.value > 0 ? "go" : "goes"} unrecognized.`;
  const most = m.high === null || m.high === undefined ? "" : `; so few cannot rule out a rate of ${share(m.high)}`;
  return `Of ${some(m.n, "own photo", "own photos")} that could be tried, ${count(m.value * m.n)} went unrecognized${most}.`;
}

function caption(people) {
  const key = (kind, words) => el("span", { class: `key ${kind}` }, words);
  return el("figcaption", { class: "small soft" }, el("span", { class: "keys" }, key("own", "own photos missed"), key("other", "strangers named")), `Error rates by level${people ? `, with ${some(people, "person", "people")} enrolled` : ""}. Vertical lines are 95% intervals.`);
}

function cell(label, m) {
  const known = m && m.value !== null && m.value !== undefined;
  const range = interval(m);
  return td(
    label,
    el("span", { class: known ? null : "soft", text: known ? share(m.value) : m?.note || "not enough data" }),
    range && el("span", { class: "range-words", text: range }),
    known && m.n > 0 && el("span", { class: "range-words", text: `of ${count(m.n)}` }),
  );
}

function rows(state) {
  const heads = ["A stranger is accepted", "Likeness needed", "Own photos missed", "Strangers named, expected", "Strangers named, own data"];
  const line = (level, i) => {
    const props = { class: i === state.chosen ? "on" : null, "aria-current": i === state.saved ? "true" : null };
    const head = th("row", el("span", { text: once(level.fmr) }), i === state.saved && el("span", { class: "chip", text: "in use" }));
    const bar = level.threshold === null || level.threshold === undefined ? "" : level.threshold.toFixed(3);
    return tr(props, head, td(heads[1], bar), cell(heads[2], level.fnmr_own), cell(heads[3], level.fpir), cell(heads[4], level.fpir_own));
  };
  return table("Cost of every level", heads, state.levels.map(line));
}
