//! What somebody who writes kernels asks for: plans, profiles, times of one's own shapes, traces and
//! pages.

use super::models::Place;
use super::{limn, limn_on_device, text};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

fn on_cpu(args: &[&str]) -> super::Call {
    limn(&[args, &["--device", "cpu"]].concat())
}

#[test]
fn a_plan_lists_its_launches_one_a_line_and_in_json() {
    let plan = on_cpu(&["plan", "vae-conv", "--batch", "2"]).good().out;
    assert!(plan.lines().any(|line| line.contains("conv2d") && line.contains("pad 0,0,1,1")), "{plan}");
    assert!(!plan.contains("\\u"), "{plan}");
    let rows = on_cpu(&["plan", "vae-conv", "--batch", "2", "--json"]).good().rows();
    let program = rows[0]["program"].as_array().expect("launches");
    assert_eq!(Some(program.len() as u64), rows[0]["launches"].as_u64());
    let sum = |key: &str| program.iter().map(|launch| launch[key].as_u64().expect("a number")).sum::<u64>();
    assert_eq!(Some(sum("bytes")), rows[0]["bytes_per_step"].as_u64());
    for launch in program {
        assert!(launch["kernel"].is_string() && launch["part"].is_string() && launch["variant"] == "cpu", "{launch}");
    }
    let conv = program.iter().find(|launch| launch["kernel"] == "conv2d").expect("a convolution");
    let names: Vec<&Value> = conv["operands"].as_array().expect("operands").iter().map(|o| &o["name"]).collect();
    assert_eq!(names, ["x", "w", "b", "y"]);
}

/// The spans of a process in a trace, which has to keep the rules of the Trace Event Format as
/// Perfetto reads it: tracks that have names, times from the first on, in order, and spans of a
/// track that lie within each other or apart.
pub(super) fn spans(path: &Path, process: u64) -> Vec<Value> {
    let trace: Value = serde_json::from_slice(&std::fs::read(path).expect("a trace")).expect("JSON");
    let events = trace["traceEvents"].as_array().expect("events");
    let mut names = BTreeMap::new();
    let mut open: BTreeMap<(u64, u64), Vec<f64>> = BTreeMap::new();
    let mut before = 0.0;
    let mut spans = Vec::new();
    for event in events {
        let place = (event["pid"].as_u64().expect("a process"), event["tid"].as_u64().expect("a thread"));
        match event["ph"].as_str().expect("a phase") {
            "M" => {
                let kind = event["name"].as_str().expect("a kind");
                assert!(["process_name", "thread_name", "thread_sort_index"].contains(&kind), "{event}");
                if kind == "thread_name" {
                    names.insert(place, event["args"]["name"].as_str().expect("a name").to_string());
                }
            }
            "X" => {
                let (start, took) = (event["ts"].as_f64().expect("a time"), event["dur"].as_f64().expect("a time"));
                assert!(start >= before && took >= 0.0 && event["name"].is_string(), "{event}");
                assert_eq!(event["cat"].as_str(), names.get(&place).map(String::as_str), "{event}");
                before = start;
                let stack = open.entry(place).or_default();
                // A nanosecond is what the numbers are rounded to.
                while stack.last().is_some_and(|end| *end <= start + 1e-3) {
                    stack.pop();
                }
                let within = stack.last().is_none_or(|end| start + took <= end + 1e-3);
                assert!(within, "{event} begins in another span of its track and ends behind it");
                stack.push(start + took);
                if place.0 == process {
                    spans.push(event.clone());
                }
            }
            phase => panic!("{phase} is no phase of ours"),
        }
    }
    assert_eq!(spans.first().or(events.last()).map(|_| ()), Some(()));
    spans
}

fn tracks(spans: &[Value]) -> Vec<&str> {
    let mut tracks: Vec<&str> = spans.iter().map(|span| span["cat"].as_str().expect("a track")).collect();
    tracks.sort_unstable();
    tracks.dedup();
    tracks
}

