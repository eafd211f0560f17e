//! Barriers: what one invocation leaves in workgroup memory for another is behind a barrier, on
//! every way through every shader, and no barrier is there that could as well be missing.
//!
//! Whether a missing barrier shows when a shader runs is up to the driver: lavapipe runs the
//! invocations of a workgroup in lockstep, eight at a time. So the shaders are not run but read, as
//! naga's code.

use crate::translate::{DEVICES, extensions, stages};
use limn::kernels::Stage;
use naga::back::pipeline_constants::process_overrides;
use naga::valid::{Capabilities, ValidationFlags, Validator};
use naga::{AddressSpace, Barrier, Block, Expression, Function, GlobalVariable, Handle, Literal, Module, Statement};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// What invocations may have done to a workgroup's variable since the last barrier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Deed {
    Loaded,
    Stored,
    /// By an atomic operation, which goes well with others of its kind.
    Updated,
}

/// Deeds that no barrier has come behind.
type Open = BTreeSet<(Deed, Handle<GlobalVariable>)>;

/// Two deeds that invocations do to one variable in an order that nobody has set.
type Race = (String, Deed, Deed);

/// Where a run through statements may get to, and what is open there; `None` where it does not get.
#[derive(Clone, Default)]
struct Ways {
    on: Option<Open>,
    out: Option<Open>,
    again: Option<Open>,
}

fn join(one: Option<Open>, other: Option<Open>) -> Option<Open> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.union(&other).copied().collect()),
        (one, other) => one.or(other),
    }
}

/// Reads a module and gathers its races.
struct Reader<'a> {
    module: &'a Module,
    races: BTreeSet<Race>,
}

impl Reader<'_> {
    /// The workgroup's variable that an expression points into.
    fn variable(&self, function: &Function, mut at: Handle<Expression>) -> Option<Handle<GlobalVariable>> {
        loop {
            at = match function.expressions[at] {
                Expression::Access { base, .. } | Expression::AccessIndex { base, .. } => base,
                Expression::GlobalVariable(global) => {
                    let space = self.module.global_variables[global].space;
                    return (space == AddressSpace::WorkGroup).then_some(global);
                }
                _ => return None,
            };
        }
    }

    fn does(&mut self, open: &mut Open, deed: Deed, variable: Handle<GlobalVariable>) {
        for &(before, other) in open.iter().filter(|(before, other)| *other == variable && *before != deed) {
            let name = self.module.global_variables[other].name.clone().unwrap_or_default();
            self.races.insert((name, before, deed));
        }
        open.insert((deed, variable));
    }

    /// The expressions of a block that an update of a variable by itself is made of,
    /// `v[i] = f(v[i], v[j])`: where sums are halved no invocation reads what another writes, and
    /// what it reads counts with its store.
    fn updates(&self, function: &Function, block: &Block) -> BTreeMap<Handle<Expression>, Handle<GlobalVariable>> {
        let mut found = BTreeMap::new();
        for statement in block.iter() {
            let Statement::Store { pointer, value } = *statement else { continue };
            let Some(variable) = self.variable(function, pointer) else { continue };
            let mut left = vec![value];
            while let Some(at) = left.pop() {
                match function.expressions[at] {
                    Expression::Load { pointer } if self.variable(function, pointer) == Some(variable) => {
                        found.insert(at, variable);
                    }
                    Expression::Binary { left: one, right: other, .. } => left.extend([one, other]),
                    Expression::Unary { expr, .. } => left.push(expr),
                    Expression::Math { arg, arg1, .. } => left.extend([Some(arg), arg1].into_iter().flatten()),
                    _ => {}
                }
            }
        }
        found
    }

    fn block(&mut self, function: &Function, block: &Block, from: Option<Open>) -> Ways {
        let mut ways = Ways { on: from, ..Ways::default() };
        let updates = self.updates(function, block);
        let mut own = Open::new();
        for statement in block.iter() {
            let Some(mut open) = ways.on.take() else { return ways };
            match statement {
                Statement::Emit(range) => {
                    for at in range.clone() {
                        let pointer = match function.expressions[at] {
                            Expression::Load { pointer } => pointer,
                            Expression::CooperativeLoad { ref data, .. } => data.pointer,
                            _ => continue,
                        };
                        let Some(variable) = self.variable(function, pointer) else { continue };
                        if updates.contains_key(&at) {
                            // Held against what is open, but open itself only from the store on.
                            self.does(&mut open.clone(), Deed::Loaded, variable);
                            own.insert((Deed::Loaded, variable));
                        } else {
                            self.does(&mut open, Deed::Loaded, variable);
                        }
                    }
                }
                Statement::Store { pointer, .. } => {
                    if let Some(variable) = self.variable(function, *pointer) {
                        self.does(&mut open, Deed::Stored, variable);
                        if own.remove(&(Deed::Loaded, variable)) {
                            open.insert((Deed::Loaded, variable));
                        }
                    }
                }
                Statement::CooperativeStore { data, .. } => {
                    if let Some(variable) = self.variable(function, data.pointer) {
                        self.does(&mut open, Deed::Stored, variable);
                    }
                }
                Statement::Atomic { pointer, .. } => {
                    if let Some(variable) = self.variable(function, *pointer) {
                        self.does(&mut open, Deed::Updated, variable);
                    }
                }
                Statement::ControlBarrier(barrier) if barrier.contains(Barrier::WORK_GROUP) => open.clear(),
                Statement::Call { function: callee, .. } => {
                    let callee = &self.module.functions[*callee];
                    let Ways { on, out, .. } = self.block(callee, &callee.body, Some(open));
                    // A return leaves the callee and nothing else.
                    ways.on = join(on, out);
                    continue;
                }
                Statement::Block(inner) => {
                    self.on_the_way(function, inner, open, &mut ways);
                    continue;
                }
                Statement::If { condition, accept, reject } => {
                    let known = match function.expressions[*condition] {
                        Expression::Literal(Literal::Bool(known)) => Some(known),
                        _ => None,
                    };
                    for (block, taken) in [(accept, true), (reject, false)] {
                        if known.is_none_or(|known| known == taken) {
                            self.on_the_way(function, block, open.clone(), &mut ways);
                        }
                    }
                    continue;
                }
                Statement::Switch { cases, .. } => {
                    let mut left = None;
                    for case in cases {
                        let mut inner = self.block(function, &case.body, Some(open.clone()));
                        left = join(join(left, inner.on.take()), inner.out.take());
                        ways.again = join(ways.again.take(), inner.again.take());
                    }
                    ways.on = left;
                    continue;
                }
                Statement::Loop { body, continuing, break_if } => {
                    let mut start = Some(open);
                    let mut left = None;
                    loop {
                        let Ways { on, out, again } = self.block(function, body, start.clone());
                        let end = self.block(function, continuing, join(on, again)).on;
                        left = join(left, out);
                        if break_if.is_some() {
                            left = join(left, end.clone());
                        }
                        let next = join(start.clone(), end);
                        if next == start {
                            break;
                        }
                        start = next;
                    }
                    ways.on = left;
                    continue;
                }
                Statement::Break => {
                    ways.out = join(ways.out.take(), Some(open));
                    return ways;
                }
                Statement::Continue => {
                    ways.again = join(ways.again.take(), Some(open));
                    return ways;
                }
                // Out of a callee; a return within its loops counts as leaving them, which opens no
                // less.
                Statement::Return { .. } => {
                    ways.out = join(ways.out.take(), Some(open));
                    return ways;
                }
                _ => {}
            }
            ways.on = Some(open);
        }
        ways
    }

    fn on_the_way(&mut self, function: &Function, block: &Block, open: Open, ways: &mut Ways) {
        let Ways { on, out, again } = self.block(function, block, Some(open));
        ways.on = join(ways.on.take(), on);
        ways.out = join(ways.out.take(), out);
        ways.again = join(ways.again.take(), again);
    }
}

