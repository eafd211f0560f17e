//! Figures and samples that ranks share the making of, here threads of one process: those of one rank.

use crate::ranks::{config, run_of};
use crate::support::runs::start;
use limn::eval::{Asked, Drawn, How, Sample, evaluate};
use limn::program::Device;
use limn::ranks::{Ranks, Threads, threads};
use limn::sample::{self, Drawing};
use limn::train::{Hooks, Session, train};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A session of a preset that has not been trained, with statistics that are none of zeros.
fn session(preset: &str, set: &[&str], device: Device) -> Session {
    let config = config(preset, 1, set);
    Session::new(&config.model, &config.optimizer(), 3, device).expect("a session")
}

/// What each of some ranks makes of a session; of one by itself where there are none.
fn each<T: Send>(
    ranks: usize,
    device: impl Fn() -> Device + Sync,
    [preset, set]: [&str; 2],
    make: impl Fn(&mut Session) -> T + Sync,
) -> Vec<T> {
    let one = |rank: Option<Threads>| {
        let mut session = session(preset, &[set], device());
        session.share_work(rank.map(|rank| Arc::new(Mutex::new(rank)) as _));
        make(&mut session)
    };
    if ranks == 1 {
        return vec![one(None)];
    }
    std::thread::scope(|scope| {
        let one = &one;
        let all: Vec<_> = threads(ranks).into_iter().map(|rank| scope.spawn(move || one(Some(rank)))).collect();
        all.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    })
}

fn same<T: PartialEq + Send>(
    device: impl Fn() -> Device + Sync,
    preset: [&str; 2],
    what: &str,
    make: impl Fn(&mut Session) -> T + Sync,
) {
    let one = each(1, &device, preset, &make).remove(0);
    for ranks in [2, 3] {
        for (rank, made) in each(ranks, &device, preset, &make).into_iter().enumerate() {
            assert!(made == one, "{what} of {} are others on rank {rank} of {ranks}", preset[0]);
        }
    }
}

/// Models of every family, of which some have classes.
const MODELS: [[&str; 2]; 6] = [
    ["vae", "model.hidden=8"],
    ["vae-conditional", "model.hidden=8"],
    ["dcgan-28-small", "model.width=4"],
    ["gmm-small", "optim.batches=3"],
    ["pixelcnn-small", "model.hidden=2"],
    ["pixelcnn-gated-conditional-small", "model.hidden=2"],
];

fn drawn(session: &mut Session, n: usize) -> Vec<u32> {
    let images = sample::samples(session, n, None, 5, Drawing::Cached).expect("samples");
    images.iter().map(|v| v.to_bits()).collect()
}

#[test]
fn samples_of_several_ranks_are_those_of_one() {
    for preset in MODELS {
        // Chunks and parts of them.
        same(|| Device::Cpu, preset, "samples", |session| drawn(session, 150));
    }
    same(
        || Device::Cpu,
        ["pixelcnn-small", "model.hidden=2"],
        "samples drawn the slow way",
        |session| sample::samples(session, 3, None, 5, Drawing::Naive).expect("samples"),
    );
}

#[test]
fn so_they_are_on_a_gpu() {
    for preset in [["vae", "model.hidden=8"], ["pixelcnn-small", "model.hidden=2"]] {
        same(crate::support::gpu, preset, "samples", |session| drawn(session, 70));
    }
}

#[test]
fn figures_of_several_ranks_are_those_of_one() {
    let data = limn::data::open("fashion-mini", None, &limn::data::Options::default()).expect("images");
    let figures = |metric: &'static str, batch: usize| {
        let data = &data;
        move |session: &mut Session| {
            let sample = Sample { data: &data.name, test: &data.test, count: 70 };
            let figures = match Asked::named(metric, session).expect("a metric") {
                Asked::Of(measure) => evaluate(session, &sample, measure, batch),
                Asked::By(named) => {
                    let drawing = Drawing::Cached;
                    let drawn = Drawn { data, images: 20, samples: 600, seed: 1, drawing };
                    match named.how {
                        How::Samples(measure) => measure(session, &drawn),
                        _ => panic!("{metric} is not by samples"),
                    }
                }
            };
            figures.expect("figures").iter().map(|f| (f.name.clone(), f.value.to_bits())).collect::<Vec<_>>()
        }
    };
    let vae = ["vae", "model.hidden=8"];
    for (preset, metric) in [(vae, "elbo"), (vae, "iwae-70"), (vae, "parzen"), (MODELS[4], "nll"), (MODELS[3], "nll")] {
        same(|| Device::Cpu, preset, metric, figures(metric, 16));
    }
}

