//! Whether the check notices a mistake in a shader: lines are changed one at a time, as somebody could have mistyped
//! them, and every variant that they are part of is held against its reference until one falls short. Nothing is
//! compiled but shaders, so that a mutant takes a second.
//!
//! `LIMN_MUTANTS=8` tries eight of every file, drawn by a seed, `LIMN_KERNELS=adam,copy` those files alone;
//! `make mutants` does.

use crate::gpu_class::opened;
use limn::check::{self, Example};
use limn::gpu::{Gpu, reflect};
use limn::kernels::philox::Stream;
use limn::kernels::{self, Caps, Class, Kernel, Precision, Recipe, Shader};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Cases that are small enough to be run for every mutant.
const OUTPUTS: usize = 10_000;
const FLOPS: u64 = 2_000_000;
/// Uses of a line that are tried first, no two with the same pipeline.
const DISTINCT: usize = 24;
/// and how many there may be in all, each case once before any of them again.
const USES: usize = 400;

/// What somebody may type instead: a name for it, what is there, what is written in its place.
const SLIPS: [(&str, &str, &str); 17] = [
    ("a bound off by one", " < ", " <= "),
    ("a bound off by one", " <= ", " < "),
    ("a bound off by one", " >= ", " > "),
    ("a bound off by one", " > ", " >= "),
    ("a wrong sign", " + ", " - "),
    ("a wrong sign", " - ", " + "),
    ("a wrong sign", " += ", " -= "),
    ("a wrong sign", "(-", "("),
    ("a factor that is a term", " * ", " + "),
    ("a factor instead of a divisor", " / ", " * "),
    ("a quotient instead of a remainder", " % ", " / "),
    ("a condition turned round", " == ", " != "),
    ("a condition turned round", " != ", " == "),
    ("one condition of two", " && ", " || "),
    ("a larger instead of a smaller", "min(", "max("),
    ("a smaller instead of a larger", "max(", "min("),
    ("a constant off by one", "1u", "2u"),
];