/// The races of a shader's text with its constants put in.
fn races(source: &str, constants: &[(&'static str, f64)], uses: Capabilities) -> BTreeSet<Race> {
    let module = naga::front::wgsl::parse_str(source).expect("a shader");
    let mut validator = Validator::new(ValidationFlags::all(), Capabilities::default() | uses);
    let info = validator.validate(&module).expect("a valid shader");
    let constants = constants.iter().map(|(name, value)| (name.to_string(), *value)).collect();
    let (module, _) = process_overrides(&module, &info, Some((naga::ShaderStage::Compute, "main")), &constants)
        .expect("constants that fit");
    let mut reader = Reader { module: &module, races: BTreeSet::new() };
    let main = &module.entry_points[0].function;
    reader.block(main, &main.body, Some(Open::new()));
    reader.races
}

/// Every stage whose shader has workgroup memory.
fn sharing() -> Vec<Stage> {
    let mut all = stages(&DEVICES);
    all.retain(|stage| stage.shader.source().expect("a module").contains("var<workgroup>"));
    all
}

const BARRIER: &str = "workgroupBarrier();";

#[test]
fn what_invocations_leave_one_another_is_behind_a_barrier() {
    let mut failures = Vec::new();
    for stage in sharing() {
        let found = races(stage.shader.source().expect("a module"), &stage.constants, extensions(&stage));
        if !found.is_empty() {
            failures.push(format!("{} {:?}: {found:?}", stage.shader.name, stage.constants));
        }
    }
    assert!(failures.is_empty(), "{} shaders race:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn every_barrier_that_is_deleted_is_missed() {
    // By the piece of text it stands in and its place among that piece's: whether deleting it was
    // noticed.
    let mut noticed: HashMap<(&'static str, usize), bool> = HashMap::new();
    for stage in sharing() {
        // The module's barriers are those of its files, one after the other.
        let source = stage.shader.source().expect("a module");
        let files = stage.shader.files().expect("files");
        let places = files.iter().flat_map(|(_, text)| (0..text.matches(BARRIER).count()).map(|nth| (*text, nth)));
        for ((at, _), place) in source.match_indices(BARRIER).zip(places) {
            let seen = noticed.entry(place).or_insert(false);
            if !*seen {
                let without = format!("{}{}", &source[..at], &source[at + BARRIER.len()..]);
                *seen = !races(&without, &stage.constants, extensions(&stage)).is_empty();
            }
        }
    }
    let missed: Vec<String> = noticed
        .iter()
        .filter(|(_, noticed)| !**noticed)
        .map(|((part, nth), _)| format!("number {nth} of: {}", part.lines().next().unwrap_or_default()))
        .collect();
    assert!(noticed.len() > 25, "only {} barriers were found", noticed.len());
    assert!(missed.is_empty(), "nobody misses {} barriers:\n{}", missed.len(), missed.join("\n"));
}
