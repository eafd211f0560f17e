//! README and docs: every command that stands there works from nothing, in the order in which it
//! stands there; every file, heading and picture that is pointed at is there.

use image::codecs::gif::GifEncoder;
use image::{Frame, Rgb, RgbImage, Rgba, RgbaImage};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// Languages of blocks. Only `sh` is run; a block of another name, or of none, might be commands
/// that nobody runs.
const LANGUAGES: [&str; 4] = ["sh", "text", "toml", "python"];

/// Calls limn, but shortens what takes long: a hundredth of the steps that are asked for, small
/// batches, few images, and in place of sets that have to be fetched the one that is built in.
const LIMN: &str = r#"#!/bin/bash
limn=LIMN_PROGRAM
command=${1:-}
args=() add=() steps= resume= device= n= images= samples= latents= help= previous=
while [ $# -gt 0 ]; do
  arg=$1; shift
  case $arg in --help | -h) help=1 ;; --resume) resume=1 ;; --device) device=1 ;; --latents) latents=1 ;; esac
  if [ -n "$help" ]; then args+=("$arg"); continue; fi
  case $command:$arg in
    train:--steps) steps=$(($1 / 100)); shift ;;
    train:--from) args+=(--from $(($1 / 100))); shift ;;
    train:--epochs | train:--batch) [ "$1" -gt 0 ] || exit 2; shift ;;
    train:train.checkpoint_every=*) args+=("train.checkpoint_every=$((${arg#*=} / 100))") ;;
    train:mnist | train:fashion-mnist | train:cifar10)
      if [ "$previous" = --data ]; then args+=(fashion-mini); else args+=("$arg"); fi ;;
    sample:--n | complete:--n) n=$(($1 < 4 ? $1 : 4)); shift ;;
    eval:--images | probe:--images) images=$1; shift ;;
    eval:--samples) samples=$1; shift ;;
    *) args+=("$arg") ;;
  esac
  previous=$arg
done
if [ -z "$help" ]; then
  case $command in
    train)
      if [ -n "$resume" ]; then add=(${steps:+--steps $steps}); else
        # A mixture begins as images of its first batch.
        case "${args[1]:-}" in gmm*) batch=20 ;; *) batch=4 ;; esac
        add=(--steps "${steps:-2}" --batch $batch --set train.samples=4)
      fi ;;
    sample) [ -n "$latents" ] || add=(--n "${n:-4}") ;;
    complete) add=(--n "${n:-2}") ;;
    probe) add=(--images $((${images:-40} < 40 ? images : 40))) ;;
    eval)
      add=(--images 8)
      case "${args[*]}" in *parzen* | *frechet* | *kernel* | *prdc*) add+=(--samples 8) ;; esac ;;
    profile) add=(--steps 1 --batch 4) ;;
  esac
  case $command:${args[1]:-} in
    data:get)
      [ "${args[2]:-}" = all ] || "$limn" data list --json | grep -Eq "\"name\":\"${args[2]:-}\",.*\"(not_)?fetched\"" || exit 2
      exit 0 ;;
    bench:step) add+=(--batch 2 --tune off) ;;
    bench:sample) add+=(--batch 1 --naive-pixels 1) ;;
  esac
  case $command in
    train | sample | complete | latent | eval | probe | check | run | bench | profile | shader | plan)
      [ -n "$device" ] || add+=(--device cpu) ;;
  esac
fi
exec "$limn" "${args[@]}" "${add[@]}"
"#;

/// Stands in for cargo and make, which would build all of limn: examples and targets have to be
/// there.
const BUILD: &str = r#"#!/bin/bash
here=LIMN_FOLDER
while [ $# -gt 0 ]; do
  case $(basename "$0"):$1 in
    cargo:--example) test -f "$here/examples/$2.rs" || { echo "no example $2" >&2; exit 1; } ;;
    make:[a-z]*) grep -q "^$1:" "$here/Makefile" || { echo "no target $1" >&2; exit 1; } ;;
  esac
  shift
done
"#;

/// Starts one rank, whatever is asked for.
const MPIRUN: &str = r#"#!/bin/bash
while [[ $1 == -* ]]; do shift 2; done
exec "$@"
"#;

/// Stands in for what has nothing to show here.
const NOTHING: &str = "#!/bin/bash\n";

