"use strict";
// The controls of the page. window.limn is the model, for whoever writes a page of their own.

const $ = id => document.getElementById(id);
const parse = text => JSON.parse(new TextDecoder().decode(text));

/** The width and height of an image as it is shown: a film's frame, a sound's waveform. */
function extents(model) {
  const [, h, w] = model.geometry;
  if (model.medium === "sounds") return [256, 56];
  return [w, model.medium === "films" ? h / model.rate : h];
}

/** Amplitudes of a sound, which is stored in equal steps of loudness. */
const amplitude = stored => {
  const y = 2 * Math.min(1, Math.max(0, stored)) - 1;
  return Math.sign(y) * (Math.exp(Math.abs(y) * Math.log(256)) - 1) / 255;
};

/** Puts an image into a picture, its upper left corner at (left, top). */
function put(picture, image, model, left, top, frame) {
  const [c, h, w] = model.geometry, [width, height] = extents(model);
  const { data } = picture, set = (x, y, r, g, b) => {
    const to = 4 * ((top + y) * picture.width + left + x);
    [data[to], data[to + 1], data[to + 2], data[to + 3]] = [r, g, b, 255];
  };
  if (model.medium === "sounds") {
    for (let x = 0; x < width; x++) {
      const part = image.subarray(Math.floor(x * w / width), Math.floor((x + 1) * w / width)).map(amplitude);
      const [low, high] = [Math.min(...part), Math.max(...part)].map(v => Math.round((1 - v) / 2 * (height - 1)));
      for (let y = 0; y < height; y++) set(x, y, ...(y >= high && y <= low ? [110, 168, 254] : [30, 34, 40]));
    }
    return;
  }
  const from = model.medium === "films" ? (frame % model.rate) * height : 0;
  const [green, blue] = [1, 2].map(k => Math.min(k, c - 1) * h * w);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const at = (from + y) * w + x;
      set(x, y, 255 * image[at], 255 * image[green + at], 255 * image[blue + at]);
    }
  }
}

/** Images in rows on a canvas, with gaps between; `change` may change the picture before it is shown. */
function show(canvas, images, model, columns = 1, frame = 0, change = () => {}) {
  const n = images.length / model.size, [width, height] = extents(model), gap = n > 1 ? 1 : 0;
  const size = [columns * (width + gap) - gap, Math.ceil(n / columns) * (height + gap) - gap];
  if (canvas.width !== size[0] || canvas.height !== size[1]) [canvas.width, canvas.height] = size;
  const context = canvas.getContext("2d"), picture = context.createImageData(...size);
  for (let k = 0; k < n; k++) {
    const [left, top] = [k % columns * (width + gap), Math.floor(k / columns) * (height + gap)];
    put(picture, images.subarray(k * model.size, (k + 1) * model.size), model, left, top, frame);
  }
  change(picture.data);
  context.putImageData(picture, 0, 0);
}

/** Saves what a canvas shows, small images enlarged. */
function save(canvas, name) {
  const scale = Math.max(1, Math.floor(512 / canvas.width)), large = document.createElement("canvas");
  [large.width, large.height] = [scale * canvas.width, scale * canvas.height];
  const context = large.getContext("2d");
  context.imageSmoothingEnabled = false;
  context.drawImage(canvas, 0, 0, large.width, large.height);
  const link = document.createElement("a");
  link.download = name;
  link.href = large.toDataURL("image/png");
  link.click();
}

/** A picture of somebody's own as the model takes it: cut to its shape around the middle, and scaled. */
async function own(file, model) {
  const bitmap = await createImageBitmap(file), [c, h, w] = model.geometry;
  const canvas = document.createElement("canvas"), scale = Math.max(w / bitmap.width, h / bitmap.height);
  [canvas.width, canvas.height] = [w, h];
  const context = canvas.getContext("2d"), [wide, tall] = [scale * bitmap.width, scale * bitmap.height];
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, (w - wide) / 2, (h - tall) / 2, wide, tall);
  const { data } = context.getImageData(0, 0, w, h), image = new Float32Array(model.size);
  for (let i = 0; i < h * w; i++) {
    const rgb = [0, 1, 2].map(k => data[4 * i + k] / 255), grey = 0.299 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2];
    for (let k = 0; k < c; k++) image[k * h * w + i] = c === 1 ? grey : rgb[k];
  }
  return image;
}

