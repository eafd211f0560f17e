// A roofline (Williams et al. 2009): what each kernel reaches by what it computes for a byte.
const roof = data.ceilings;
document.getElementById("about").textContent = `${data.rows.length} times on ${data.device}`;
// What only moves data stands where one operation for eight bytes would.
const STILL = 1 / 8;
for (const row of data.rows) {
  row.moves = row.flops === 0;
  row.x = row.moves ? STILL : row.flops / row.bytes;
  row.y = row.moves ? row.gbs * STILL : row.gflops;
}
const dots = data.rows.filter((row) => row.x > 0 && row.y > 0).sort((a, b) => a.x - b.x || a.y - b.y);
const names = [...new Set(data.rows.map((row) => row.kernel))];
const colour = (row) => `var(--c${names.indexOf(row.kernel) % 8})`;
const hidden = new Set();

const flat = [["f32", roof.gflops], ["f16", roof.f16_gflops], ["matrix units", roof.matrix_gflops]]
  .filter(([, rate]) => rate > 0);
const most = Math.max(...flat.map(([, rate]) => rate));
const cached = (roof.cached || []).reduce((best, copied) => Math.max(best, copied.gbs), 0);
const slopes = [["memory", roof.gbs], ...(cached > 1.05 * roof.gbs ? [["caches", cached]] : [])].filter(([, rate]) => rate > 0);

const controls = element("div", { class: "controls" });
const kept = filter(controls, (row) => `${row.kernel} ${row.shape} ${row.variant} ${row.part || ""}`, show);
const legend = element("ul", { class: "legend" }, ...names.map((name) => {
  const dot = element("span", { class: "dot", style: `background:${colour({ kernel: name })}` });
  const button = element("button", { type: "button", "aria-pressed": "true", onclick: () => {
    if (!hidden.delete(name)) hidden.add(name);
    button.setAttribute("aria-pressed", String(!hidden.has(name)));
    show();
  } }, dot, name);
  return element("li", {}, button);
}));
const svg = shape("svg", { tabindex: 0, role: "img", "aria-label":
  "Roofline: operations a second over operations for a byte, both in equal factors. The arrow keys go from kernel to kernel." });
const reading = element("p", { class: "reading", role: "status" }, "point at a kernel, or use the arrow keys");
main.append(controls, legend, element("div", { class: "chart" }, svg, reading));
if (data.rows.some((row) => row.moves)) {
  main.append(element("p", { class: "soft" },
    "Hollow dots only move data: they stand at the left edge, as high as their bytes a second are under memory's slope."));
}
main.append(element("h2", {}, "Times"));
const fill = sortable(main, [
  { head: "ms", number: true, of: (row) => row.ms, show: (row) => digits(row.ms) },
  { head: "ceiling", number: true, of: (row) => row.share, show: (row) => percent(row.share) },
  { head: "GFLOP/s", number: true, of: (row) => row.gflops, show: (row) => digits(row.gflops) },
  { head: "GB/s", number: true, of: (row) => row.gbs, show: (row) => digits(row.gbs) },
  { head: "kernel", of: (row) => row.kernel },
  { head: "variant", of: (row) => row.variant },
  { head: "shape", of: (row) => row.shape },
], 0);

let seen = [], chosen = -1, marker = null, at = null;
function decades(low, high) {
  const all = [];
  for (let e = Math.floor(Math.log10(low)); 10 ** e <= high * 1.001; e++) if (10 ** e >= low * 0.999) all.push(10 ** e);
  return all;
}
const plain = (value) => (value >= 1e4 || value < 1e-2 ? value.toExponential(0) : String(value));