/// Where the commands of a page are run: somebody's home with some pictures, films and sounds, an
/// empty folder, and the programs above first on the path.
struct Somewhere {
    folder: TempDir,
}

fn program(path: &Path, text: &str) {
    fs::write(path, text).expect("a program");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("a program");
}

impl Somewhere {
    fn new() -> Somewhere {
        let folder = TempDir::new().expect("a folder");
        let at = |name: &str| {
            let path = folder.path().join(name);
            fs::create_dir_all(&path).expect("a folder");
            path
        };
        let bin = at("bin");
        program(&bin.join("limn"), &LIMN.replace("LIMN_PROGRAM", env!("CARGO_BIN_EXE_limn")));
        let build = BUILD.replace("LIMN_FOLDER", env!("CARGO_MANIFEST_DIR"));
        program(&bin.join("mpirun"), MPIRUN);
        ["cargo", "make"].iter().for_each(|name| program(&bin.join(name), &build));
        ["git", "apt-get", "python", "python3"].iter().for_each(|name| program(&bin.join(name), NOTHING));
        at("empty");
        for (class, shade) in [("cat", 3), ("dog", 5)] {
            let pictures = at(&format!("home/pictures/{class}"));
            for i in 0..60u32 {
                let of = |x: u32, y: u32| [x * shade + i, y * 2 + i * shade, (x + y) * shade].map(|v| v as u8);
                let picture = RgbImage::from_fn(48, 48, |x, y| Rgb(of(x, y)));
                picture.save(pictures.join(format!("{i:03}.png"))).expect("a picture");
            }
        }
        let films = at("home/films");
        for i in 0..12u32 {
            let file = File::create(films.join(format!("{i}.gif"))).expect("a film");
            let picture = |k: u32| RgbaImage::from_fn(32, 32, |x, y| Rgba([(x * k + i) as u8, (y * 7) as u8, 90, 255]));
            GifEncoder::new(file).encode_frames((0..8).map(|k| Frame::new(picture(k)))).expect("a film");
        }
        let sounds = at("home/sounds");
        let spec = hound::WavSpec {
            channels: 1,
            sample_rate: 8000,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        for i in 1..=12 {
            let mut file = hound::WavWriter::create(sounds.join(format!("{i}.wav")), spec).expect("a sound");
            (0..4096).for_each(|k| file.write_sample((k * i % 2000) as i16).expect("a sample"));
            file.finalize().expect("a sound");
        }
        // What the page on kernels has Python write.
        let tensors = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/fixtures/run/conv2d-3x3-s2-p1.in.safetensors");
        fs::copy(tensors, folder.path().join("empty/in.safetensors")).expect("tensors");
        Somewhere { folder }
    }

    /// Runs the commands of a page until one fails, of which the page's line and bash's words are
    /// told.
    fn run(&self, page: &str) -> Result<(), String> {
        let path = |name: &str| self.folder.path().join(name);
        fs::write(path("page.sh"), commands(page)?).map_err(|e| e.to_string())?;
        let tell = r#"set -eEuo pipefail; trap 'echo "line $LINENO: $BASH_COMMAND" >&2' ERR; source ../page.sh"#;
        let output = Command::new("bash")
            .args(["-c", tell])
            .current_dir(path("empty"))
            .env("HOME", path("home"))
            .env("LIMN_CACHE", path("cache"))
            .env("PATH", format!("{}:{}", path("bin").display(), std::env::var("PATH").unwrap_or_default()))
            .stdin(Stdio::null())
            .output()
            .map_err(|e| e.to_string())?;
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        let last = |text: &str| text.lines().rev().take(6).map(String::from).collect::<Vec<_>>();
        let words = [last(&out), last(&err)].concat().into_iter().rev().collect::<Vec<_>>().join("\n");
        if err.contains("panicked") || !output.status.success() { Err(words) } else { Ok(()) }
    }
}

/// The lines of a page that are commands, on the same lines; all others empty.
fn commands(page: &str) -> Result<String, String> {
    let (mut script, mut block) = (String::new(), None);
    for (number, line) in (1..).zip(page.lines()) {
        match (line.strip_prefix("```"), block) {
            (Some(language), None) if LANGUAGES.contains(&language) => block = Some(language),
            (Some(language), None) => return Err(format!("line {number}: a block of \"{language}\"")),
            (Some(_), Some(_)) => block = None,
            (None, Some("sh")) => script += line,
            (None, _) => {}
        }
        script.push('\n');
    }
    block.map_or(Ok(script), |language| Err(format!("a block of {language} does not end")))
}

fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// README and the pages of docs, by their paths in the repository.
fn pages() -> Vec<(String, String)> {
    let docs = fs::read_dir(repository().join("docs")).expect("pages");
    let mut names: Vec<String> =
        docs.map(|entry| format!("docs/{}", entry.expect("a page").file_name().to_string_lossy())).collect();
    names.retain(|name| name.ends_with(".md"));
    names.sort();
    names.insert(0, "README.md".into());
    let read = |name: String| {
        let text = fs::read_to_string(repository().join(&name)).expect("a page");
        (name, text)
    };
    names.into_iter().map(read).collect()
}

#[test]
fn commands_of_every_page_work_from_nothing() {
    let pages = pages();
    let faults = std::thread::scope(|scope| {
        let halves = [0, 1].map(|half| {
            let pages = &pages;
            let mine = move || {
                let mine = pages.iter().skip(half).step_by(2);
                let run = |(name, text): &(String, String)| {
                    Somewhere::new().run(text).err().map(|why| format!("{name}:\n{why}\n"))
                };
                mine.filter_map(run).collect::<Vec<String>>()
            };
            scope.spawn(mine)
        });
        halves.map(|half| half.join().expect("pages are run")).concat()
    });
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    let runs = |(_, text): &&(String, String)| commands(text).expect("blocks").lines().any(|l| l.starts_with("limn"));
    assert!(pages.iter().filter(runs).count() > 5);
}

#[test]
fn a_mistake_on_a_page_is_found_with_its_line() {
    for (wrong, line, words) in [
        ("limn train vae --stepps 3", 5, "stepps"),
        ("limn train vea", 5, "vea"),
        ("limn train vae --data ~/nowhere", 5, "nowhere"),
        ("limn train vae --data minst", 5, "minst"),
        ("limn data get cifar", 5, "data get cifar"),
        ("limn train vae\nlimn sample runs/vae-2", 6, "runs/vae-2"),
        ("limn train vae --set model.hiden=3", 5, "hiden"),
        ("limn eval runs/vae-1", 5, "runs/vae-1"),
        ("limn check conv3d", 5, "conv3d"),
        ("limn look runs", 5, "look"),
        ("cargo run --locked --example nothing", 5, "nothing"),
        ("make tests", 5, "tests"),
    ] {
        let page = format!("# A page\n\n```sh\nlimn presets vae > /dev/null\n{wrong}\n```\n");
        let fault = Somewhere::new().run(&page).expect_err(wrong);
        assert!(fault.contains(&format!("line {line}: ")) && fault.contains(words), "{wrong}: {fault}");
    }
    assert!(Somewhere::new().run("```sh\nlimn presets vae\n```\n\n```bash\nlimn presets\n```\n").is_err());
    assert!(Somewhere::new().run("```sh\nlimn presets vae\n").is_err());
}

/// What a page points at: the targets of links, and of pictures that are shown.
fn pointed_at(page: &str) -> (Vec<String>, Vec<String>) {
    let (mut links, mut pictures, mut code) = (Vec::new(), Vec::new(), false);
    for line in page.lines() {
        code ^= line.starts_with("```");
        if code {
            continue;
        }
        for (at, _) in line.match_indices("](") {
            let target = line[at + 2..].split(')').next().unwrap_or_default().to_string();
            // Brackets nest in `[![words](picture)](link)` only, which no page has.
            let opening = line[..at].rfind('[').unwrap_or_default();
            let to = if line[..opening].ends_with('!') { &mut pictures } else { &mut links };
            to.push(target);
        }
        let shown = line.split("src=\"").skip(1).filter_map(|rest| rest.split('"').next());
        pictures.extend(shown.map(String::from));
    }
    (links, pictures)
}

/// Names of a page's headings in links.
fn anchors(page: &str) -> BTreeSet<String> {
    let slug = |heading: &str| {
        let kept = heading.chars().filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c));
        kept.collect::<String>().to_lowercase().replace(' ', "-")
    };
    let headings = page.lines().filter(|line| line.starts_with('#'));
    headings.map(|line| slug(line.trim_start_matches('#').trim())).collect()
}

