// Replays programs by WebGPU: a program is a list of dispatches over buffers, a dispatch a pipeline with its operands.
// Random numbers are those of the program itself: Philox-4x32-10 (Salmon et al. 2011), counted by element, stream and step.

const MULTIPLIERS = [0xD2511F53, 0xCD9E8D57], WEYL = [0x9E3779B9, 0xBB67AE85], SAMPLE = 3;

/** The upper half of a product of two words. */
function high(a, b) {
  const [ah, al, bh, bl] = [a >>> 16, a & 0xFFFF, b >>> 16, b & 0xFFFF];
  const middle = ah * bl + (al * bl >>> 16), low = al * bh + (middle & 0xFFFF);
  return (ah * bh + Math.floor(middle / 65536) + Math.floor(low / 65536)) >>> 0;
}

/** The four words of a block of a stream. */
function philox(counter, key) {
  let [a, b, c, d] = counter, [k, l] = key;
  for (let round = 0; round < 10; round++) {
    if (round > 0) [k, l] = [(k + WEYL[0]) >>> 0, (l + WEYL[1]) >>> 0];
    const [p, q] = [Math.imul(MULTIPLIERS[0], a) >>> 0, Math.imul(MULTIPLIERS[1], c) >>> 0];
    [a, b, c, d] = [(high(MULTIPLIERS[1], c) ^ b ^ k) >>> 0, q, (high(MULTIPLIERS[0], a) ^ d ^ l) >>> 0, p];
  }
  return [a, b, c, d];
}

const unit = word => (word >>> 8) / 16777216;

/** Latent number i of those that a seed gives, drawn for the step-th time. */
function latentNumber(seed, i, step, uniform) {
  const words = philox([i >> 2, 0, step, SAMPLE], [seed >>> 0, 0]);
  if (uniform) return Math.fround(Math.sqrt(3)) * (2 * unit(words[i % 4]) - 1);
  const radius = Math.sqrt(-2 * Math.log(1 - unit(words[i % 4 & 2]))), angle = 2 * Math.PI * unit(words[(i % 4 & 2) + 1]);
  return Math.fround(radius * (i % 2 ? Math.sin(angle) : Math.cos(angle)));
}

/** Bytes that were compressed by gzip and written in base 64. Between the pieces the page does what else there is. */
async function unpacked(text) {
  const all = text.trim(), piece = 1 << 20;
  let at = 0;
  const pieces = new ReadableStream({
    async pull(stream) {
      if (at > 0) await new Promise(done => setTimeout(done));
      const letters = atob(all.slice(at, at += piece)), bytes = new Uint8Array(letters.length);
      for (let i = 0; i < letters.length; i++) bytes[i] = letters.charCodeAt(i);
      stream.enqueue(bytes);
      if (at >= all.length) stream.close();
    },
  });
  return new Response(pieces.pipeThrough(new DecompressionStream("gzip"))).arrayBuffer();
}

/** Numbers of 16 bits as floats: 1 bit of sign, 5 of the exponent, 10 of the fraction. */
function floats(halves) {
  return Float32Array.from(halves, h => {
    const exponent = h >> 10 & 31, fraction = h & 1023, sign = h & 0x8000 ? -1 : 1;
    if (exponent === 31) return fraction ? NaN : sign * Infinity;
    return sign * (exponent ? (1 + fraction / 1024) * 2 ** (exponent - 15) : fraction / 1024 * 2 ** -14);
  });
}

class Replay {
  /** A device and its adapter. */
  static async device() {
    const adapter = await navigator.gpu?.requestAdapter({ powerPreference: "high-performance" });
    if (!adapter) throw new Error("WebGPU finds no device here");
    return { adapter, device: await adapter.requestDevice() };
  }

  /** The programs and arrays of a page on a device: those for its class, if none is said. While the weights are only
   * promised, what makes the first picture is compiled. */
  static async open(content, weights, kind, opened = Replay.device()) {
    const { adapter, device } = await opened;
    for (const [name, needs] of Object.entries(content.limits)) {
      if (device.limits[name] < needs) throw new Error(`it needs a ${name} of ${needs}, and the device has ${device.limits[name]}`);
    }
    const replay = new Replay(content, null, adapter, device, kind);
    const first = ["decode", "components", "draw"].find(name => replay.programs[name]);
    if (first) replay.compiled(replay.programs[first]).catch(() => {}); // it is told to whoever asks for the program
    replay.weights = await weights;
    return replay;
  }

