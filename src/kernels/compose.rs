//! Puts a shader together from its file and the pieces of WGSL that it imports.
//!
//! WGSL has no include. So the head of a file says what it stands on, in lines of its own:
//!
//! - `#import philox` puts the library's piece `philox` in front, once, behind what it imports
//!   itself.
//! - `#import width$width` leaves a part of the name to the [`Shader`]: the same file with `width`
//!   = `4` is another shader. See [`Shader::with`].
//! - `#expects fn logit(base: u32, k: u32) -> f32` says what a piece uses and leaves to whoever
//!   imports it. The first word is `fn`, `const` (or an override), `type` (an alias or a struct) or
//!   `var`, the second the name; what follows is for people. A module in which nobody declares it
//!   is refused.
//! - `#params` stands for `struct Params`, the kernel's parameter block as [`Shader::params`] has
//!   it.
//! - `enable f16;` may stand in any piece, and comes to stand once, at the top of the module.
//!
//! ```
//! use limn::kernels::Shader;
//!
//! static HALF: Shader = Shader::new("half", "#import nan\n@compute @workgroup_size(1)\nfn main() {}\n");
//! static LOST: Shader = Shader::new("lost", "#import no_such_piece\n");
//! assert!(HALF.source().unwrap().contains("fn larger"));
//! println!("{}", LOST.source().unwrap_err());
//! ```

use std::fmt::Write;

use super::library::{self, PIECES};
use super::{Shader, params};

/// Why the pieces of a shader do not make a module.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ComposeError {
    /// An import of something that does not exist.
    #[error("{by} imports {name}, which is no piece of the library")]
    Unknown {
        /// The file that says so.
        by: String,
        /// What it asks for.
        name: String,
    },
    /// A piece that stands on itself.
    #[error("imports go in a circle: {0}")]
    Circle(String),
    /// A part of a name that the shader does not fill in.
    #[error("{by} imports {name}, and the shader does not say what ${slot} is")]
    Open {
        /// The file that says so.
        by: String,
        /// What it asks for.
        name: String,
        /// The part left open.
        slot: String,
    },
    /// A part of a name that the shader fills in, and no piece leaves open.
    #[error("no import leaves ${0} open")]
    Idle(String),
    /// Something that a piece expects and nobody declares.
    #[error("{by} expects `{what}`, which nothing in the module declares")]
    Missing {
        /// The piece that expects it.
        by: String,
        /// What it expects.
        what: String,
    },
    /// A file that wants a parameter block, of a shader that has none.
    #[error("{0} has the line #params, and the shader has no parameter block")]
    NoParams(String),
    /// A line with `#` in front that is none of the above.
    #[error("{by} has a line that is neither #import, #expects nor #params: {line}")]
    Directive {
        /// The file that has it.
        by: String,
        /// The line.
        line: String,
    },
}

/// The line that stands for a struct.
const PARAMS: &str = "#params";

/// A file of a module with its name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece {
    pub name: &'static str,
    pub text: &'static str,
}

impl Piece {
    /// The arguments of the lines that begin with `directive`.
    fn said(&self, directive: &str) -> impl Iterator<Item = &'static str> {
        let found = move |line: &'static str| line.strip_prefix(directive).map(without_comment);
        self.text.lines().filter_map(found)
    }

    /// What it expects of who imports it.
    pub(super) fn expects(&self) -> impl Iterator<Item = &'static str> {
        self.said("#expects ")
    }

    /// The text without what is said at its head.
    fn body(&self) -> String {
        let mut lines: Vec<&str> = Vec::new();
        let mut left_out = false;
        for line in self.text.lines() {
            if line.starts_with('#') || line.starts_with("enable ") {
                left_out = true;
            } else if !(left_out && line.is_empty() && lines.last().is_none_or(|last| last.is_empty())) {
                left_out = false;
                lines.push(line);
            }
        }
        lines.join("\n")
    }
}

fn without_comment(line: &str) -> &str {
    line.split("//").next().unwrap_or(line).trim()
}

/// The files of a shader in the order of the module: what a file imports is in front of it.
pub(super) fn pieces(shader: &Shader) -> Result<Vec<Piece>, ComposeError> {
    let mut order = Order { shader, filled: Vec::new(), done: Vec::new(), open: Vec::new() };
    if !shader.front.is_empty() {
        order.add(Piece { name: "the text in front", text: shader.front })?;
    }
    order.add(Piece { name: shader.name, text: shader.file })?;
    match shader.choices.iter().find(|(slot, _)| !order.filled.contains(slot)) {
        Some((slot, _)) => Err(ComposeError::Idle((*slot).into())),
        None => Ok(order.done),
    }
}