/// What of a page's targets is not there.
fn missing(folder: &Path, page: &str) -> Vec<String> {
    let (links, pictures) = pointed_at(page);
    let is_there = |target: &String| {
        let (file, heading) = target.split_once('#').unwrap_or((target, ""));
        let path = folder.join(file);
        let text = if file.is_empty() { Some(page.to_string()) } else { fs::read_to_string(&path).ok() };
        (file.is_empty() || path.exists())
            && (heading.is_empty() || text.is_some_and(|t| anchors(&t).contains(heading)))
    };
    let local = |target: &String| !target.starts_with("http://") && !target.starts_with("https://");
    links.into_iter().chain(pictures).filter(local).filter(|target| !is_there(target)).collect()
}

#[test]
fn what_pages_point_at_is_there_and_every_picture_is_shown() {
    let mut shown = BTreeSet::new();
    for (name, text) in pages() {
        let folder = repository().join(&name).parent().expect("a folder").to_path_buf();
        assert_eq!(missing(&folder, &text), Vec::<String>::new(), "{name}");
        let pictures = pointed_at(&text).1;
        shown.extend(pictures.iter().filter_map(|p| Some(Path::new(p).file_name()?.to_string_lossy().into_owned())));
        for line in text.lines().filter(|line| line.starts_with('|')) {
            assert!(!line.contains("||"), "{name}: a cell is missing: {line}");
        }
    }
    let pictures = fs::read_dir(repository().join("assets/pictures")).expect("pictures");
    let names = pictures.map(|entry| entry.expect("a picture").file_name().to_string_lossy().into_owned());
    let hidden: Vec<String> = names.filter(|name| !shown.contains(name)).collect();
    assert!(hidden.is_empty(), "no page shows {hidden:?}");
    let page = "[a](README.md) [b](README.md#no-such-place) [c](no.md) ![d](assets/pictures/no.png) [e](#a-place)\n# A place\n\
                <img src=\"no.gif\">";
    let gone = ["README.md#no-such-place", "no.md", "assets/pictures/no.png", "no.gif"];
    assert_eq!(missing(&repository(), page), gone);
}

