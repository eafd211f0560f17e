// Models that draw pixel by pixel: an image of which a part is hidden, and four completions of it.

function pixelControls(model) {
  $("pixels").hidden = false;
  const [c, h, w] = model.geometry, plane = h * w, { n } = model.replay.content.loop;
  const state = { image: new Float32Array(model.size), known: new Uint8Array(plane), label: 0, brush: "erase", turn: 0 };
  const editor = $("editor");
  model.editor = state;
  const edit = () => show(editor, state.image, model, 1, 0, data => {
    for (let i = 0; i < plane; i++) {
      const light = (i % w + Math.floor(i / w)) % 4 < 2;
      if (!state.known[i]) data.set(light ? [96, 110, 140, 255] : [70, 82, 110, 255], 4 * i);
    }
  });
  const draw = latest(async () => {
    const turn = ++state.turn, repeated = new Float32Array(n * model.size), keep = new Float32Array(n * model.size);
    for (let k = 0; k < n * c; k++) {
      repeated.set(state.image.subarray(k % c * plane, (k % c + 1) * plane), k * plane);
      keep.set(state.known, k * plane);
    }
    const began = performance.now();
    const drawn = await model.complete(repeated, keep, Number($("pixel-seed").value), state.label, {
      show: (images, done) => {
        show($("completions"), images, model, 2);
        say(`drawing, ${Math.round(100 * done)}%`);
      },
      wanted: () => turn === state.turn,
    });
    if (turn !== state.turn) return;
    show($("completions"), drawn, model, 2);
    model.took = (performance.now() - began) / n;
    facts(model);
  });
  const restart = () => { state.turn++; draw(); };
  const take = (image, label) => {
    state.image = model.binary ? image.map(v => v >= 0.5 ? 1 : 0) : Float32Array.from(image);
    state.known.fill(1);
    if (model.classes) { $("pixel-classes").children[label].click(); }
    edit();
  };
  strip($("pixel-tests"), model, take);
  taken($("pixel-file"), $("pixels"), model, image => take(image, state.label));
  dragged(editor, (x, y) => {
    const radius = Number($("brush").value) / 2, [left, top] = [x * w - 0.5, y * h - 0.5];
    const rgb = [1, 3, 5].map(k => parseInt($("colour").value.slice(k, k + 2), 16) / 255);
    for (let i = 0; i < plane; i++) {
      if (Math.hypot(i % w - left, Math.floor(i / w) - top) > Math.max(0.5, radius)) continue;
      state.known[i] = state.brush === "paint" ? 1 : 0;
      if (state.brush !== "paint") continue;
      const grey = 0.299 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2];
      for (let k = 0; k < c; k++) state.image[k * plane + i] = c > 1 ? rgb[k] : model.binary ? Number(grey >= 0.5) : grey;
    }
    edit();
  });
  editor.onpointerup = restart;
  for (const button of document.querySelectorAll("[data-brush]")) {
    button.onclick = () => {
      state.brush = button.dataset.brush;
      for (const other of document.querySelectorAll("[data-brush]")) other.setAttribute("aria-pressed", String(other === button));
    };
  }
  const regions = {
    all: () => true,
    lower: (x, y) => y >= h / 2,
    right: x => x >= w / 2,
    box: (x, y) => x >= w / 4 && x < w - w / 4 && y >= h / 4 && y < h - h / 4,
  };
  for (const button of document.querySelectorAll("[data-hide]")) {
    button.onclick = () => {
      for (let i = 0; i < plane; i++) if (regions[button.dataset.hide](i % w, Math.floor(i / w))) state.known[i] = 0;
      edit();
      restart();
    };
  }
  if (model.classes) buttons($("pixel-classes"), model.names, k => { state.label = k; restart(); });
  $("draw").onclick = () => { $("pixel-seed").value = (Number($("pixel-seed").value) + 1) % 2 ** 32; restart(); };
  $("pixel-seed").onchange = restart;
  $("save-pixels").onclick = () => save($("completions"), `${model.about.name}.png`);
  edit();
  draw();
}

/** The components of a mixture. */
async function mixtureControls(model) {
  $("mixture").hidden = false;
  const [weights, means] = await model.components();
  const order = Array.from(weights.keys()).sort((a, b) => weights[b] - weights[a]);
  const sorted = new Float32Array(means.length);
  order.forEach((k, i) => sorted.set(means.subarray(k * model.size, (k + 1) * model.size), i * model.size));
  show($("components"), sorted, model, Math.min(10, order.length));
}