/// Lines that may be changed without a difference that the check could see: their file, or with a star how its name
/// begins, the line, what stands in its place, and why that is the same, or what sees it.
#[rustfmt::skip]
const EQUIVALENT: &[(&str, &str, &str, &str)] = &[
    ("activate",
     "default: { return bitcast<f32>(0x7fc00000u + kind); }",
     "default: { return bitcast<f32>(0x7fc00000u - kind); }",
     "no kernel has a code that there is not"),
    ("batch_norm_channel*",
     "let below = moments.y - moments.x * moments.x;",
     "let below = moments.y - moments.x + moments.x;",
     "the square of what rounding took off the mean"),
    ("batch_norm_stats*",
     "let below = total.y - total.x * off;",
     "let below = total.y + total.x * off;",
     "the square of what rounding took off the mean"),
    ("batch_norm_columns_stats*",
     "if (share.live & (lane < COLUMNS)) {",
     "if (share.live & (lane <= COLUMNS)) {",
     "one more lane writes what another writes"),
    ("batch_norm_columns_stats*",
     "part[number * p.chunks + share.chunk] = vec2(rough[q] + off[q], unless_nan(max(below[q], 0.0), below[q]));",
     "part[number * p.chunks + share.chunk] = vec2(rough[q] - off[q], unless_nan(max(below[q], 0.0), below[q]));",
     "what rounding took off the mean, which the bound allows"),
    ("batch_norm_columns_stats*",
     "sum += d;",
     "sum -= d;",
     "what rounding took off the mean, which the bound allows"),
    ("batch_norm_grad_columns_sums*",
     "if (share.live & (lane < COLUMNS)) {",
     "if (share.live & (lane <= COLUMNS)) {",
     "one more lane writes what another writes"),
    ("bernoulli",
     "y[i] = unless_nan(select(0.0, 1.0, draw < probability[i]), probability[i]);",
     "y[i] = unless_nan(select(0.0, 1.0, draw <= probability[i]), probability[i]);",
     "one draw in 16 million; `philox::a_toss_is_below_its_probability` has it"),
    ("bernoulli",
     "for (var block = r.first; block < r.end; block += WG) {",
     "for (var block = r.first; block <= r.end; block += WG) {",
     "a block more is what the next workgroup writes"),
    ("columns_block",
     "if (lane < half * COLUMNS) { columns[lane] += columns[lane + half * COLUMNS]; }",
     "if (lane <= half * COLUMNS) { columns[lane] += columns[lane + half * COLUMNS]; }",
     "a race, where invocations run one after the other none"),
    ("draw_pixels*",
     "let colour = min(vec4(0u, 1u, 2u, 3u), vec4(p.colours - 1u));",
     "let colour = min(vec4(0u, 1u, 2u, 3u), vec4(p.colours + 1u));",
     "colours past the last are left out"),
    ("gather",
     "let taps = select(0u, div(k - tap0 + step - 1u, step), tap0 < step && tap0 < k);",
     "let taps = select(0u, div(k - tap0 + step - 1u, step), tap0 < step && tap0 <= k);",
     "from k on there are none anyway"),
    ("gather_lanes*",
     "in_h = Reach(h.taps, 0u);",
     "",
     "no taps along the other axis are none"),
    ("lanes_gather*",
     "let phase = higher - batch * phases_h * phases_w;",
     "let phase = higher + batch * phases_h * phases_w;",
     "only products have a batch, and those have one phase"),
    ("lanes_planes_weight_grad*",
     "let last = select(0u, p.lines, split < p.splits && q0 < row);",
     "let last = select(0u, p.lines, split < p.splits && q0 <= row);",
     "one more lane repeats the last column"),
    ("lanes_weight_grad*",
     "let last = select(0u, lines, split < p.splits && q0 < colour_line);",
     "let last = select(0u, lines, split < p.splits && q0 <= colour_line);",
     "one more lane repeats the last column"),
    ("lanes_rows_weight_grad_24*",
     "if (taps > 1u) { add(CHANNELS + k, four.x, four.y, four.z, four.w, d0, d1, d2, d3); }",
     "if (taps > 1u) { add(CHANNELS - k, four.x, four.y, four.z, four.w, d0, d1, d2, d3); }",
     "it has one channel, and k is 0"),
    ("lanes_weight_grad_32*",
     "let line = line0 + (block / 4u) * 32u + block % 4u;",
     "let line = line0 - (block / 4u) * 32u + block % 4u;",
     "it has four blocks, and a quarter of their number is 0"),
    ("last_weight_grad",
     "let column_blocks = (p.pack + BN - 1u) / BN;",
     "let column_blocks = (p.pack + BN - 2u) / BN;",
     "a multiple of four is not one more than a block"),
    ("memory_4",
     "let at = 4u * state + row + min(first + b, p.w - 1u);",
     "let at = 4u * state + row + min(first + b, p.w + 1u);",
     "what is past the row is not written"),
    ("memory_grad",
     "let passed = dh[own] + sums[a * TOGETHER + b];",
     "let passed = dh[own] + sums[a * TOGETHER - b];",
     "of one at a time a and b are 0"),
    ("pack_last*",
     "fill_square(tensor, found.place, ALONG_I == 1u, tid);",
     "fill_square(tensor, found.place, ALONG_I != 1u, tid);",
     "the same elements in another order"),
    ("pixel_distribution",
     "passed += select(0u, 1u, so_far <= wanted);",
     "passed += select(0u, 1u, so_far < wanted);",
     "one draw in 16 million"),
    ("rate",
     "if (p.lr_per_step > 0.0) {",
     "if (p.lr_per_step >= 0.0) {",
     "where nothing falls the factor is 1"),
    ("spectral",
     "if (lane == 0u && wg.x + wg.y == 0u) {",
     "if (lane == 0u || wg.x + wg.y == 0u) {",
     "all write the same"),
    ("weight_norm*",
     "if (lane == 0u) {",
     "if (lane != 0u) {",
     "all have the same to write"),
    ("width1",
     "return select(y, x, (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u);",
     "return select(y, x, (bitcast<u32>(x) & 0x7fffffffu) >= 0x7f800000u);",
     "infinities are given by `not_finite`, which is held to this in benches/mutants.toml"),
    ("width4",
     "return select(y, x, (bitcast<vec4<u32>>(x) & vec4(0x7fffffffu)) > vec4(0x7f800000u));",
     "return select(y, x, (bitcast<vec4<u32>>(x) & vec4(0x7fffffffu)) >= vec4(0x7f800000u));",
     "infinities are given by `not_finite`, which is held to this in benches/mutants.toml"),
    ("workgroup_sum",
     "if (lane < half) {",
     "if (lane <= half) {",
     "a race, where invocations run one after the other none"),
];