#[test]
fn the_gallery_has_every_preset_with_its_parameters() {
    let page = fs::read_to_string(repository().join("docs/gallery.md")).expect("a page");
    let rows: Vec<Vec<&str>> =
        page.lines().filter(|line| line.starts_with("| `")).map(|l| l.split('|').collect()).collect();
    for (name, _) in limn::train::presets() {
        let named = |row: &&Vec<&str>| {
            let cell = row[1];
            let base = name.strip_suffix("-small").unwrap_or(name);
            cell.contains(&format!("`{name}`")) || cell.contains(&format!("`{base}`, `-small`"))
        };
        let row = rows.iter().find(named).unwrap_or_else(|| panic!("no row of {name}"));
        if !row[1].trim_start().starts_with(&format!("`{name}`")) {
            continue;
        }
        let parameters = limn::train::Config::preset(name).expect("a preset").validate().expect("a model").parameters();
        let first = row[4].split_whitespace().next().expect("a number");
        assert_eq!(first.replace(',', ""), parameters.to_string(), "{name}");
    }
}

/// Commands in the middle of sentences, `limn NAME ...`.
fn in_sentences(page: &str) -> Vec<String> {
    let mut code = false;
    let is_prose = |line: &&str| {
        code ^= line.starts_with("```");
        !code
    };
    let prose = page.lines().filter(is_prose);
    prose
        .flat_map(|line| line.split('`').skip(1).step_by(2))
        .filter(|c| c.starts_with("limn "))
        .map(String::from)
        .collect()
}

#[test]
fn commands_in_sentences_have_names_and_flags_that_there_are() {
    let mut seen = 0;
    for (name, text) in pages() {
        for command in in_sentences(&text) {
            let words: Vec<&str> = command.split_whitespace().skip(1).collect();
            let Some(first) = words.first().filter(|word| !word.starts_with('-')) else { continue };
            let help = super::limn(&[first, "--help"]);
            assert_eq!(help.code, Some(0), "{name}: `{command}`: {}", help.err);
            for flag in words.iter().filter(|word| word.starts_with("--")) {
                assert!(help.out.contains(flag), "{name}: `{command}`: limn {first} has no {flag}");
            }
            seen += 1;
        }
    }
    assert!(seen > 10);
}