/** Many samples at once. */
function gridControls(model, chosen) {
  $("many").hidden = false;
  let seed = 0, images = null, frame = 0;
  const n = model.family === "pixels" ? 16 : 64, columns = model.medium === "sounds" ? 4 : Math.sqrt(n);
  const redraw = latest(async () => {
    const began = performance.now();
    images = await model.sample(n, seed);
    show($("grid"), images, model, columns, frame);
    if (model.family === "mixture") { // other models have a single image to time
      model.took = Math.min(model.took ?? Infinity, (performance.now() - began) / n);
      facts(model);
    }
    $("many-words").textContent = `seed ${seed}${chosen ? "; click on one to take its code" : ""}`;
  });
  $("more").onclick = () => { seed++; redraw(); };
  $("save-grid").onclick = () => save($("grid"), `${model.about.name}-samples.png`);
  $("grid").onclick = event => {
    const rows = Math.ceil(n / columns), [x, y] = within($("grid"), event);
    const k = Math.min(rows - 1, Math.floor(y * rows)) * columns + Math.min(columns - 1, Math.floor(x * columns));
    chosen?.(k, seed);
  };
  if (model.medium === "films") setInterval(() => { frame++; if (images) show($("grid"), images, model, columns, frame); }, 125);
  return redraw;
}

/** What is known of the model, and where it runs how long it takes here. */
function facts(model) {
  const { about, replay } = model, info = replay?.adapter.info, [c, h, w] = model.geometry;
  const images = model.medium === "sounds" ? `${w} samples at ${model.rate} Hz`
    : model.medium === "films" ? `${model.rate} frames of ${w}x${h / model.rate}` : `${w}x${h} ${c === 1 ? "grey" : "RGB"}`;
  const device = [info?.vendor, info?.architecture, info?.description].filter(Boolean).join(" ");
  const rows = [
    ["model", `${about.kind}, ${about.parameters.toLocaleString("en")} parameters, ${images}`],
    ["trained", `${about.step.toLocaleString("en")} steps on ${about.data}; ${about.weights} weights`],
    ...about.figures.map(f => [f.name, `${Number(f.value.toPrecision(5))} ${f.unit}: ${f.protocol}`]),
    ...about.remarks.map(words => ["note", words]),
    ...replay ? [["device", device || "unnamed"],
      ["time", model.took ? `${model.took < 1000 ? `${Number(model.took.toPrecision(2))} ms` : `${(model.took / 1000).toFixed(1)} s`} a sample here` : "not measured yet"]] : [],
    ["made by", `limn ${about.version}`],
  ];
  $("facts").replaceChildren(...rows.map(([name, value]) => {
    const row = document.createElement("tr"), head = document.createElement("th"), cell = document.createElement("td");
    [head.textContent, cell.textContent] = [name, value];
    row.append(head, cell);
    return row;
  }));
  if (replay) say(`runs here, on ${device || "this device"}`);
}

/** The kernels that run, with their shapes and their WGSL. */
function kernels(content) {
  content.modules.forEach(([name, code], module) => {
    const used = Object.values(content.programs).flatMap(Object.values).flatMap(p => p.dispatches).filter(d => content.pipelines[d.pipeline].module === module);
    const box = document.createElement("details"), summary = document.createElement("summary"), text = document.createElement("pre");
    summary.textContent = `${name}.wgsl: ${[...new Set(used.map(d => d.label))].join("; ")}`;
    text.textContent = code;
    box.append(summary, text);
    $("kernels").append(box);
  });
}

/** The weights, which stand behind the scripts: what is known before is done before. */
async function arrived() {
  if (document.readyState === "loading") await new Promise(done => addEventListener("DOMContentLoaded", done));
  return unpacked($("weights").textContent);
}

async function begin() {
  const opened = Replay.device(), weights = arrived();
  for (const promise of [opened, weights]) promise.catch(() => {}); // both are awaited below, by then with their errors
  const known = parse(await unpacked($("content").textContent));
  $("words").textContent = known.about.words;
  facts({ ...known.model, about: known.about }); // also of a model that will not run here
  // Behind a # the page's address may say which programs it takes: those for a GPU, or for a software device.
  const kind = ["gpu", "lanes"].find(kind => location.hash === `#${kind}`);
  const replay = await Replay.open(known, weights, kind, opened), model = new Model(replay);
  model.about = known.about;
  model.tests = replay.array("test") && Float32Array.from(replay.array("test"), v => v / 255);
  replay.lost.then(loss => broken(loss));
  replay.device.onuncapturederror = event => {
    event.preventDefault();
    broken(event.error);
  };
  window.limn = model;
  let chosen = null;
  if (model.family === "latent") {
    const { take, drawn } = latentControls(model);
    chosen = (k, seed) => take(model.latents(k + 1, seed).subarray(k * model.latent));
    await drawn;
  } else if (model.family === "pixels") {
    pixelControls(model);
  } else {
    await mixtureControls(model);
  }
  const grid = gridControls(model, chosen);
  if (document.body.dataset.ready === "false") return;
  $("still").hidden = true;
  facts(model);
  document.body.dataset.ready = "true";
  // The first picture is there: the rest may take its time.
  const rest = async () => {
    kernels(known);
    if (model.family !== "pixels") await grid();
    await replay.warm();
  };
  rest().catch(failed);
}

begin().catch(error => {
  if (navigator.gpu && window.DecompressionStream) return broken(error);
  const where = isSecureContext ? "" : ", and gives it to pages over https or from a file only";
  broken("Chrome, Edge, and newer Safari and Firefox have it", `this browser has no WebGPU, which the model's kernels run on${where}`);
});