function draw() {
  const width = Math.max(300, Math.min(1150, svg.parentElement.clientWidth - 22)), narrow = width < 560;
  const height = narrow ? 330 : 460, left = 46, right = 12, top = 12, bottom = 40;
  const knees = slopes.flatMap(([, rate]) => flat.map(([, peak]) => peak / rate));
  const xs = [...dots.map((dot) => dot.x), ...knees.map((x) => 3 * x)], ys = [...dots.map((dot) => dot.y), most];
  const [x0, x1] = [Math.min(STILL, ...xs) / 1.5, Math.max(10, ...xs) * 1.5];
  const [y0, y1] = [Math.min(...ys) / 1.5, Math.max(...ys) * 1.6];
  const px = (x) => left + (Math.log(x / x0) / Math.log(x1 / x0)) * (width - left - right);
  const py = (y) => height - bottom - (Math.log(y / y0) / Math.log(y1 / y0)) * (height - top - bottom);
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  const parts = [];
  for (const x of decades(x0, x1)) {
    parts.push(shape("line", { class: "grid-line", x1: px(x), x2: px(x), y1: top, y2: height - bottom }));
    parts.push(shape("text", { class: "tick", x: px(x), y: height - bottom + 15, "text-anchor": "middle" }, plain(x)));
  }
  for (const y of decades(y0, y1)) {
    parts.push(shape("line", { class: "grid-line", x1: left, x2: width - right, y1: py(y), y2: py(y) }));
    parts.push(shape("text", { class: "tick", x: left - 5, y: py(y) + 4, "text-anchor": "end" }, plain(y)));
  }
  parts.push(shape("text", { class: "tick", x: (left + width) / 2, y: height - 6, "text-anchor": "middle" }, "operations for a byte"));
  parts.push(shape("text", { class: "tick", x: left + 4, y: top + 10 }, "GFLOP/s"));
  for (const [name, rate] of slopes) {
    const [a, b] = [Math.max(x0, y0 / rate), Math.min(x1, most / rate)];
    if (a >= b) continue;
    parts.push(shape("line", { class: "ceiling", x1: px(a), y1: py(rate * a), x2: px(b), y2: py(rate * b) }));
    // Along the slope, above its upper half.
    const m = a ** 0.35 * b ** 0.65;
    const angle = (Math.atan2(py(rate * b) - py(rate * a), px(b) - px(a)) * 180) / Math.PI;
    parts.push(shape("text", { class: "ceiling-name", "text-anchor": "middle",
      transform: `translate(${px(m)} ${py(rate * m) - 6}) rotate(${angle})` }, `${name} ${digits(rate)} GB/s`));
  }
  // The highest first; one that is close below another shares its words.
  let words = null, above = -Infinity;
  for (const [name, rate] of [...flat].sort((a, b) => b[1] - a[1])) {
    const knee = Math.max(x0, Math.min(...slopes.map(([, slope]) => rate / slope)));
    parts.push(shape("line", { class: "ceiling", x1: px(knee), y1: py(rate), x2: width - right, y2: py(rate) }));
    const told = `${name} ${digits(rate)} GFLOP/s`;
    if (words && py(rate) - above < 14) {
      words.textContent += `, ${told}`;
      continue;
    }
    above = py(rate);
    words = shape("text", { class: "ceiling-name", x: width - right - 2, y: above - 5, "text-anchor": "end" }, told);
    parts.push(words);
  }
  at = seen.map((dot) => [px(dot.x), py(dot.y)]);
  seen.forEach((dot, i) => parts.push(shape("circle", { class: "kernel", cx: at[i][0], cy: at[i][1], r: narrow ? 4 : 5,
    style: dot.moves ? `fill:none;stroke:${colour(dot)};stroke-width:2` : `fill:${colour(dot)}` })));
  marker = shape("circle", { class: "marker", r: 9, visibility: "hidden" });
  parts.push(marker);
  svg.replaceChildren(...parts);
  choose(chosen);
}

function choose(i) {
  chosen = i;
  const dot = seen[i];
  marker.setAttribute("visibility", dot ? "visible" : "hidden");
  if (!dot) return;
  marker.setAttribute("cx", at[i][0]);
  marker.setAttribute("cy", at[i][1]);
  const rate = dot.moves ? `${digits(dot.gbs)} GB/s` : `${digits(dot.gflops)} GFLOP/s, ${digits(dot.gbs)} GB/s`;
  reading.textContent = `${dot.kernel} ${dot.shape} [${dot.variant}]: ${digits(dot.ms)} ms, ${rate}, ${percent(dot.share)} of the nearer ceiling`;
}

svg.addEventListener("pointermove", (event) => {
  const box = svg.getBoundingClientRect(), view = svg.viewBox.baseVal;
  const x = ((event.clientX - box.left) * view.width) / box.width, y = ((event.clientY - box.top) * view.height) / box.height;
  let best = -1, least = 40 ** 2;
  at.forEach(([cx, cy], i) => {
    const far = (cx - x) ** 2 + (cy - y) ** 2;
    if (far < least) [best, least] = [i, far];
  });
  if (best >= 0) choose(best);
});
svg.addEventListener("keydown", (event) => {
  const step = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }[event.key];
  if (event.key === "Home") choose(0);
  else if (event.key === "End") choose(seen.length - 1);
  else if (step && seen.length) choose(chosen < 0 ? 0 : (chosen + step + seen.length) % seen.length);
  else return;
  event.preventDefault();
});

function show() {
  const wanted = (row) => !hidden.has(row.kernel) && kept(row);
  const held = seen[chosen];
  seen = dots.filter(wanted);
  chosen = seen.indexOf(held);
  fill(data.rows.filter(wanted));
  draw();
}
show();
new ResizeObserver(draw).observe(svg.parentElement);