/** Runs the newest call of `work` after the one that runs, and leaves out those in between. */
function latest(work) {
  let busy = false, next = null;
  return async (...args) => {
    next = args;
    if (busy) return;
    busy = true;
    try {
      while (next) {
        const now = next;
        next = null;
        await work(...now);
      }
    } catch (error) {
      broken(error);
    } finally {
      busy = false;
    }
  };
}

function failed(words) {
  $("status").textContent = words;
  $("status").classList.add("failed");
}

/** What goes on, unless the model no longer runs. */
function say(words) {
  if (document.body.dataset.ready !== "false") $("status").textContent = words;
}

const STILL = "the pictures were drawn when the page was made";

/** The model does not run, or no longer: its pictures are shown, and its controls rest. The first reason is the one told. */
function broken(error, why = "the model does not run here") {
  const words = error.isLoss ? "the device was lost, and the page runs again once it is loaded again" : why;
  if (document.body.dataset.ready === "false") return;
  document.body.dataset.ready = "false";
  failed(`${words} (${error.message ?? error}); ${STILL}`);
  $("still").hidden = false;
  for (const controls of ["latent", "pixels", "mixture", "many"]) $(controls).inert = true;
}

const buttons = (box, names, chosen) => names.forEach((name, k) => {
  const button = document.createElement("button");
  button.textContent = name;
  button.setAttribute("aria-pressed", String(k === 0));
  button.onclick = () => {
    for (const other of box.children) other.setAttribute("aria-pressed", String(other === button));
    chosen(k);
  };
  box.append(button);
});

/** A point of a canvas in parts of its width and height. */
function within(canvas, event) {
  const box = canvas.getBoundingClientRect();
  return [(event.clientX - box.x) / box.width, (event.clientY - box.y) / box.height].map(v => Math.min(1, Math.max(0, v)));
}

/** Calls `at` with the places that a pointer is dragged over. */
function dragged(canvas, at) {
  canvas.onpointerdown = event => { canvas.setPointerCapture(event.pointerId); at(...within(canvas, event)); };
  canvas.onpointermove = event => { if (event.buttons) at(...within(canvas, event)); };
}

/** Test images to click on. */
function strip(box, model, chosen) {
  const all = model.tests ?? new Float32Array();
  for (let k = 0; k < all.length / model.size; k++) {
    const image = all.subarray(k * model.size, (k + 1) * model.size), canvas = document.createElement("canvas");
    show(canvas, image, model);
    canvas.tabIndex = 0;
    canvas.setAttribute("role", "button");
    canvas.setAttribute("aria-label", `test image ${k + 1}`);
    canvas.onclick = () => chosen(image, model.labels[k] ?? 0);
    canvas.onkeydown = event => { if (event.key === "Enter") canvas.onclick(); };
    box.append(canvas);
  }
}

