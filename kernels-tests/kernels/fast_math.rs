//! Metal compiles with fast math, of which wgpu has no switch: exponentials, roots and quotients are off by more than
//! elsewhere. Every kernel that has one is held against its reference with these off by as much as Metal's specification
//! allows, all upwards and all downwards. What the noise is made of has none of them but the root.

use crate::references::{every_case, in_turn, is_part};
use crate::support::device;
use crate::translate::{DEVICES, stages};
use limn::check::{self, Example};
use limn::gpu::reflect;
use limn::kernels::{Recipe, Shader, Stage};
use std::collections::HashMap;
use std::sync::Mutex;

/// A unit in the last place, at most, by the number.
const ULP: &str = "1.1920929e-7f";

/// What is in the parentheses that `text` begins with, and how long these are.
fn argument(text: &str) -> Option<&str> {
    let mut depth = 0;
    for (at, c) in text.char_indices() {
        depth += i32::from(c == '(') - i32::from(c == ')');
        if depth == 0 {
            return text.get(1..at);
        }
    }
    None
}

/// A shader's text with every call of `name` multiplied by what `off` makes of its argument.
fn with_calls(text: &str, name: &str, off: &dyn Fn(&str) -> String) -> String {
    let called = format!("{name}(");
    let (mut made, mut rest) = (String::new(), text);
    while let Some(at) = rest.find(&called) {
        let (before, call) = rest.split_at(at);
        let inside = argument(&call[name.len()..]);
        made.push_str(before);
        let part_of_a_name = before.ends_with(|c: char| c.is_alphanumeric() || c == '_') || before.ends_with("fn ");
        match inside {
            Some(inside) if !part_of_a_name => {
                let inside = with_calls(inside, name, off);
                made.push_str(&format!("({name}({inside}) * {})", off(&inside)));
            }
            _ => made.push_str(&call[..called.len()]),
        }
        let whole = inside.filter(|_| !part_of_a_name).map_or(called.len(), |inside| called.len() + inside.len() + 1);
        rest = &call[whole..];
    }
    made + rest
}

/// A shader's text without its comments, which are no calls and no quotients.
fn bare(text: &str) -> String {
    text.lines().map(|line| line.split("//").next().unwrap_or_default().to_string() + "\n").collect()
}

/// Whether a stage would be taken with this text.
fn taken(stage: &Stage, text: &str) -> Option<Stage> {
    let new: &'static Shader =
        Box::leak(Box::new(Shader::new(stage.shader.name, Box::leak(text.to_string().into_boxed_str()))));
    let stage = Stage { shader: new, ..stage.clone() };
    let module = naga::front::wgsl::parse_str(text).ok()?;
    // What is parsed may still multiply whole numbers by others.
    let mut validator =
        naga::valid::Validator::new(naga::valid::ValidationFlags::all(), naga::valid::Capabilities::all());
    validator.validate(&module).ok()?;
    reflect(&stage).ok().map(|_| stage)
}

/// The stage with all that fast math makes worse off by so much, or nothing where it has nothing of that.
fn worst(stage: &Stage, sign: char) -> Option<Stage> {
    let source = bare(stage.shader.source().expect("a module"));
    let units = |count: &str| format!("(1.0f {sign} {ULP} * {count})");
    let mut text = source.clone();
    // Of what is allowed, one unit less: the product that brings it in, and the driver's own result, are rounded.
    // 3 + floor(2 |x|) units, of which this driver's own exponential takes one; further out than 120 it is 0 or infinite.
    text = with_calls(&text, "exp", &|x| units(&format!("(1.0f + floor(2.0f * min(abs({x}), 120.0f)))")));
    text = with_calls(&text, "inverseSqrt", &|_| units("1.0f"));
    // By the reciprocal root, which is off by 2: three.
    text = with_calls(&text, "sqrt", &|_| units("2.0f"));
    // Two and a half units, of those that are of numbers and not of whole ones.
    let mut from = 0;
    while let Some(at) = text[from..].find(" / ").map(|at| from + at) {
        let changed = format!("{} * {}{}", &text[..at], units("1.5f"), &text[at..]);
        from = at + 3;
        if taken(stage, &changed).is_some() {
            from = at + 3 + changed.len() - text.len();
            text = changed;
        }
    }
    if text == source { None } else { Some(taken(stage, &text).unwrap_or_else(|| panic!("{}", stage.shader.name))) }
}

#[test]
fn kernels_keep_their_bounds_with_the_errors_that_fast_math_may_make() {
    let gpu = device();
    let known: Mutex<HashMap<(&'static str, char), Option<&'static Shader>>> = Mutex::default();
    let changed = |recipe: &Recipe, sign: char| {
        let mut recipe = recipe.clone();
        let mut any = false;
        for stage in &mut recipe.stages {
            let mut known = known.lock().expect("no panic");
            let worst =
                known.entry((stage.shader.name, sign)).or_insert_with(|| worst(stage, sign).map(|stage| stage.shader));
            if let Some(shader) = *worst {
                stage.shader = shader;
                any = true;
            }
        }
        any.then_some(recipe)
    };
    let checked = Mutex::new(0);
    // Products have nothing of it but their activations, which they share.
    every_case(Some(&gpu), 4, |name, case, kernel| {
        let recipes = in_turn(case, 1, kernel.variants(gpu.caps()));
        let mut outcomes = Vec::new();
        for recipe in recipes {
            let sign = if case % 2 == 0 { '+' } else { '-' };
            let Some(recipe) = changed(&recipe, sign) else { continue };
            let example = Example::new(kernel, 1);
            outcomes.push(check::check_variant(&gpu, name, kernel, &recipe, &example));
        }
        *checked.lock().expect("no panic") += outcomes.len();
        outcomes
    });
    let checked = *checked.lock().expect("no panic");
    assert!(checked > 100 || is_part(), "only {checked} had anything of it");
}

/// Their fast forms are off by up to 2^-13, where elsewhere it is units in the last place: what noise is made of and what
/// else needs them is written out in shaders/lib.
#[test]
fn no_shader_calls_what_fast_math_makes_coarse() {
    let coarse =
        ["log", "log2", "exp2", "pow", "sin", "cos", "tan", "asin", "acos", "atan", "atan2", "sinh", "cosh", "tanh"];
    for stage in stages(&DEVICES) {
        let text = bare(stage.shader.source().expect("a module"));
        // The logarithm of a chain of operations is the driver's: 2^-21 near 1, 3 units elsewhere.
        let chains = ["pointwise", "draw_pixels"].iter().any(|name| stage.shader.name.starts_with(name));
        let own = |name: &&&str| **name != "log" || !chains;
        for name in coarse.iter().filter(own) {
            assert!(with_calls(&text, name, &|_| "1.0".into()) == text, "{} calls {name}", stage.shader.name);
        }
    }
}

#[test]
fn what_is_changed_is_what_was_meant() {
    let text = "let a = exp(x * (y + sqrt(z))) + fastexp(x) / exp(-x);";
    let off = with_calls(text, "exp", &|x| format!("[{x}]"));
    assert_eq!(off, "let a = (exp(x * (y + sqrt(z))) * [x * (y + sqrt(z))]) + fastexp(x) / (exp(-x) * [-x]);");
    assert_eq!(with_calls("sqrt(sqrt(a))", "sqrt", &|_| "k".into()), "(sqrt((sqrt(a) * k)) * k)");
    assert_eq!(with_calls("inverseSqrt(a)", "sqrt", &|_| "k".into()), "inverseSqrt(a)");
}