#[test]
fn training_records_a_trace_and_ends_as_without() {
    let place = Place::new();
    let trace = place.path("trace.json");
    let ends = ["plain", "traced"].map(|name| {
        let dir = place.path(name);
        let args =
            ["train", "vae", "--steps", "9", "--batch", "4", "--set", "model.hidden=8", "--set", "data.source=builtin"];
        let out = ["--out", text(&dir), "--trace", text(&trace), "--trace-steps", "2"];
        let call = limn_on_device(&[&args[..], &out[..if name == "traced" { 6 } else { 2 }]].concat()).good();
        assert_eq!((call.out + &call.err).contains("trace.json"), name == "traced");
        std::fs::read(dir.join("checkpoint.safetensors")).expect("a checkpoint")
    });
    assert!(ends[0] == ends[1], "what is looked at is not changed");
    let device = spans(&trace, 2);
    let steps = device.iter().filter(|span| span["cat"] == "uploads").count();
    assert_eq!(steps, 2);
    let mut wanted = vec!["data", "loss", "loss backward", "record", "uploads", "vae update", "read-backs"];
    if tracks(&device).contains(&"all launches") {
        wanted = vec!["all launches", "uploads", "read-backs"];
    }
    wanted.iter().for_each(|track| assert!(tracks(&device).contains(track), "{track} of {:?}", tracks(&device)));
    assert!(tracks(&spans(&trace, 1)).contains(&"batches") && tracks(&spans(&trace, 1)).contains(&"training"));
    limn_on_device(&["train", "vae", "--trace", "no/such/folder/t.json"]).bad(&["no folder no/such/folder"]);
    let alone = limn_on_device(&["train", "vae", "--trace-steps", "3"]);
    assert!(alone.code == Some(2) && alone.err.contains("--trace"), "{}", alone.err);
}