/// A run of so many ranks that measures and draws on its way: its figures, its pictures, and how often
/// each rank was asked for them.
fn run(ranks: usize, able: usize, dir: &Path) -> (String, Vec<u8>, usize) {
    let config = config(
        "vae",
        4,
        &["model.hidden=8", "train.batch=12", "train.eval_every=2", "train.sample_every=2", "train.samples=100"],
    );
    let asked = AtomicUsize::new(0);
    let evaluate = |session: &mut Session, test: &limn::data::Split, data: &str, count: usize| {
        asked.fetch_add(1, Ordering::Relaxed);
        let sample = Sample { data, test, count };
        Ok(limn::eval::followed(session, &sample, 8)?)
    };
    let draw = |session: &mut Session, n: usize, path: &Path| {
        Ok(Some(sample::picture(session, n, None, 1, Drawing::Cached, path)?))
    };
    let with = |rank: usize, hooks: &mut dyn FnMut(Hooks)| {
        let (mut evaluate, mut draw) = (evaluate, draw);
        let is_able = rank < able;
        hooks(Hooks {
            evaluate: is_able.then_some(&mut evaluate as _),
            sampler: is_able.then_some(&mut draw as _),
            ..Hooks::default()
        });
    };
    let mut ranks = threads(ranks).into_iter();
    let first: limn::program::Together = Arc::new(Mutex::new(ranks.next().expect("a rank")));
    std::thread::scope(|scope| {
        let with = &with;
        let others: Vec<_> = ranks
            .map(|rank| {
                scope.spawn(move || {
                    let number = rank.rank();
                    let mut rank = Some(rank);
                    with(number, &mut |hooks| {
                        let rank = Arc::new(Mutex::new(rank.take().expect("once")));
                        limn::train::take_part(rank, Device::Cpu, hooks).expect("a part");
                    });
                })
            })
            .collect();
        let many = !others.is_empty();
        with(0, &mut |hooks| {
            let ranks = many.then(|| first.clone());
            train(start(&config, dir), Device::Cpu, Hooks { ranks, ..hooks }).expect("a run");
        });
        others.into_iter().for_each(|other| other.join().expect("no panic"));
    });
    let tests = std::fs::read_to_string(dir.join("tests.csv")).expect("figures");
    // Seconds differ.
    let figures = tests.lines().map(|line| {
        line.split(',').enumerate().filter(|(k, _)| *k != 1).map(|(_, cell)| cell.to_string() + ",").collect::<String>()
    });
    let picture = std::fs::read(dir.join("samples").join("step-4.png")).expect("a picture");
    (figures.collect::<Vec<_>>().join("\n"), picture, asked.into_inner())
}

#[test]
fn ranks_measure_and_draw_together_on_the_way_where_all_can() {
    let dir = tempfile::tempdir().expect("a folder");
    let (figures, _, asked) = run(1, 1, &dir.path().join("one"));
    assert_eq!(asked, 2);
    // Three ranks that all know how, and of which only the first does.
    let (shared, picture, asked) = run(3, 3, &dir.path().join("shared"));
    assert_eq!(asked, 6);
    let (alone, own, asked) = run(3, 1, &dir.path().join("alone"));
    assert_eq!(asked, 2);
    // Whoever makes them, they are of the same parameters.
    assert!(shared == alone && picture == own, "{shared}\n{alone}");
    let numbers = |text: &str| text.split([',', '\n']).filter_map(|cell| cell.parse::<f64>().ok()).collect::<Vec<_>>();
    let (one, shared) = (numbers(&figures), numbers(&shared));
    assert_eq!(one.len(), shared.len());
    assert!(std::iter::zip(one, shared).all(|(a, b)| (a - b).abs() <= 1e-4 * a.abs().max(1.0)));
    assert!(!Path::new("reconstructions.png").exists(), "other ranks write nothing");
}

#[test]
fn a_pause_may_be_longer_than_ranks_are_patient() {
    let dir = tempfile::tempdir().expect("a folder");
    let config = config("vae", 4, &["model.hidden=8", "train.batch=12", "train.sample_every=2"]);
    let patience = Duration::from_millis(300);
    let ranks = threads(2).into_iter().map(|rank| rank.patient(patience)).collect();
    let mut drawn = 0;
    let mut slow = |_: &mut Session, _: usize, _: &Path| {
        drawn += 1;
        std::thread::sleep(4 * patience);
        Ok(None)
    };
    let hooks = Hooks { sampler: Some(&mut slow), ..Hooks::default() };
    let (outcome, others) = run_of(ranks, start(&config, &dir.path().join("run")), || Device::Cpu, &[], hooks);
    assert_eq!(outcome.expect("a run").step, 4);
    assert_eq!((others, drawn), (vec![Ok(false)], 2));
}