/// A line of a file, and what it is turned into.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Mutant {
    file: &'static str,
    line: String,
    becomes: String,
    slip: &'static str,
}

/// Names in the conditions of a file's loops: what moves them decides whether a loop ends.
fn of_loops(text: &str) -> BTreeSet<String> {
    let conditions = text.lines().map(str::trim).filter_map(|line| {
        let inner = line.strip_prefix("for (").map(|rest| rest.split(';').collect::<Vec<_>>().join(" "));
        inner
            .or_else(|| line.strip_prefix("while (").map(String::from))
            .or_else(|| line.strip_prefix("break if").map(String::from))
    });
    let words = |line: String| {
        let all: Vec<String> = line.split(|c: char| !c.is_alphanumeric() && c != '_').map(String::from).collect();
        all
    };
    conditions.flat_map(words).filter(|word| word.chars().any(char::is_alphabetic)).collect()
}

/// All mutants of a file's text.
fn mutants(file: &'static str, text: &'static str) -> Vec<Mutant> {
    let moving = of_loops(text);
    let mut all = Vec::new();
    for line in text.lines().filter(|line| line.starts_with("  ")) {
        let code = line.split("//").next().unwrap_or_default().trim_end();
        let bare = code.trim();
        let is_loop = bare.starts_with("for (") || bare.starts_with("while (") || bare.contains("break if");
        let target = bare.split(' ').next().unwrap_or_default().split(['.', '[']).next().unwrap_or_default();
        let declared =
            bare.strip_prefix("let ").or_else(|| bare.strip_prefix("var ")).and_then(|b| b.split([' ', ':']).next());
        let moves = moving.contains(target) || declared.is_some_and(|name| moving.contains(name));
        let mut push = |becomes: String, slip| {
            all.push(Mutant { file, line: code.into(), becomes, slip });
        };
        for (slip, from, to) in SLIPS {
            for (at, _) in code.match_indices(from) {
                // A loop that does not end is noticed by whoever waits, but not by a test that waits too.
                let is_bound = slip == "a bound off by one";
                let inside =
                    if is_loop { is_bound && code[..at].matches(';').count() <= 1 } else { !moves || is_bound };
                let whole = from != "1u" || !code[..at].ends_with(|c: char| c.is_alphanumeric());
                let ends = !is_loop || to != " >= " || !code[at..].starts_with(" > 0u");
                let types = code[..at].ends_with("array") || code.contains("fn ") || code.contains("@builtin");
                if inside && whole && ends && !types {
                    push(format!("{}{to}{}", &code[..at], &code[at + from.len()..]), slip);
                }
            }
        }
        let is_statement =
            bare.ends_with(';') && !is_loop && !moves && !bare.starts_with("let ") && !bare.starts_with("var ");
        let is_kept = ["return", "break", "continue", "@", "const", "override", "workgroupBarrier", "fn "];
        if is_statement && !is_kept.iter().any(|word| bare.starts_with(word)) && bare.contains('=') {
            push(String::new(), "a dropped statement");
        }
    }
    all
}