#[test]
fn profiles_are_kept_and_compared() {
    let place = Place::new();
    let (kept, other) = (place.path("kept.json"), place.path("other.json"));
    let quick = ["--steps", "1", "--batch", "2", "--device", "cpu"];
    let profile = |args: &[&str]| limn(&[&["profile"], args, &quick].concat());
    let told = profile(&["vae", "--save", text(&kept)]).good().out;
    assert!(told.contains("GB/s") && told.contains("a step to its end"), "{told}");
    let table: Value = serde_json::from_slice(&std::fs::read(&kept).expect("a file")).expect("JSON");
    assert!(table["step_ms"].as_f64() > Some(0.0) && table["ceilings"]["gflops"].as_f64() > Some(0.0));
    assert_eq!((&table["device"], &table["batch"]), (&"cpu".into(), &2.into()));
    let kernels = table["kernels"].as_array().expect("kernels");
    let mut sum = 0.0;
    for kernel in kernels {
        for key in ["count", "ms", "gflops", "gbs", "share"] {
            assert!(kernel[key].as_f64().is_some_and(|v| v >= 0.0), "{key} of {kernel}");
        }
        assert!(kernel["name"].is_string() && kernel["part"].is_string());
        sum += kernel["ms"].as_f64().expect("ms");
    }
    assert!((sum / table["launches_ms"].as_f64().expect("ms") - 1.0).abs() < 1e-6);
    // The same again is the same table, and compared with itself makes no difference.
    assert_eq!(limn(&["profile", text(&kept)]).good().out, told);
    let rows = limn(&["profile", text(&kept), "--against", text(&kept), "--json"]).good().rows();
    assert_eq!(rows.len(), kernels.len() + 1);
    assert!(rows.iter().all(|row| row["ratio"] == 1.0), "{rows:?}");
    // Half of the kernels, twice as fast.
    let mut half = table.clone();
    let kernels = half["kernels"].as_array_mut().expect("kernels");
    kernels.truncate(kernels.len() / 2);
    // What the clock does not see has no ratio.
    let left = kernels.iter().filter(|kernel| kernel["ms"].as_f64() > Some(0.0)).count();
    for kernel in kernels {
        kernel["ms"] = (kernel["ms"].as_f64().expect("ms") / 2.0).into();
    }
    std::fs::write(&other, half.to_string()).expect("a file");
    let rows = limn(&["profile", text(&kept), "--against", text(&other), "--json"]).good().rows();
    assert_eq!(rows.iter().filter(|row| row["ratio"] == 0.5).count(), left);
    assert!(rows.iter().any(|row| row["b"].is_null() && row["ratio"].is_null()), "{rows:?}");
    let told = limn(&["profile", text(&kept), "--against", text(&other)]).good().out;
    assert!(told.contains("B/A") && told.contains("0.50"), "{told}");
    // A change of the same step.
    let told = profile(&["vae", "--against", "train.batch=3"]).good().out;
    assert!(told.contains("A: vae, batch 2") && told.contains("B: vae, batch 3"), "{told}");
    profile(&["vae", "--against", "train.batsch=3"]).bad(&["batsch"]);
    profile(&["vae", "--against", "precision=half"]).bad(&["precision=half"]);
    profile(&["vae", "--against", "device=nowhere"]).bad(&["nowhere"]);
    profile(&["vae", "--against", "veaa"]).bad(&["veaa"]);
    profile(&[text(&kept), "--against", "device=cpu"]).bad(&["saved"]);
    profile(&[text(&kept), "--trace", "t.json"]).bad(&["--trace"]);
    let wrong = place.file("wrong.json", b"{}");
    profile(&[text(&wrong)]).bad(&["no profile"]);
    // A run's folder keeps its own.
    let run = place.path("run");
    let short = ["train", "vae", "--steps", "1", "--batch", "2", "--device", "cpu", "--set", "data.source=builtin"];
    limn(&[&short[..], &["--out", text(&run)]].concat()).good();
    profile(&[text(&run)]).good();
    assert!(run.join("profile.json").is_file());
}

#[test]
fn shapes_of_ones_own_are_timed_kept_and_compared() {
    let place = Place::new();
    let kept = place.path("kept.json");
    let shape = "x=2,3,9,8 w=4,3,3,3 stride=2 padding=1";
    let bench = |more: &[&str]| on_cpu(&[&["bench", "conv2d", "--shape", shape], more].concat());
    let rows = bench(&["--json", "--save", text(&kept)]).good().rows();
    let named: Vec<[&str; 2]> =
        rows.iter().map(|row| ["kernel", "direction"].map(|key| row[key].as_str().expect("text"))).collect();
    let wanted =
        [["conv2d", "forward"], ["conv_transpose2d", "gradient by x"], ["conv2d_weight_grad", "gradient by w"]];
    assert_eq!(named, wanted);
    for row in &rows {
        assert_eq!(row["shape"], "x[2,3,9,8] w[4,3,3,3] y[5,4] stride 2 pad 1");
        assert!(row["ms"].as_f64() > Some(0.0) && row["rounds_ms"].as_array().expect("rounds").len() == 8, "{row}");
    }
    // Times that are longer by more than other work on the machine makes these.
    let slower = place.path("slower.json");
    let mut baseline: Value = serde_json::from_slice(&std::fs::read(&kept).expect("a file")).expect("JSON");
    for time in baseline["times"].as_array_mut().expect("times") {
        for ms in time["rounds_ms"].as_array_mut().expect("rounds") {
            *ms = (1e5 * ms.as_f64().expect("ms")).into();
        }
    }
    std::fs::write(&slower, baseline.to_string()).expect("a file");
    let rows = bench(&["--json", "--baseline", text(&slower)]).good().rows();
    for row in &rows {
        let compared = &row["baseline"];
        assert!(compared["ratio"].as_f64() < Some(0.5) && compared["beyond_noise"] == true, "{row}");
        assert!(compared["low"].as_f64() <= compared["ratio"].as_f64() && compared["p"].as_f64() < Some(0.01), "{row}");
    }
    let told = bench(&["--baseline", text(&slower)]).good().out;
    assert_eq!(told.matches("faster").count(), 3, "{told}");
    let other = on_cpu(&["bench", "copy", "--shape", "x=64", "--baseline", text(&kept)]).good().out;
    assert!(other.contains("not in the baseline"), "{other}");
    bench(&["--variant", "fast"]).bad(&["\"fast\"", "cpu"]);
    bench(&["--baseline", text(&place.path("none.json"))]).bad(&["none.json"]);
    bench(&["--baseline", text(&place.file("wrong.json", b"[]"))]).bad(&["wrong.json"]);
    on_cpu(&["bench", "conv2d", "--shape", "x=2,3,9 w=4,3,3,3"]).bad(&["x=2,3,9", "images,channels,height,width"]);
    on_cpu(&["bench", "conv", "--shape", shape]).bad(&["one kernel"]);
    on_cpu(&["bench", "--save", "x.json", "roof"]).bad(&["--save"]);
}