  constructor(content, weights, adapter, device, kind) {
    Object.assign(this, { content, weights, adapter, device, made: new Map(), pipelines: new Map(), states: new Map() });
    const { info } = adapter, isSoftware = info?.isFallbackAdapter || /swiftshader|llvmpipe|lavapipe|basic render/i.test(`${info?.architecture} ${info?.description}`);
    this.class = kind ?? (isSoftware ? "lanes" : "gpu");
    this.programs = content.programs[this.class];
    const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC;
    this.buffer = words => device.createBuffer({ size: 4 * Math.ceil(words / 4) * 4 || 16, usage });
    this.absent = this.buffer(64);
    this.sink = this.buffer(64 * 8);
    this.lost = device.lost.then(info => Object.assign(new Error(info.message || "it says no more"), { isLoss: true }));
    this.modules = content.modules.map(() => null);
  }

  /** An array of the page by its name. */
  array(name) {
    const entry = this.content.tensors.find(tensor => tensor.name === name);
    if (!entry) return null;
    const kinds = { f32: Float32Array, u32: Uint32Array, u8: Uint8Array, f16: Uint16Array };
    const all = new kinds[entry.kind](this.weights, entry.at, entry.len);
    return entry.kind === "f16" ? floats(all) : all;
  }

  /** The buffer of a state, which all programs share; it begins as the page's array of its name. */
  state(name, words) {
    if (!this.states.has(name)) {
      const buffer = this.buffer(words), values = this.array(name);
      if (values) this.device.queue.writeBuffer(buffer, 0, values);
      this.states.set(name, buffer);
    }
    return this.states.get(name);
  }

  async pipeline(number) {
    if (!this.pipelines.has(number)) this.pipelines.set(number, this.compile(this.content.pipelines[number]));
    return this.pipelines.get(number);
  }

  async compile({ module, constants, access }) {
    const { device, content } = this;
    const [label, code] = content.modules[module];
    this.modules[module] ??= device.createShaderModule({ label, code });
    const visibility = GPUShaderStage.COMPUTE;
    const storage = [...access].map((letter, i) => (
      { binding: i + 1, visibility, buffer: { type: letter === "r" ? "read-only-storage" : "storage" } }));
    const layout = device.createBindGroupLayout({ entries: [{ binding: 0, visibility, buffer: { type: "uniform" } }, ...storage] });
    const compute = { module: this.modules[module], entryPoint: "main", constants };
    const raw = await device.createComputePipelineAsync({
      label, layout: device.createPipelineLayout({ bindGroupLayouts: [layout] }), compute });
    return { raw, layout };
  }

  /** A program with its buffers and bind groups, made when it is first asked for. */
  program(name) {
    if (!this.made.has(name)) this.made.set(name, this.prepare(this.programs[name]));
    return this.made.get(name);
  }

  /** Prepares all programs, one after another, so that nobody waits for them later. */
  async warm() {
    for (const name of Object.keys(this.programs)) await this.program(name);
  }

  /** The pipelines of a program's dispatches, compiled side by side. */
  compiled(program) {
    return Promise.all(program.dispatches.map(d => this.pipeline(d.pipeline)));
  }

  async prepare(program) {
    const { device } = this, pipelines = await this.compiled(program);
    const buffers = program.buffers.map(([words, state]) => state === null ? this.buffer(words) : this.state(state, words));
    const params = Uint32Array.from(program.params);
    const block = device.createBuffer({ size: Math.max(16, 4 * params.length), usage: GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST });
    device.queue.writeBuffer(block, 0, params);
    const dispatches = program.dispatches.map((dispatch, k) => {
      const entries = dispatch.bind.map((place, i) => {
        const write = this.content.pipelines[dispatch.pipeline].access[i] === "w";
        // What is written by nobody's wish must not overlap with another such.
        if (!place) return { buffer: write ? this.sink : this.absent, offset: write ? 256 * i : 0, size: 256 };
        const [buffer, offset, words] = place;
        return { buffer: buffers[buffer], offset: 4 * offset, size: 16 * Math.ceil(words / 4) };
      });
      const [offset, size] = dispatch.params;
      const resources = [{ buffer: block, offset, size }, ...entries];
      const group = device.createBindGroup({
        layout: pipelines[k].layout, entries: resources.map((resource, binding) => ({ binding, resource })) });
      return { pipeline: pipelines[k].raw, group, grid: dispatch.grid };
    });
    return { program, buffers, params, block, dispatches };
  }