/// The whole module of a shader.
pub(super) fn compose(shader: &Shader) -> Result<String, ComposeError> {
    let pieces = pieces(shader)?;
    let block = pieces.iter().find(|piece| piece.text.lines().any(|line| line == PARAMS));
    if let Some(piece) = block.filter(|_| shader.fields.is_empty()) {
        return Err(ComposeError::NoParams(piece.name.into()));
    }
    let declared: Vec<(&str, &str)> = pieces.iter().flat_map(|piece| declarations(&tokens(piece.text))).collect();
    for piece in &pieces {
        for what in piece.expects() {
            let words = tokens(what);
            if !words.get(1).is_some_and(|name| declared.contains(&(words[0], name))) {
                return Err(ComposeError::Missing { by: piece.name.into(), what: what.into() });
            }
        }
    }
    let mut enabled: Vec<&str> = Vec::new();
    for line in pieces.iter().flat_map(|piece| piece.text.lines()).filter(|line| line.starts_with("enable ")) {
        if !enabled.contains(&line) {
            enabled.push(line);
        }
    }
    let mut module = String::new();
    for line in enabled {
        let _ = writeln!(module, "{line}");
    }
    if block.is_some() {
        let _ = write!(module, "\n{}", params::wgsl(shader.fields));
    }
    for piece in &pieces {
        let _ = writeln!(module, "\n{}", piece.body().trim_matches('\n'));
    }
    Ok(module.trim_start_matches('\n').to_string())
}

/// Files put in order.
struct Order<'a> {
    shader: &'a Shader,
    /// The parts of names that were filled in.
    filled: Vec<&'static str>,
    done: Vec<Piece>,
    /// The pieces whose imports are being added, each imported by the one before it.
    open: Vec<&'static str>,
}

impl Order<'_> {
    fn add(&mut self, piece: Piece) -> Result<(), ComposeError> {
        let by = || piece.name.to_string();
        let stray = |line: &&str| {
            line.starts_with('#') && *line != PARAMS && !line.starts_with("#import ") && !line.starts_with("#expects ")
        };
        if let Some(line) = piece.text.lines().find(stray) {
            return Err(ComposeError::Directive { by: by(), line: line.into() });
        }
        for import in piece.said("#import ") {
            let name = self.fill(piece.name, import)?;
            if self.open.contains(&name.as_str()) {
                return Err(ComposeError::Circle(format!("{} -> {name}", self.open.join(" -> "))));
            }
            if self.done.iter().any(|done| done.name == name) {
                continue;
            }
            let known = self.shader.pieces.iter().chain(PIECES).copied().find(|(known, _)| *known == name);
            let Some((name, text)) = known.or_else(|| library::made(&name)) else {
                return Err(ComposeError::Unknown { by: by(), name });
            };
            self.open.push(name);
            self.add(Piece { name, text })?;
            self.open.pop();
        }
        self.done.push(piece);
        Ok(())
    }

    /// The name of an import with its open part filled in.
    fn fill(&mut self, by: &str, import: &str) -> Result<String, ComposeError> {
        let Some((before, slot)) = import.split_once('$') else { return Ok(import.into()) };
        let Some((known, value)) = self.shader.choices.iter().find(|(known, _)| *known == slot) else {
            return Err(ComposeError::Open { by: by.into(), name: import.into(), slot: slot.into() });
        };
        self.filled.push(known);
        Ok(format!("{before}{value}"))
    }
}

/// Words, numbers and signs of WGSL without its comments and the lines of the head.
pub(super) fn tokens(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut deep = 0;
    for line in text.lines().filter(|line| !line.starts_with('#') && !line.starts_with("enable ")) {
        let mut rest = line;
        while let Some(c) = rest.chars().next() {
            let len = match c {
                _ if rest.starts_with("/*") => {
                    deep += 1;
                    rest = &rest[2..];
                    continue;
                }
                _ if deep > 0 && rest.starts_with("*/") => {
                    deep -= 1;
                    rest = &rest[2..];
                    continue;
                }
                _ if deep == 0 && rest.starts_with("//") => break,
                _ if c.is_alphanumeric() || c == '_' => {
                    rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len())
                }
                _ => c.len_utf8(),
            };
            let (token, behind) = rest.split_at(len);
            if deep == 0 && !c.is_whitespace() {
                found.push(token);
            }
            rest = behind;
        }
    }
    found
}