#[test]
fn variants_of_ones_own_shape_are_checked_on_the_device() {
    let args = ["bench", "matmul", "--shape", "a=33,20 b=20,18 bias=true", "--json"];
    let all = limn_on_device(&args).good().rows();
    let variant = all[0]["variant"].as_str().expect("a variant");
    let one = limn_on_device(&[&args[..], &["--variant", variant]].concat()).good().rows();
    assert!(!one.is_empty() && one.iter().all(|row| row["variant"] == variant), "{one:?}");
    let forward: Vec<_> = all.iter().filter(|row| row["direction"] == "forward").collect();
    assert_eq!(one.iter().filter(|row| row["direction"] == "forward").count(), 1);
    assert!(forward.len() >= one.iter().filter(|row| row["direction"] == "forward").count());
}

/// What a page has embedded, once it is sure that it needs nothing else.
fn page(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).expect("a page");
    let free = text.replace("http://www.w3.org/2000/svg", "");
    ["http:", "https:", "src=", "@import", "url("].iter().for_each(|word| assert!(!free.contains(word), "{word}"));
    let data = text.split("id=\"facts\">").nth(1).and_then(|rest| rest.split("</script>").next()).expect("data");
    serde_json::from_str(data).expect("JSON")
}

/// A page as Chromium has made it, where there is a Chromium; with it what the console said.
fn drawn(path: &Path) -> Option<(String, String)> {
    let chromium = ["chromium", "chromium-browser", "google-chrome"].iter().find_map(|name| {
        let address = format!("file://{}", path.display());
        let args = ["--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--v=0"];
        let more = ["--virtual-time-budget=3000", "--dump-dom", &address];
        std::process::Command::new(name).args(args).args(more).output().ok()
    });
    let output = chromium.filter(|output| output.status.success())?;
    Some((String::from_utf8_lossy(&output.stdout).into(), String::from_utf8_lossy(&output.stderr).into()))
}

fn no_error_on_the_console(said: &str) {
    assert!(!said.contains("CONSOLE"), "{said}");
}

#[test]
fn a_page_of_checks_has_every_error_beside_its_bound() {
    let place = Place::new();
    let out = place.path("checks.html");
    let rows = on_cpu(&["check", "fill", "matmul", "--json", "--report", text(&out)]).good().rows();
    let data = page(&out);
    let shown = data["rows"].as_array().expect("rows");
    assert_eq!(shown.len(), rows.len());
    for (shown, row) in std::iter::zip(shown, &rows) {
        assert_eq!((&shown["kernel"], &shown["case"]), (&row["kernel"], &row["case"]));
        assert_eq!(shown["failure"], row["failure"]);
    }
    if let Some((dom, said)) = drawn(&out) {
        no_error_on_the_console(&said);
        assert_eq!(dom.matches("<tr").count(), rows.len().min(400) + 1);
        // Worst first.
        let first = dom.split("<tbody>").nth(1).and_then(|rest| rest.split("</tr>").next()).expect("a row");
        assert!(first.contains("matmul"), "{first}");
    }
    on_cpu(&["check", "fill", "--report", "checks.pdf"]).bad(&["checks.pdf", ".html"]);
}