/// A kernel's case and one of its variants on one of the devices.
struct Use {
    device: usize,
    kernel: usize,
    variant: usize,
    stage: usize,
}

/// The recipe with a stage's shader replaced wherever it is used, if a device would take it.
fn replaced(recipe: &Recipe, stage: usize, source: String) -> Option<Recipe> {
    let old = recipe.stages[stage].shader;
    // Mutants are as few as a process can keep.
    let new: &'static Shader = Box::leak(Box::new(Shader::new(old.name, Box::leak(source.into_boxed_str()))));
    let mut recipe = recipe.clone();
    for stage in recipe.stages.iter_mut().filter(|stage| std::ptr::eq(stage.shader, old)) {
        stage.shader = new;
        reflect(stage).ok()?;
    }
    Some(recipe)
}

/// How a mutant fared.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Fate {
    Killed,
    Survived,
    DidNotBuild,
}

struct Bench {
    /// A software device and a GPU, and each once more as one that allows few workgroups per dimension, so that grids
    /// fold and have workgroups too many.
    devices: Vec<(Gpu, Caps)>,
    kernels: Vec<(&'static str, Box<dyn Kernel>)>,
    variants: HashMap<(usize, usize), Vec<Recipe>>,
    /// Where each file is used.
    uses: BTreeMap<&'static str, Vec<Use>>,
    texts: BTreeMap<&'static str, &'static str>,
    examples: HashMap<usize, Example>,
}

impl Bench {
    fn new() -> Bench {
        let open = |class, most: u32| {
            let gpu = opened(class, Precision::Full);
            let caps = Caps { max_groups: gpu.caps().max_groups.min(most), ..*gpu.caps() };
            (gpu, caps)
        };
        let devices = [u32::MAX, 61].iter().flat_map(|most| [open(Class::Lanes, *most), open(Class::Gpu, *most)]);
        let devices = devices.collect();
        let mut bench = Bench {
            devices,
            kernels: Vec::new(),
            variants: HashMap::new(),
            uses: BTreeMap::new(),
            texts: BTreeMap::new(),
            examples: HashMap::new(),
        };
        for entry in kernels::all() {
            for kernel in (entry.cases)() {
                if kernel.lens().writes[0] <= OUTPUTS && kernel.flops() <= FLOPS {
                    bench.kernels.push((entry.name, kernel));
                }
            }
        }
        for (k, (_, kernel)) in bench.kernels.iter().enumerate() {
            for (d, (_, caps)) in bench.devices.iter().enumerate() {
                let mut recipes = kernel.variants(caps);
                recipes.retain(|recipe| !recipe.mixed());
                for (v, recipe) in recipes.iter().enumerate() {
                    for (s, stage) in recipe.stages.iter().enumerate() {
                        for (name, text) in stage.shader.files().expect("files") {
                            bench.texts.insert(name, text);
                            let of = Use { device: d, kernel: k, variant: v, stage: s };
                            bench.uses.entry(name).or_default().push(of);
                        }
                    }
                }
                bench.variants.insert((d, k), recipes);
            }
        }
        bench
    }