/// What a text declares outside of functions: each with its kind, by the words of `#expects`.
pub(super) fn declarations<'a>(tokens: &[&'a str]) -> Vec<(&'static str, &'a str)> {
    let mut found = Vec::new();
    let mut depth = 0;
    for (i, token) in tokens.iter().enumerate() {
        let behind = &tokens[i + 1..];
        let kind = match *token {
            "{" => {
                depth += 1;
                continue;
            }
            "}" => {
                depth -= 1;
                continue;
            }
            "fn" => "fn",
            "const" | "override" => "const",
            "alias" | "struct" => "type",
            "var" => "var",
            _ => continue,
        };
        let space =
            if behind.first() == Some(&"<") { behind.iter().position(|t| *t == ">").map_or(0, |at| at + 1) } else { 0 };
        if let Some(name) = behind.get(space).filter(|_| depth == 0) {
            found.push((kind, *name));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::kernels::{Caps, Class, Coop, Precision, all, subgroups};

    fn composed(shader: &Shader) -> Result<String, String> {
        compose(shader).map_err(|e| e.to_string())
    }

    #[test]
    fn what_is_imported_stands_in_front_once() {
        let shader = Shader::new("top", "// Top.\n\n#import $half\n#import right\n\nfn top() {}\n")
            .with(&[("half", "left")])
            .front("enable f16;\nconst N = 1u;")
            .library(&[
                ("left", "#import base\nfn left() {}\n"),
                ("right", "#import base\n#expects const N\n#expects fn top()\nenable f16;\nfn right() {}\n"),
                ("base", "// Base.\nfn base() {}\n"),
            ]);
        let module = "enable f16;\n\nconst N = 1u;\n\n// Base.\nfn base() {}\n\nfn left() {}\n\nfn right() {}\n\n\
                      // Top.\n\nfn top() {}\n";
        assert_eq!(composed(&shader).as_deref(), Ok(module));
        assert!(shader.has("f16"));
        let files: Vec<&str> = shader.files().unwrap().into_iter().map(|(name, _)| name).collect();
        assert_eq!(files, ["the text in front", "base", "left", "right", "top"]);
    }

    #[test]
    fn a_piece_of_ones_own_comes_before_the_librarys_and_may_have_the_files_name() {
        let shader = Shader::new("nan", "#import nan\nfn of_file() {}\n").library(&[("nan", "fn of_piece() {}\n")]);
        assert_eq!(composed(&shader).as_deref(), Ok("fn of_piece() {}\n\nfn of_file() {}\n"));
    }

    #[test]
    fn what_does_not_fit_together_is_told() {
        let told = |text, pieces| composed(&Shader::new("top", text).library(pieces)).unwrap_err();
        assert_eq!(told("#import filox\n", &[]), "top imports filox, which is no piece of the library");
        assert_eq!(
            told("#import a\n", &[("a", "#import b"), ("b", "#import a")]),
            "imports go in a circle: a -> b -> a"
        );
        assert_eq!(told("#import a\n", &[("a", "#import a")]), "imports go in a circle: a -> a");
        assert_eq!(
            told("#import width$width\n", &[]),
            "top imports width$width, and the shader does not say what $width is"
        );
        assert_eq!(
            told("#import pixel_distribution\nvar<private> logit: f32;\n", &[]),
            "pixel_distribution expects `fn logit(base: u32, k: u32) -> f32`, which nothing in the module declares"
        );
        assert_eq!(
            told("#include nan\n", &[]),
            "top has a line that is neither #import, #expects nor #params: #include nan"
        );
        let idle = Shader::new("top", "#import nan\n").with(&[("width", "4")]);
        assert_eq!(composed(&idle).unwrap_err(), "no import leaves $width open");
    }

    #[test]
    fn declarations_are_told_from_what_only_looks_so() {
        let text = "// fn no() {}\n/* const NO = 1; /* fn no() {} */ */ @id(0) override WG: u32 = 64;\n\
                    @group(0) @binding(B) var<storage, read_write> y: array<f32>;\nvar<private> v: f32;\n\
                    struct S { fn_: u32 }\nalias A = S;\nconst C = 1;\nfn f(const_: u32) { const no = 1; var no = 2; }\n";
        let found = declarations(&tokens(text));
        let expected =
            [("const", "WG"), ("var", "y"), ("var", "v"), ("type", "S"), ("type", "A"), ("const", "C"), ("fn", "f")];
        assert_eq!(found, expected);
    }

    #[test]
    fn the_library_is_its_folder() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("shaders/lib");
        let files: BTreeSet<String> = std::fs::read_dir(folder)
            .unwrap()
            .filter_map(|entry| entry.unwrap().file_name().to_str()?.strip_suffix(".wgsl").map(String::from))
            .collect();
        let pieces: BTreeSet<String> = super::super::library::PIECES.iter().map(|(name, _)| name.to_string()).collect();
        let made = ["activate", "apply", "find_layer", "packed_layers", "summed_layers"].map(String::from);
        assert_eq!(files.into_iter().chain(made).collect::<BTreeSet<_>>(), pieces);
    }

    /// Every shader that any device is given.
    fn shaders() -> BTreeMap<&'static str, &'static Shader> {
        let lanes = Caps { class: Class::Lanes, max_workgroup_bytes: 32768, subgroup: 8, ..Caps::WEBGPU };
        let mixed = |edge, emulated| Caps {
            precision: Precision::Mixed,
            f16: true,
            coop: Some(Coop { edge, subgroup: 32, emulated }),
            max_invocations: 1024,
            max_workgroup_bytes: 49152,
            max_storage_bindings: 64,
            ..Caps::WEBGPU
        };
        let coops = [mixed(8, 0), mixed(16, 0), mixed(8, 32), mixed(16, 32)];
        let without = Caps { coop: None, ..coops[0] };
        let devices = [Caps::WEBGPU, lanes, Caps { nested_arrays: true, ..lanes }, without].into_iter().chain(coops);
        let mut found = BTreeMap::new();
        for caps in devices {
            for kernel in all().iter().flat_map(|entry| (entry.cases)()) {
                let stages = kernel.variants(&caps).into_iter().flat_map(|recipe| recipe.stages);
                found.extend(stages.map(|stage| (stage.shader.name, stage.shader)));
            }
            let asked = caps.coop.map(|coop| subgroups::asked(coop, 128).shader);
            found.extend(asked.map(|shader| (shader.name, shader)));
        }
        found
    }

    /// Names that a text uses outside of its own functions' variables, of those that any shader
    /// declares.
    fn used<'a>(tokens: &[&'a str], known: &BTreeSet<&str>) -> BTreeSet<&'a str> {
        let mut found = BTreeSet::new();
        let mut locals = BTreeSet::new();
        let mut depth = 0;
        for (i, token) in tokens.iter().enumerate() {
            let before = if i == 0 { "" } else { tokens[i - 1] };
            let behind = tokens.get(i + 1).copied().unwrap_or_default();
            match *token {
                "{" => depth += 1,
                "}" => depth -= 1,
                // Parameters, like members, are names with their type behind.
                "fn" | "struct" if depth == 0 => locals.clear(),
                _ if depth > 0 && ["let", "var", "const"].contains(&before) => drop(locals.insert(*token)),
                _ if behind == ":" && before != "case" => drop(locals.insert(*token)),
                _ if [".", "@"].contains(&before) => {}
                name if known.contains(name) && !locals.contains(name) => drop(found.insert(name)),
                _ => {}
            }
        }
        found
    }

    /// What a piece declares, and what it imports does, with the open parts filled in as in
    /// `shader`.
    fn in_reach(piece: &Piece, shader: &Shader, pieces: &[Piece]) -> BTreeSet<&'static str> {
        let mut found: BTreeSet<_> = declarations(&tokens(piece.text)).into_iter().map(|(_, name)| name).collect();
        if piece.text.lines().any(|line| line == PARAMS) {
            found.insert("Params");
        }
        let mut order = Order { shader, filled: Vec::new(), done: Vec::new(), open: Vec::new() };
        for import in piece.said("#import ") {
            let name = order.fill(piece.name, import).unwrap();
            let imported = pieces[..pieces.len() - 1].iter().find(|piece| piece.name == name).unwrap();
            found.extend(in_reach(imported, shader, pieces));
        }
        found
    }

    #[test]
    fn every_shader_is_put_together_of_files_that_say_all_they_stand_on() {
        let shaders = shaders();
        assert!(shaders.len() > 120, "{} shaders", shaders.len());
        let modules: Vec<String> = shaders.values().map(|shader| composed(shader).unwrap()).collect();
        let known: BTreeSet<&str> =
            modules.iter().flat_map(|module| declarations(&tokens(module))).map(|(_, name)| name).collect();
        let mut faults = BTreeSet::new();
        for shader in shaders.values() {
            let pieces = pieces(shader).unwrap();
            for piece in &pieces {
                let (used, reach) = (used(&tokens(piece.text), &known), in_reach(piece, shader, &pieces));
                let expected: BTreeSet<&str> = piece.expects().map(|what| tokens(what)[1]).collect();
                let unsaid = used.iter().filter(|name| !reach.contains(**name) && !expected.contains(**name));
                faults.extend(unsaid.map(|name| format!("{} uses {name} and does not say so", piece.name)));
                let idle = expected.iter().filter(|name| !used.contains(**name) || reach.contains(**name));
                faults.extend(idle.map(|name| format!("{} expects {name} and need not", piece.name)));
            }
        }
        assert!(faults.is_empty(), "{}", faults.into_iter().collect::<Vec<_>>().join("\n"));
    }
}