  /** Writes an input, or the beginning of one. */
  async write(name, input, values) {
    const { program, buffers } = await this.program(name);
    const [buffer, offset] = program.inputs[input];
    this.device.queue.writeBuffer(buffers[buffer], 4 * offset, values);
  }

  /** Sets the two halves of the seed and the number of the first image of what a program draws. */
  async seed(name, seed, upper = 0, first = 0) {
    const { program, params, block } = await this.program(name);
    for (const dispatch of program.dispatches) {
      for (const [low, high] of dispatch.seed ?? []) [params[low], params[high]] = [seed >>> 0, upper];
      if (dispatch.first !== undefined) params[dispatch.first] = first;
    }
    this.device.queue.writeBuffer(block, 0, params);
  }

  /** Runs a program once. */
  async run(name) {
    const { dispatches } = await this.program(name);
    const encoder = this.device.createCommandEncoder(), pass = encoder.beginComputePass();
    for (const { pipeline, group, grid } of dispatches) {
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, group);
      pass.dispatchWorkgroups(...grid);
    }
    pass.end();
    this.device.queue.submit([encoder.finish()]);
  }

  /** The numbers of an output. */
  async read(name, output) {
    const { program, buffers } = await this.program(name);
    const [buffer, offset, words] = program.outputs[output];
    return this.fetch(buffers[buffer], offset, words);
  }

  /** Numbers of a buffer. */
  async fetch(from, offset, words) {
    const { device } = this;
    const to = device.createBuffer({ size: 4 * words, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
    const encoder = device.createCommandEncoder();
    encoder.copyBufferToBuffer(from, 4 * offset, to, 0, 4 * words);
    device.queue.submit([encoder.finish()]);
    await to.mapAsync(GPUMapMode.READ);
    const values = new Float32Array(to.getMappedRange().slice(0));
    to.destroy();
    return values;
  }
}

/** What the page's model does, in its own terms. */
class Model {
  constructor(replay) {
    this.replay = replay;
    Object.assign(this, replay.content.model);
    this.size = this.geometry[0] * this.geometry[1] * this.geometry[2];
    Object.assign(this, { turns: [], busy: false });
  }

  /** Programs share buffers, so one call waits for the one that runs, and unless it is urgent for all that wait. */
  alone(work, urgent = false) {
    return new Promise((done, failed) => {
      this.turns[urgent ? "unshift" : "push"](async () => {
        try {
          done(await work());
        } catch (error) {
          // What fails because the device is lost may be told first.
          const moment = new Promise(resolve => { setTimeout(resolve, 500); });
          failed(await Promise.race([this.replay.lost, moment]) ?? error);
        }
      });
      if (!this.busy) this.go();
    });
  }

  async go() {
    this.busy = true;
    while (this.turns.length) await this.turns.shift()();
    this.busy = false;
  }

  /** n latent vectors of a seed; with a bound, numbers beyond it are drawn again. */
  latents(n, seed, bound = Infinity) {
    return Float32Array.from({ length: n * this.latent }, (_, i) => {
      for (let step = 0; ; step++) {
        const z = latentNumber(seed, i, step, this.uniform);
        if (Math.abs(z) <= bound) return z;
      }
    });
  }

  /** Rows with a one in the column of each class. */
  oneHot(labels) {
    const rows = new Float32Array(labels.length * this.classes);
    labels.forEach((label, i) => { rows[i * this.classes + label] = 1; });
    return rows;
  }

  /** A function of rows, as many at once as its programs take. */
  async map(programs, [input, output], width, rows, labels) {
    const { replay } = this, n = rows.length / width, all = [];
    for (let first = 0; first < n;) {
      const [name, count] = programs.find(([, count]) => count <= n - first) ?? programs.at(-1);
      const part = (values, width) => values.subarray(first * width, (first + count) * width);
      // Others take turns while this is compiled, and between what is done at once.
      await replay.program(name);
      all.push(await this.alone(async () => {
        await replay.write(name, input, part(rows, width));
        if (replay.programs[name].inputs.labels) await replay.write(name, "labels", part(labels, this.classes));
        await replay.run(name);
        return replay.read(name, output);
      }, n === 1));
      first += count;
    }
    const joined = new Float32Array(all.reduce((sum, part) => sum + part.length, 0));
    all.reduce((at, part) => (joined.set(part, at), at + part.length), 0);
    return joined;
  }

  /** Images of latent vectors; labels are rows of oneHot, or between such. */
  decode(z, labels) {
    const n = this.replay.programs.many.inputs.z[2] / this.latent;
    return this.map([["many", n], ["decode", 1]], ["z", "images"], this.latent, z, labels);
  }

  /** Latent vectors of images. */
  encode(images, labels) {
    return this.map([["encode", 1]], ["images", "z"], this.size, images, labels);
  }

  /** n images of a mixture. */
  mixture(n, seed) {
    return this.alone(async () => {
      const { replay } = this, all = new Float32Array(n * this.size);
      const [, clock] = replay.programs.draw.buffers.find(([, state]) => state === "sample.clock");
      await replay.program("draw");
      await replay.seed("draw", seed);
      for (let first = 0, k = 0; first < n; k++) {
        replay.device.queue.writeBuffer(replay.state(clock, 1), 0, Uint32Array.of(k));
        await replay.run("draw");
        const drawn = (await replay.read("draw", "images")).subarray(0, (n - first) * this.size);
        all.set(drawn, first * this.size);
        first += drawn.length / this.size;
      }
      return all;
    });
  }

  /** A mixture's components: how probable each is, and its mean image. */
  components() {
    return this.alone(async () => {
      await this.replay.run("components");
      return [await this.replay.read("components", "weights"), await this.replay.read("components", "means")];
    });
  }

  /** Draws the pixels of images that keep is zero for, some at once, and shows them on the way. */
  complete(images, keep, seed, label, { first = 0, show = () => {}, wanted = () => true } = {}) {
    return this.alone(async () => {
      const { replay } = this, { n, canvas, clock, steps, end, inputs, classes } = replay.content.loop;
      const { queue } = replay.device;
      for (const name of inputs) await replay.write("draw", name, name === "weights" ? this.weights(label, classes) : replay.array(name));
      if (replay.programs.draw.inputs.labels) await replay.write("draw", "labels", this.oneHot(Array(n).fill(label)));
      await replay.write("draw", "keep", keep);
      await replay.seed("draw", seed, this.classes ? label : 0, first);
      const state = replay.state(canvas, n * this.size);
      queue.writeBuffer(state, 0, images.map((v, i) => keep[i] ? v : 0));
      let shown = performance.now();
      for (let begin = 0; begin < end && wanted(); begin += steps) {
        queue.writeBuffer(replay.state(clock, 1), 0, Uint32Array.of(begin));
        await replay.run("draw");
        if (performance.now() - shown > 30 || begin % (8 * steps) === 0) {
          show(await replay.fetch(state, 0, n * this.size), begin / end);
          shown = performance.now();
        }
      }
      return replay.fetch(state, 0, n * this.size);
    });
  }

  /** The weights of a class: those of the first, and what differs. */
  weights(label, classes) {
    const all = this.replay.array("weights");
    if (!label || !classes[label - 1]) return all;
    const own = Float32Array.from(all), values = this.replay.array(`class ${label}`);
    let at = 0;
    for (const [to, len] of classes[label - 1]) {
      own.set(values.subarray(at, at + len), to);
      at += len;
    }
    return own;
  }

  /** n new images, the same that `limn sample --seed` draws: of one class, or of all in turn. */
  async sample(n, seed, label = null, bound = Infinity) {
    const labels = Array.from({ length: n }, (_, i) => label ?? i % Math.max(1, this.classes));
    if (this.family === "mixture") return this.mixture(n, seed);
    if (this.family === "latent") return this.decode(this.latents(n, seed, bound), this.oneHot(labels));
    const together = this.replay.content.loop.n, all = new Float32Array(n * this.size), blank = new Float32Array(together * this.size);
    for (const own of new Set(labels)) {
      const places = labels.flatMap((l, i) => l === own ? [i] : []);
      for (let first = 0; first < places.length; first += together) {
        // Every 64 images of a class have a seed of their own.
        const drawn = await this.complete(blank, blank, seed + Math.floor(first / 64), own, { first: first % 64 });
        places.slice(first, first + together).forEach((place, k) => {
          all.set(drawn.subarray(k * this.size, (k + 1) * this.size), place * this.size);
        });
      }
    }
    return all;
  }
}
