"use strict";
// Draws the runs whose facts stand in the element #facts. All text goes into the page as text, never as HTML.

const runs = JSON.parse(document.getElementById("facts").textContent);
const shown = runs.map(() => true);
const by = (id) => document.getElementById(id);
const colour = (k) => `var(--c${k % 8})`;

// An element with attributes and children, which may be text.
function make(tag, attributes = {}, ...children) {
  const svg = ["svg", "path", "line", "text", "g", "circle"].includes(tag);
  const element = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

// Numbers for people: four digits, thousands apart, and millions as 6.34M.
function number(v) {
  if (!Number.isFinite(v)) return String(v);
  if (v === 0 || (Math.abs(v) >= 1e-3 && Math.abs(v) < 1e6)) {
    return v.toLocaleString("en", { maximumSignificantDigits: Math.abs(v) >= 1e4 ? 6 : 4 });
  }
  if (Math.abs(v) >= 1e6 && Math.abs(v) < 1e15) {
    return v.toLocaleString("en", { notation: "compact", maximumSignificantDigits: 4 });
  }
  return v.toExponential(2);
}

// A number of things: all its digits, thousands apart.
function count(n) {
  return n.toLocaleString("en", { maximumFractionDigits: 0 });
}

// A time in UTC, as people write it.
function time(utc) {
  return utc.replace("T", " ").replace("Z", " UTC");
}

function duration(seconds) {
  if (seconds < 90) return `${number(Math.round(seconds * 10) / 10)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return `${number(Math.round(seconds / 360) / 10)} h`;
}

// ---- what the page is about ----

function head() {
  const names = runs.map((run) => run.name).join(", ");
  by("head").append(make("h1", {}, names));
  runs.forEach((run, k) => {
    const done = run.total && run.step < run.total ? `step ${count(run.step)} of ${count(run.total)}` : `${count(run.step)} steps`;
    const device = run.sittings.sittings.at(-1);
    const parts = [
      run.model, `${count(run.parameters)} parameters`, run.data.source, done,
      run.broke_down ? `broke down at step ${count(run.broke_down.step)}` : null,
      duration(run.curves.seconds.at(-1) || 0), device ? `on ${device.device.name}` : null,
    ];
    const line = make("p", { class: "soft" });
    if (runs.length > 1) line.append(dot(k), ` ${run.name}: `);
    line.append(parts.filter(Boolean).join(" · "));
    by("head").append(line);
  });
}

function dot(k) {
  return make("span", { class: "dot", style: `background:${colour(k)};display:inline-block`, "aria-hidden": "true" });
}

// ---- curves ----

// Exponential moving averages that begin with the first value, not with zero.
function smoothed(values, weight) {
  let sum = 0, total = 0;
  return values.map((v) => {
    if (!Number.isFinite(v)) return v;
    sum = weight * sum + (1 - weight) * v;
    total = weight * total + (1 - weight);
    return sum / total;
  });
}

// Some five round numbers between two.
function ticks(low, high, log) {
  if (log) {
    const all = [];
    for (let e = Math.floor(Math.log10(low)); e <= Math.ceil(Math.log10(high)); e++) {
      for (const m of Math.log10(high / low) > 2 ? [1] : [1, 2, 5]) all.push(m * 10 ** e);
    }
    return all.filter((v) => v >= low && v <= high);
  }
  const rough = (high - low) / 4 || 1;
  const unit = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].find((m) => m * unit >= rough) * unit;
  const all = [];
  for (let v = Math.ceil(low / step) * step; v <= high + step * 1e-9; v += step) all.push(Math.abs(v) < step * 1e-9 ? 0 : v);
  return all;
}

const DOT = 6;
// Where two runs have the same values, both show: the second is broken, and its dots are smaller.
const DASHES = ["none", "7 5", "2 4", "9 3 2 3"];
const SIZE = { height: 230, left: 52, right: 10, top: 8, bottom: 24 };

// One chart: what it draws, and what it says at a place that is pointed at.
class Chart {
  constructor(name) {
    this.name = name;
    this.lines = runs
      .map((run, k) => ({ k, curves: run.curves, tests: (run.tests || []).find((t) => t.name === name),
        curve: run.curves.losses.find((c) => c.name === name) }))
      .filter((line) => line.curve || line.tests);
    this.reading = make("p", { class: "reading", "aria-live": "polite" });
    this.svg = make("svg", { role: "img", tabindex: "0" });
    const meaning = runs.map((run) => run.meanings[name]).find(Boolean);
    this.scale = make("span", { class: "scale" });
    this.box = make("div", { class: "chart" }, make("h3", {}, name, this.scale));
    if (meaning) this.box.append(make("p", { class: "meaning" }, meaning));
    this.box.append(this.svg, this.reading);
    this.svg.addEventListener("pointermove", (e) => this.pointed((e.clientX - this.svg.getBoundingClientRect().left)));
    this.svg.addEventListener("pointerleave", () => this.pointed(null));
    this.svg.addEventListener("blur", () => this.pointed(null));
    this.svg.addEventListener("keydown", (e) => {
      const by = { ArrowLeft: -1, ArrowRight: 1 }[e.key];
      if (!by) return;
      e.preventDefault();
      const at = this.at ?? this.width - SIZE.right;
      this.pointed(Math.min(this.width - SIZE.right, Math.max(SIZE.left, at + by * (e.shiftKey ? 40 : 6))));
    });
  }

  draw() {
    const axis = by("axis").value, weight = Number(by("smooth").value);
    this.width = Math.max(240, this.box.clientWidth - 24);
    const { height, left, right, top, bottom } = SIZE;
    const lines = this.lines.filter((line) => shown[line.k]);
    this.drawn = lines.map(({ k, curves, curve, tests }) => ({
      k,
      x: curve ? curves[axis] : [],
      raw: curve ? curve.mean : [],
      y: curve ? smoothed(curve.mean, weight) : [],
      min: curve ? curve.min : [],
      max: curve ? curve.max : [],
      tests: tests ? { x: axis === "step" ? tests.step : tests.seconds, y: tests.value } : null,
    }));
    const xs = this.drawn.flatMap((d) => d.x.concat(d.tests ? d.tests.x : []));
    const ys = this.drawn.flatMap((d) => d.y.concat(d.raw.length < 3 ? d.raw : [], d.tests ? d.tests.y : [])).filter(Number.isFinite);
    const wanted = by("log").checked && ys.length > 0;
    const log = wanted && ys.every((v) => v > 0);
    this.scale.textContent = wanted && !log ? " linear: not all of it is above 0" : "";
    const [x0, x1] = [Math.min(...xs, xs[0] ?? 0), Math.max(...xs, 1)];
    let [y0, y1] = ys.length ? [Math.min(...ys), Math.max(...ys)] : [0, 1];
    if (y0 === y1) [y0, y1] = log ? [y0 / 2, y1 * 2] : [y0 - 1, y1 + 1];
    const pad = log ? (y1 / y0) ** 0.05 : (y1 - y0) * 0.05;
    [y0, y1] = log ? [y0 / pad, y1 * pad] : [y0 - pad, y1 + pad];
    const f = log ? Math.log : (v) => v;
    // A dot at either end is whole, and none stands on the axis.
    this.px = (v) => left + DOT + ((v - x0) / (x1 - x0 || 1)) * (this.width - left - right - 2 * DOT);
    this.py = (v) => height - bottom - ((f(v) - f(y0)) / (f(y1) - f(y0))) * (height - top - bottom);
    const path = (x, y) => {
      let pen = "M", d = "";
      x.forEach((v, i) => {
        if (Number.isFinite(y[i]) && (!log || y[i] > 0)) { d += `${pen}${this.px(v).toFixed(1)} ${this.py(y[i]).toFixed(1)}`; pen = "L"; } else pen = "M";
      });
      return d;
    };
    const inside = (y) => y.map((v) => Math.min(y1, Math.max(y0, v)));
    this.svg.replaceChildren();
    this.svg.setAttribute("viewBox", `0 0 ${this.width} ${height}`);
    for (const v of ticks(y0, y1, log)) {
      this.svg.append(make("line", { class: "grid-line", x1: left, x2: this.width - right, y1: this.py(v), y2: this.py(v) }),
        make("text", { class: "tick", x: left - 6, y: this.py(v) + 4, "text-anchor": "end" }, number(v)));
    }
    const across = ticks(x0, x1, false);
    for (const v of across) {
      if (this.px(v) > this.width - right - 4 && across.length > 1) continue;
      this.svg.append(make("text", { class: "tick", x: this.px(v), y: height - 7, "text-anchor": "middle" }, axis === "step" ? count(v) : duration(v)));
    }
    for (const d of this.drawn) {
      if (lines.length === 1 && d.x.length) {
        const up = path(d.x, inside(d.max)), down = path([...d.x].reverse(), inside([...d.min].reverse())).replace("M", "L");
        if (up && down) this.svg.append(make("path", { class: "band", d: `${up}${down}Z`, fill: colour(d.k) }));
      }
      if (weight > 0) this.svg.append(make("path", { class: "raw", d: path(d.x, inside(d.raw)), stroke: colour(d.k) }));
      const dashes = DASHES[this.drawn.indexOf(d) % DASHES.length];
      this.svg.append(make("path", { class: "curve", d: path(d.x, d.y), stroke: colour(d.k), "stroke-dasharray": dashes }));
      if (d.tests) {
        this.svg.append(make("path", { class: "tests", d: path(d.tests.x, d.tests.y), stroke: colour(d.k), "stroke-dasharray": dashes }));
        const r = 3 + 1.5 * Math.min(2, this.drawn.length - 1 - this.drawn.indexOf(d));
        const drawable = (v) => Number.isFinite(v) && (!log || v > 0);
        d.tests.x.forEach((v, i) => drawable(d.tests.y[i]) && this.svg.append(make("circle", { cx: this.px(v), cy: this.py(d.tests.y[i]), r, fill: colour(d.k), stroke: "var(--raised)" })));
      }
    }
    const last = this.drawn.filter((d) => d.y.length).map((d) => `${runs[d.k].name} ${number(d.y.at(-1))}`).join(", ");
    this.svg.setAttribute("aria-label", `${this.name} over ${axis === "step" ? "steps" : "time"}; last: ${last}`);
    this.cursor = make("line", { class: "cursor", y1: top, y2: height - bottom, visibility: "hidden" });
    this.svg.append(this.cursor);
    this.pointed(this.at ?? null);
  }

  // Says what the curves are at a place across the chart, or at their end where none is pointed at.
  pointed(at) {
    this.at = at;
    const axis = by("axis").value;
    this.cursor.setAttribute("visibility", at === null ? "hidden" : "visible");
    if (at !== null) { this.cursor.setAttribute("x1", at); this.cursor.setAttribute("x2", at); }
    this.reading.replaceChildren();
    const unit = (v) => (axis === "step" ? `step ${count(v)}` : duration(v));
    // What is pointed at, or the end of the longest run; of a run that ended before it the end is told, with where that is.
    const all = this.drawn.flatMap((d) => (d.y.length ? d.x : d.tests ? d.tests.x : []));
    if (!all.length) return;
    const place = at === null ? Math.max(...all) : all.reduce((best, v) => (Math.abs(this.px(v) - at) < Math.abs(this.px(best) - at) ? v : best));
    this.reading.append(`${unit(place)}:`);
    for (const d of this.drawn) {
      const nearest = (xs) => xs.reduce((best, v, j) => (Math.abs(v - place) <= Math.abs(xs[best] - place) ? j : best), 0);
      const ended = (xs) => (xs.at(-1) < place ? ` at ${unit(xs.at(-1))}` : "");
      if (d.y.length) {
        const i = nearest(d.x);
        this.reading.append(" ", dot(d.k), ` ${number(d.raw[i])}${ended(d.x)}`);
        if (d.tests && d.tests.x.length) {
          const t = nearest(d.tests.x);
          const where = axis === "step" && d.tests.x[t] !== d.x[i] ? ` at ${count(d.tests.x[t])}` : "";
          this.reading.append(` (test ${number(d.tests.y[t])}${where})`);
        }
      } else if (d.tests && d.tests.x.length) {
        const i = nearest(d.tests.x);
        this.reading.append(" ", dot(d.k), ` test ${number(d.tests.y[i])}${ended(d.tests.x)}`);
      }
    }
  }
}

const charts = [];

function curves() {
  const names = [...new Set(runs.flatMap((run) => [...run.curves.losses.map((c) => c.name), ...(run.tests || []).map((t) => t.name)]))];
  if (!runs.some((run) => run.curves.step.length)) {
    by("charts").append(make("p", { class: "soft" }, "No step has been taken yet."));
    return;
  }
  for (const name of names) {
    const chart = new Chart(name);
    charts.push(chart);
    by("charts").append(chart.box);
  }
  const draw = () => {
    by("smooth-value").textContent = Number(by("smooth").value).toFixed(2);
    charts.forEach((chart) => chart.draw());
  };
  if (runs.length > 1) {
    runs.forEach((run, k) => {
      const button = make("button", { type: "button", "aria-pressed": "true" }, dot(k), run.name);
      button.addEventListener("click", () => {
        shown[k] = !shown[k];
        button.setAttribute("aria-pressed", String(shown[k]));
        draw();
      });
      by("legend").append(make("li", {}, button));
    });
  }
  for (const id of ["axis", "log", "smooth"]) by(id).addEventListener("input", draw);
  let width = 0;
  new ResizeObserver(() => { if (by("charts").clientWidth !== width) { width = by("charts").clientWidth; draw(); } }).observe(by("charts"));
  draw();
}

// ---- pictures ----

// Pixels that a picture is shown in, at most: in height, and in width where it is enlarged.
const ROOM = 480;

function figure(title, src, alt) {
  const image = make("img", { src, alt });
  // In whole multiples where small, as large as there is room; what is larger becomes smaller, and no page is one picture.
  image.addEventListener("load", () => {
    const [w, h] = [image.naturalWidth || 1, image.naturalHeight || 1];
    const times = Math.floor(Math.min(ROOM / w, ROOM / h));
    image.style.width = `${Math.round(w * (times >= 1 ? times : Math.min(1, ROOM / h)))}px`;
    sharpen();
  });
  // Pixels stay sharp where they are enlarged; where several become one, leaving some out would be wrong.
  const sharpen = () => { image.style.imageRendering = image.clientWidth < image.naturalWidth ? "auto" : "pixelated"; };
  new ResizeObserver(sharpen).observe(image);
  return make("figure", {}, image, make("figcaption", {}, title));
}

function progress() {
  // A stop for each step of which any run has a picture; each run shows its latest until there.
  const steps = [...new Set(runs.flatMap((run) => run.progress.map((picture) => picture.step)))].sort((a, b) => a - b);
  const most = steps.length;
  if (most < 1) { by("progress").hidden = true; return; }
  const figures = runs.map((run) => {
    if (!run.progress.length) return null;
    const one = figure("", run.progress.at(-1).src, `samples of ${run.name}`);
    by("moments").append(one);
    return one;
  });
  const slider = by("moment");
  slider.max = String(most - 1);
  slider.value = slider.max;
  const show = () => {
    const at = steps[Number(slider.value)];
    runs.forEach((run, k) => {
      if (!figures[k]) return;
      const picture = run.progress.findLast((one) => one.step <= at) || run.progress[0];
      figures[k].querySelector("img").src = picture.src;
      figures[k].querySelector("figcaption").textContent = runs.length > 1 ? `${run.name}, step ${count(picture.step)}` : "";
    });
    by("moment-value").textContent = `step ${count(at)}`;
    slider.setAttribute("aria-valuetext", by("moment-value").textContent);
  };
  slider.addEventListener("input", show);
  let playing = null;
  by("play").addEventListener("click", () => {
    const stop = () => { clearInterval(playing); playing = null; by("play").textContent = "Play"; };
    if (playing) { stop(); return; }
    if (slider.value === slider.max) slider.value = "0";
    by("play").textContent = "Pause";
    show();
    playing = setInterval(() => {
      if (slider.value === slider.max) { stop(); return; }
      slider.value = String(Number(slider.value) + 1);
      show();
    }, 350);
  });
  by("play").disabled = slider.disabled = most < 2;
  show();
}

function views() {
  const all = runs.flatMap((run) => run.views.map((picture) => [runs.length > 1 ? `${run.name}: ${picture.title}` : picture.title, picture]));
  by("views").hidden = all.length === 0;
  all.forEach(([title, picture]) => by("all-views").append(figure(title, picture.src, title)));
}

function pictures() {
  const all = runs.flatMap((run) => run.pictures.map((picture) => [runs.length > 1 ? `${run.name}: ${picture.title}` : picture.title, picture]));
  by("pictures").hidden = all.length === 0;
  all.forEach(([title, picture]) => by("all-pictures").append(figure(title, picture.src, title)));
}

// ---- tables ----

function table(heads, rows) {
  // Where there is no room for many columns each row is a list, and says itself what its cells are.
  const cell = (value, i) => {
    const head = heads.length > 4 ? { "data-head": heads[i] } : {};
    if (value instanceof Node) return make("td", head, value);
    return make("td", typeof value === "number" ? { class: "number", ...head } : head, typeof value === "number" ? number(value) : value ?? "");
  };
  return make("table", heads.length > 4 ? { class: "many" } : {}, make("thead", {}, make("tr", {}, ...heads.map((h) => make("th", { scope: "col" }, h)))),
    make("tbody", {}, ...rows.map((row) => make("tr", {}, ...row.map(cell)))));
}

// Figures that were measured together stand together, with how that was done below them.
function warnings() {
  const broken = (run) => (run.broke_down ? [`training broke down at step ${count(run.broke_down.step)}: ${run.broke_down.why}`] : []);
  const all = runs.flatMap((run) => [...broken(run), ...run.warnings].map((text) => (runs.length > 1 ? `${run.name}: ${text}` : text)));
  by("warnings").hidden = all.length === 0;
  by("warning-list").append(...all.map((text) => make("li", {}, text)));
}

function figures() {
  const groups = new Map();
  for (const run of runs) {
    for (const f of run.figures) {
      const key = JSON.stringify([run.name, f.step, f.measured, f.protocol]);
      if (!groups.has(key)) groups.set(key, { run, first: f, all: [] });
      groups.get(key).all.push(f);
    }
  }
  by("figures").hidden = groups.size === 0;
  for (const { run, first, all } of groups.values()) {
    const name = runs.length > 1 ? `${run.name}, ` : "";
    const when = `${name}after step ${count(first.step)}, measured ${time(first.measured)}: ${first.protocol}`;
    by("figure-table").append(make("div", { class: "measured" },
      table(["figure", "value", "unit"], all.map((f) => [f.name, f.value, f.unit])), make("p", { class: "soft" }, when)));
  }
}

function profile() {
  const rows = runs.flatMap((run) => {
    const kernels = run.profile ? run.profile.kernels : [];
    const total = kernels.reduce((sum, k) => sum + k.ms, 0);
    const percent = (v) => (v == null ? "" : `${number(Math.round(1000 * v) / 10)} %`);
    return [...kernels].sort((a, b) => b.ms - a.ms).map((k) => [
      ...(runs.length > 1 ? [run.name] : []), k.name, k.count, k.ms, percent(k.ms / (total || 1)), k.gflops ?? "", k.gbs ?? "", percent(k.share),
    ]);
  });
  by("profile").hidden = rows.length === 0;
  if (!rows.length) return;
  by("profile-table").append(table([...(runs.length > 1 ? ["run"] : []), "kernel", "launches", "ms a step", "of the step", "GFLOP/s", "GB/s", "of the ceiling"], rows));
}

function settings() {
  const keys = [...new Set(runs.flatMap((run) => run.settings.map((s) => s.key)))];
  const of = (run, key) => run.settings.find((s) => s.key === key);
  const several = runs.length > 1;
  const differs = (key) => several
    ? new Set(runs.map((run) => (of(run, key) || {}).value)).size > 1
    : (of(runs[0], key) || {}).preset != null;
  by("every-label").textContent = several ? "also those that are the same in all runs" : "also those that are as in the preset";
  const draw = () => {
    const rows = keys.filter((key) => by("every").checked || differs(key)).map((key) => {
      const values = runs.map((run) => (of(run, key) || {}).value ?? "unset");
      const name = make("code", differs(key) ? { class: "differs" } : {}, key);
      return several ? [name, ...values] : [name, values[0], of(runs[0], key).preset ?? ""];
    });
    const heads = several ? ["setting", ...runs.map((run) => run.name)] : ["setting", "this run", runs[0].preset ? `the preset ${runs[0].preset}` : "the preset"];
    const none = several ? "The runs have the same settings." : "All settings are as in the preset.";
    by("settings").replaceChildren(rows.length ? table(heads, rows) : make("p", { class: "soft" }, none));
  };
  by("every").addEventListener("input", draw);
  draw();
}

// The classes with how many images there are of each to train on and, behind a plus, to test on.
function classCounts(identity) {
  const names = identity.classes || [], counts = identity.counts || [];
  const n = Math.max(names.length, counts.length);
  if (!n) return "";
  const one = (k) => [names[k] ?? String(k), ...(counts[k] ? [`${count(counts[k][0])} + ${count(counts[k][1])}`] : [])].join(": ");
  return `${n} classes; ${Array.from({ length: n }, (_, k) => one(k)).join(", ")}`;
}

function data() {
  const of = (name, read) => [make("span", { class: "soft" }, name), ...runs.map((run) => read(run, run.data.identity) ?? "")];
  const rows = [
    of("source", (run) => run.data.source),
    of("kind", (run) => run.data.medium),
    of("to train on", (run, identity) => identity && count(identity.train)),
    of("held out for tests", (run, identity) => identity && count(identity.test)),
    of("size", (run) => run.data.size),
    of("classes, with how many to train and to test on", (run, identity) => identity && classCounts(identity)),
  ];
  by("data").append(table(["", ...runs.map((run) => (runs.length > 1 ? run.name : ""))], rows.filter((row) => row.slice(1).some((cell) => cell !== ""))));
}

function machines() {
  const rows = runs.flatMap((run) => run.sittings.sittings.map((s) => {
    const changes = (s.changes || []).map((c) => `${c.key} ${c.from} → ${c.to}`).join(", ");
    return [...(runs.length > 1 ? [run.name] : []), time(s.began), make("span", { class: "number" }, count(s.step + 1)),
      s.device.backend === "cpu" ? s.device.name : `${s.device.name} (${s.device.backend})`, s.device.driver, s.limn, changes];
  }));
  by("machines").append(table([...(runs.length > 1 ? ["run"] : []), "began", "with step", "device", "driver or processor", "limn", "changed settings"], rows));
}

head();
curves();
progress();
views();
pictures();
warnings();
figures();
profile();
settings();
data();
machines();