function latentControls(model) {
  $("latent").hidden = false;
  $("code").open = model.latent <= 32;
  const state = { z: model.latents(1, 0), label: 0, image: null, frame: 0, bound: Infinity };
  const dims = Array.from({ length: model.latent }, (_, k) => k), { reach } = model;
  const labels = n => model.oneHot(Array(n).fill(state.label));
  const sliders = dims.map(k => {
    const label = document.createElement("label"), input = document.createElement("input"), value = document.createElement("output");
    Object.assign(input, { type: "range", min: -reach, max: reach, step: 0.01 });
    input.oninput = () => { state.z[k] = Number(input.value); changed(k); };
    label.append(`z${k}`, input, value);
    $("sliders").append(label);
    return { input, value };
  });
  const redraw = latest(async () => {
    const began = performance.now();
    state.image = await model.decode(state.z, labels(1));
    show($("image"), state.image, model, 1, state.frame);
    model.took = Math.min(model.took ?? Infinity, performance.now() - began);
    facts(model);
  });
  const across = $("across"), down = $("down"), side = 8;
  for (const [select, chosen] of [[across, 0], [down, Math.min(1, model.latent - 1)]]) {
    dims.forEach(k => select.append(new Option(`z${k}`, k)));
    select.value = chosen;
    select.onchange = () => changed(-1);
  }
  $("plane-box").hidden = model.latent < 2;
  let behind = null;
  const background = latest(async () => {
    const z = new Float32Array(side * side * model.latent), [i, j] = [Number(across.value), Number(down.value)];
    for (let k = 0; k < side * side; k++) {
      z.set(state.z, k * model.latent);
      z[k * model.latent + i] = reach * (2 * (k % side + 0.5) / side - 1);
      z[k * model.latent + j] = reach * (2 * (Math.floor(k / side) + 0.5) / side - 1);
    }
    behind = document.createElement("canvas");
    show(behind, await model.decode(z, labels(side * side)), model, side);
    point();
  });
  // A plane full of images is for models that draw one in a moment.
  const cheap = side * side * model.replay.programs.decode.flops < 2e9;
  function point() {
    const canvas = $("plane"), context = canvas.getContext("2d");
    canvas.width = canvas.height = 320;
    context.imageSmoothingEnabled = false;
    if (behind) context.drawImage(behind, 0, 0, 320, 320);
    const [x, y] = [across, down].map(s => 160 * (1 + state.z[s.value] / reach));
    for (const [radius, colour] of [[7, "#000"], [5, "#f5a524"]]) {
      context.fillStyle = colour;
      context.beginPath();
      context.arc(x, y, radius, 0, 7);
      context.fill();
    }
  }
  let waiting = 0;
  function changed(k) {
    sliders.forEach(({ input, value }, d) => { input.value = state.z[d]; value.textContent = state.z[d].toFixed(2); });
    const drawn = redraw();
    point();
    const onPlane = model.latent >= 2 && [across.value, down.value].includes(String(k));
    if (cheap && !onPlane && model.latent >= 2) {
      clearTimeout(waiting);
      waiting = setTimeout(() => drawn.then(background), 150);
    }
    return drawn;
  }
  const move = (x, y) => {
    state.z[across.value] = reach * (2 * x - 1);
    state.z[down.value] = reach * (2 * y - 1);
    changed(Number(across.value));
  };
  dragged($("plane"), move);
  $("plane").onkeydown = event => {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!step) return;
    event.preventDefault();
    move(...[across, down].map((s, k) => Math.min(1, Math.max(0, (1 + state.z[s.value] / reach) / 2 + step[k] / 40))));
  };
  const take = z => { state.z = Float32Array.from(z); changed(-1); };
  const fresh = () => take(model.latents(1, Number($("seed").value), state.bound));
  $("seed").onchange = fresh;
  $("dice").onclick = () => { $("seed").value = Math.floor(Math.random() * 2 ** 32); fresh(); };
  $("truncation").oninput = () => {
    const bound = Number($("truncation").value);
    state.bound = bound < 3 ? bound : Infinity;
    $("truncation-value").textContent = bound < 3 ? bound.toFixed(1) : "off";
    fresh();
  };
  if (model.classes) buttons($("classes"), model.names, k => { state.label = k; changed(-1); });
  $("save").onclick = () => save($("image"), `${model.about.name}.png`);

  // From draw to draw along great circles, or straight where the prior is uniform.
  let walking = null;
  $("walk").onclick = () => {
    const on = walking === null;
    $("walk").setAttribute("aria-pressed", String(on));
    cancelAnimationFrame(walking);
    walking = null;
    if (!on) return;
    let [a, b, t] = [state.z, model.latents(1, Math.floor(Math.random() * 2 ** 32), state.bound), 0];
    const step = () => {
      t += 1 / 90;
      if (t >= 1) [a, b, t] = [b, model.latents(1, Math.floor(Math.random() * 2 ** 32), state.bound), 0];
      state.z = between(a, b, t, model.uniform);
      changed(Number(across.value));
      walking = requestAnimationFrame(step);
    };
    walking = requestAnimationFrame(step);
  };

  if (model.replay.programs.encode) {
    $("encoder").hidden = false;
    const encode = latest(async (image, label) => {
      show($("given"), image, model);
      $("given").hidden = false;
      if (model.classes) $("classes").children[label].click();
      take(await model.encode(image, labels(1)));
    });
    strip($("tests"), model, encode);
    taken($("file"), $("latent"), model, image => encode(image, state.label));
  }
  const means = model.replay.array("means");
  if (means) {
    const box = $("arithmetic"), weight = [null, null];
    box.hidden = false;
    const selects = ["minus", "plus"].map((word, k) => {
      const select = document.createElement("select");
      select.append(new Option(`${word} …`, ""));
      model.names.forEach((name, class_) => select.append(new Option(`${word} ${name}`, class_)));
      select.setAttribute("aria-label", word);
      select.onchange = () => { weight[k] = select.value; };
      box.append(select);
      return select;
    });
    const go = document.createElement("button");
    go.textContent = "Add";
    go.onclick = () => {
      const mean = k => weight[k] === null || weight[k] === "" ? null : means.subarray(weight[k] * model.latent, (Number(weight[k]) + 1) * model.latent);
      const [minus, plus] = [mean(0), mean(1)];
      take(state.z.map((v, d) => v - (minus?.[d] ?? 0) + (plus?.[d] ?? 0)));
    };
    box.prepend("classes");
    box.append(go);
  }
  if (model.medium === "films") {
    setInterval(() => { state.frame++; if (state.image) show($("image"), state.image, model, 1, state.frame); }, 125);
  }
  if (model.medium === "sounds") {
    $("play-sound").hidden = false;
    $("play-sound").onclick = () => play(state.image, model);
  }
  return { take, drawn: changed(-1) };
}