    /// Holds a mutant against the reference wherever it is used.
    fn fate(&mut self, mutant: &Mutant) -> Fate {
        let uses = &self.uses[mutant.file];
        let (mut known, mut cases) = (BTreeSet::new(), BTreeSet::new());
        let pipeline = |of: &Use| {
            let stage = &self.variants[&(of.device, of.kernel)][of.variant].stages[of.stage];
            format!("{} {:?} {}", stage.shader.name, stage.constants, of.device)
        };
        let (mut first, mut rest): (Vec<&Use>, Vec<&Use>) =
            uses.iter().partition(|of| known.len() < DISTINCT && known.insert(pipeline(of)));
        // Cases next to each other are alike.
        let order = Stream { seed: 2, domain: 9, stream: 0, step: 0, first: 0 };
        for i in (1..rest.len()).rev() {
            rest.swap(i, (order.uniform(i) * (i + 1) as f32) as usize);
        }
        let (mut second, mut third): (Vec<&Use>, Vec<&Use>) = rest.into_iter().partition(|of| cases.insert(of.kernel));
        first.append(&mut second);
        first.append(&mut third);
        first.truncate(USES);
        let mut built = false;
        for of in first {
            let recipe = &self.variants[&(of.device, of.kernel)][of.variant];
            let source = recipe.stages[of.stage].shader.source().expect("a module");
            if source.matches(&mutant.line).count() != 1 {
                continue;
            }
            let Some(changed) = replaced(recipe, of.stage, source.replacen(&mutant.line, &mutant.becomes, 1)) else {
                continue;
            };
            built = true;
            let (name, kernel) = &self.kernels[of.kernel];
            let example = self.examples.entry(of.kernel).or_insert_with(|| Example::new(kernel.as_ref(), 1));
            let outcome = check::check_variant(&self.devices[of.device].0, name, kernel.as_ref(), &changed, example);
            if outcome.failure.is_some() {
                return Fate::Killed;
            }
        }
        if built { Fate::Survived } else { Fate::DidNotBuild }
    }
}

/// Some of these, always the same.
fn sample(mut all: Vec<Mutant>, count: usize, stream: u32) -> Vec<Mutant> {
    let draws = Stream { seed: 1, domain: 9, stream, step: 0, first: 0 };
    all.sort();
    all.dedup();
    let mut chosen = Vec::new();
    for i in 0..count.min(all.len()) {
        let at = (draws.uniform(i) * all.len() as f32) as usize;
        chosen.push(all.swap_remove(at.min(all.len() - 1)));
    }
    chosen
}

#[test]
#[ignore = "an hour; `make mutants` runs it"]
fn mistakes_in_shaders_are_noticed() {
    let count: usize = std::env::var("LIMN_MUTANTS").map_or(1, |n| n.parse().expect("LIMN_MUTANTS is a number"));
    let only = std::env::var("LIMN_KERNELS").ok();
    let mut bench = Bench::new();
    let files: Vec<(&str, &str)> = bench.texts.iter().map(|(name, text)| (*name, *text)).collect();
    let mut counts: BTreeMap<&str, [usize; 3]> = BTreeMap::new();
    let (mut survivors, mut alike) = (Vec::new(), 0);
    for (number, (file, text)) in files.into_iter().enumerate() {
        if only.as_ref().is_some_and(|only| !only.split(',').any(|part| file.contains(part))) {
            continue;
        }
        for mutant in sample(mutants(file, text), count, number as u32) {
            if EQUIVALENT.iter().any(|(f, line, becomes, _)| {
                f.strip_suffix('*').map_or(file == *f, |head| file.starts_with(head))
                    && *line == mutant.line.trim()
                    && *becomes == mutant.becomes.trim()
            }) {
                alike += 1;
                continue;
            }
            // What does not end is the last that was tried.
            println!("trying {file}: {} -> {}", mutant.line.trim(), mutant.becomes.trim());
            let fate = bench.fate(&mutant);
            let column = match fate {
                Fate::Killed => 0,
                Fate::Survived => 1,
                Fate::DidNotBuild => 2,
            };
            counts.entry(mutant.slip).or_default()[column] += 1;
            if fate == Fate::Survived {
                println!("SURVIVED {file}: {} -> {}", mutant.line.trim(), mutant.becomes.trim());
                survivors.push(mutant);
            }
        }
    }
    println!("{alike} are no mistakes, as nobody could see them");
    println!("| mistake | killed | survived | no module, or not found |");
    for (slip, [killed, survived, unbuilt]) in &counts {
        println!("| {slip} | {killed} | {survived} | {unbuilt} |");
    }
    let lines = survivors.iter().map(|m| format!("{}: {} -> {}", m.file, m.line.trim(), m.becomes.trim()));
    assert!(survivors.is_empty(), "nobody noticed:\n{}", lines.collect::<Vec<_>>().join("\n"));
}