#[test]
fn a_roofline_has_every_kernel_on_it_as_a_page_and_as_a_picture() {
    let place = Place::new();
    let [html, svg, png] = ["roof.html", "roof.svg", "roof.png"].map(|name| place.path(name));
    let rows = on_cpu(&["bench", "copy", "ramp", "reduce_sum", "--json", "--report", text(&html)]).good().rows();
    let data = page(&html);
    assert_eq!(data["rows"].as_array().expect("rows").len(), rows.len());
    assert!(data["ceilings"]["gflops"].as_f64() > Some(0.0) && data["ceilings"]["cached"].is_array());
    if let Some((dom, said)) = drawn(&html) {
        no_error_on_the_console(&said);
        assert_eq!(dom.matches("class=\"kernel\"").count(), rows.len());
        assert!(dom.matches("class=\"ceiling\"").count() >= 2);
    }
    let one = ["bench", "copy", "--shape", "x=4096", "--report"];
    on_cpu(&[&one[..], &[text(&svg)]].concat()).good();
    on_cpu(&[&one[..], &[text(&png)]].concat()).good();
    let drawn = std::fs::read_to_string(&svg).expect("an SVG");
    assert!(drawn.contains("<svg") && drawn.contains("GFLOP/s") && drawn.contains("copy"), "{drawn}");
    assert!(std::fs::read(&png).expect("a PNG").starts_with(b"\x89PNG"));
    on_cpu(&[&one[..], &["roof.bmp"]].concat()).bad(&["roof.bmp", ".svg"]);
}

#[test]
fn plan_tells_what_ranks_send_each_other() {
    let plan = |more: &[&str]| on_cpu(&[&["plan", "dcgan-28-small", "--batch", "8", "--ranks", "4"], more].concat());
    let of = |more: &[&str]| plan(&[&["--json"], more].concat()).good().rows()[0]["ranks"].clone();
    let (slow, fast) = (of(&["--network", "0.1", "--step-ms", "5"]), of(&["--network", "50", "--step-ms", "5"]));
    let number = |row: &serde_json::Value, key: &str| row[key].as_f64().unwrap_or_else(|| panic!("{key}: {row}"));
    let gradients =
        4.0 * on_cpu(&["plan", "dcgan-28-small", "--json"]).good().rows()[0]["parameters"].as_f64().unwrap();
    let sent = number(&slow, "sent_bytes");
    // Each network's gradients once and a half, and some statistics.
    assert!(sent > 1.5 * gradients && sent < 2.5 * gradients, "{sent} of {gradients}");
    assert_eq!(sent, number(&fast, "sent_bytes"));
    assert!(number(&fast, "efficiency") > number(&slow, "efficiency"), "{fast} {slow}");
    assert!(number(&slow, "efficiency") >= number(&slow, "efficiency_without_overlap"), "{slow}");
    let told = plan(&["--network", "10", "--step-ms", "5"]).good().out;
    for words in ["4 ranks, 2 images each, 10 GB/s", "mean_of_ranks", "efficiency"] {
        assert!(told.contains(words), "{words}: {told}");
    }
    limn(&["plan", "vae", "--ranks", "3", "--batch", "8", "--device", "cpu"]).bad(&["3"]);
    limn(&["plan", "vae", "--ranks", "0"]).bad(&["--ranks"]);
    limn(&["plan", "vae", "--ranks", "2", "--network", "-1"]).bad(&["above 0"]);
}