/** Between two codes: along a great circle, which keeps to lengths that a normal prior knows. */
function between(a, b, t, straight) {
  const dot = (x, y) => x.reduce((sum, v, i) => sum + v * y[i], 0), lengths = Math.sqrt(dot(a, a) * dot(b, b));
  const angle = straight || lengths === 0 ? 0 : Math.acos(Math.min(1, Math.max(-1, dot(a, b) / lengths)));
  const sine = Math.sin(angle);
  const [wa, wb] = sine > 1e-4 ? [Math.sin((1 - t) * angle) / sine, Math.sin(t * angle) / sine] : [1 - t, t];
  return a.map((v, i) => wa * v + wb * b[i]);
}

/** A picture of somebody's own, from a file or dropped. */
function taken(input, box, model, use) {
  const take = async file => {
    try {
      if (file) use(await own(file, model));
    } catch {
      failed(`${file.name} is no picture that this browser reads`);
    }
  };
  input.onchange = () => take(input.files[0]);
  box.ondragover = event => event.preventDefault();
  box.ondrop = event => { event.preventDefault(); take(event.dataTransfer.files[0]); };
}

/** Plays a sound. */
function play(image, model) {
  const audio = new AudioContext({ sampleRate: model.rate }), buffer = audio.createBuffer(1, image.length, model.rate);
  buffer.copyToChannel(image.map(amplitude), 0);
  const source = audio.createBufferSource();
  source.buffer = buffer;
  source.connect(audio.destination);
  source.start();
  source.onended = () => audio.close();
}
