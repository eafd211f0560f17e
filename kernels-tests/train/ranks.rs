//! Runs of several ranks, here threads of one process: losses are those of one rank.

use crate::support::runs::{bytes, losses, start};
use limn::graph::Shard;
use limn::program::{Device, Together};
use limn::ranks::{Threads, threads};
use limn::train::{Config, Hooks, Outcome, Resume, Setting, Start, StepSpec, TrainError, take_part, train};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

fn together(rank: Threads) -> Together {
    Arc::new(Mutex::new(rank))
}

/// A run of so many ranks on devices of this kind, and whether each of the others was stopped.
pub fn run_of<'a>(
    ranks: Vec<Threads>,
    start: Start,
    device: impl Fn() -> Device + Sync,
    stop: &'a [AtomicBool],
    first_hooks: Hooks<'a>,
) -> (Result<Outcome, TrainError>, Vec<Result<bool, String>>) {
    let hooks = |rank: usize| Hooks { stop: stop.get(rank).unwrap_or(&NEVER), ..Hooks::default() };
    let mut ranks = ranks.into_iter();
    let first = ranks.next().expect("a rank");
    std::thread::scope(|scope| {
        let device = &device;
        let others: Vec<_> = ranks
            .enumerate()
            .map(|(k, rank)| {
                scope.spawn(move || take_part(together(rank), device(), hooks(k + 1)).map_err(|e| e.to_string()))
            })
            .collect();
        let outcome =
            train(start, device(), Hooks { ranks: Some(together(first)), stop: hooks(0).stop, ..first_hooks });
        (outcome, others.into_iter().map(|thread| thread.join().expect("no panic")).collect())
    })
}

static NEVER: AtomicBool = AtomicBool::new(false);

/// A preset made small, for some steps.
pub fn config(preset: &str, steps: u64, set: &[&str]) -> Config {
    let mut config = Config::preset(preset).expect("a preset");
    let plain = ["train.log_every=100", "train.checkpoint_every=0", "train.eval_every=0", "train.views_every=0"];
    for setting in Setting::all(&[&plain, set].concat()).expect("settings") {
        config.set(setting).expect("a setting");
    }
    config.train.steps = Some(steps);
    config
}

/// The losses of all steps.
fn numbers(dir: &Path) -> Vec<f32> {
    let rows = losses(dir).split_off(1);
    rows.iter()
        .flat_map(|row| row.split(',').skip(2).map(|loss| loss.parse().expect("a loss")).collect::<Vec<f32>>())
        .collect()
}

/// Losses of a run of one rank and of one of several, and the largest relative difference between them.
fn apart(config: &Config, ranks: usize, device: impl Fn() -> Device + Sync) -> f32 {
    let dir = tempfile::tempdir().expect("a folder");
    let [one, many] = ["one", "many"].map(|name| dir.path().join(name));
    train(start(config, &one), device(), Hooks::default()).expect("a run of one rank");
    let (outcome, others) = run_of(threads(ranks), start(config, &many), device, &[], Hooks::default());
    outcome.expect("a run of several ranks");
    assert_eq!(others, vec![Ok(false); ranks - 1]);
    let [one, many] = [one, many].map(|run| numbers(&run));
    assert!(!one.is_empty() && one.len() == many.len());
    std::iter::zip(one, many).map(|(a, b)| (a - b).abs() / a.abs().max(1.0)).fold(0.0, f32::max)
}

/// Presets whose batches have statistics, several steps, penalties, norms, sums over a pass; with the
/// settings that make them small, and how far their losses may be apart by rounding.
const CASES: [(&str, u64, &[&str], f32); 9] = [
    ("vae", 6, &["model.hidden=32", "train.batch=16"], 1e-5),
    ("vae-iwae", 4, &["train.batch=8"], 1e-5),
    ("dcgan-28-small", 4, &["train.batch=16"], 2e-3),
    ("wgan-gp-small", 2, &["train.batch=8"], 2e-3),
    ("dragan-small", 2, &["train.batch=8"], 2e-3),
    ("biggan-small", 2, &["train.batch=8"], 2e-3),
    ("pixelcnn-small", 3, &["train.batch=8"], 1e-4),
    ("pixelcnn++-small", 2, &["train.batch=4"], 1e-3),
    ("gmm-small", 8, &["train.batch=64", "optim.batches=3"], 1e-4),
];

#[test]
fn losses_of_two_and_four_ranks_are_those_of_one() {
    for (preset, steps, set, most) in CASES {
        let config = config(preset, steps, set);
        for ranks in [2, 4] {
            let apart = apart(&config, ranks, || Device::Cpu);
            println!("{preset}, {ranks} ranks: {apart:.1e}");
            assert!(apart <= most, "{preset}, {ranks} ranks: {apart} of {most}");
        }
    }
}

#[test]
fn small_batches_add_up_to_a_large_one() {
    // Whose losses do not depend on statistics of a batch.
    let cases =
        [("vae", "model.hidden=32", 1e-5), ("gan", "model.hidden=32", 1e-4), ("pixelcnn-small", "model.width=8", 1e-4)];
    for (preset, set, most) in cases {
        let dir = tempfile::tempdir().expect("a folder");
        let [whole, parts, both] = ["whole", "parts", "both"].map(|name| dir.path().join(name));
        let of = |parts: &str| config(preset, 3, &["train.batch=16", set, parts]);
        train(start(&of("train.accumulate=1"), &whole), Device::Cpu, Hooks::default()).expect("a run");
        train(start(&of("train.accumulate=4"), &parts), Device::Cpu, Hooks::default()).expect("a run of small batches");
        run_of(threads(2), start(&of("train.accumulate=2"), &both), || Device::Cpu, &[], Hooks::default())
            .0
            .expect("both");
        for run in [&parts, &both] {
            let apart = std::iter::zip(numbers(&whole), numbers(run)).map(|(a, b)| (a - b).abs() / a.abs().max(1.0));
            let apart = apart.fold(0.0, f32::max);
            println!("{preset}: {apart:.1e}");
            assert!(apart <= most, "{preset}: {apart} of {most}");
        }
    }
}

#[test]
fn small_batches_take_less_memory_and_statistics_of_their_own() {
    let step = |preset: &str, parts: usize| {
        let config = Config::preset(preset).expect("a preset");
        let model = config.model.build().expect("a model");
        let shard = Shard { parts, ..Shard::WHOLE };
        let (optim, batch) = (config.optimizer(), 8 * config.train.batch);
        let step = StepSpec { model: model.as_ref(), optim: &optim, seed: 0, recompute: false, choices: None, shard };
        step.program(batch, None).expect("a step")
    };
    for preset in ["dcgan-28-small", "pixelcnn-small", "biggan-small", "wgan-gp-small"] {
        let [whole, parts] = [1, 8].map(|parts| step(preset, parts).totals().memory);
        println!("{preset}: {whole} bytes, in eight parts {parts}");
        assert!(10 * parts < 8 * whole, "{preset}: {parts} of {whole}");
    }
    let dir = tempfile::tempdir().expect("a folder");
    let config = config("dcgan-28-small", 3, &["train.batch=16", "train.accumulate=2"]);
    train(start(&config, &dir.path().join("run")), Device::Cpu, Hooks::default()).expect("a run");
}

#[test]
fn ranks_on_a_gpu_agree_too() {
    for (preset, set) in
        [("vae", &["model.hidden=32", "train.batch=16"]), ("dcgan-28-small", &["train.batch=8", "model.width=8"])]
    {
        let apart = apart(&config(preset, 3, set), 2, crate::support::gpu);
        assert!(apart <= 2e-3, "{preset}: {apart}");
    }
}

#[test]
fn ranks_repeat_themselves_bit_by_bit_and_go_on_in_other_numbers() {
    let dir = tempfile::tempdir().expect("a folder");
    let [one, other] = ["one", "other"].map(|name| dir.path().join(name));
    let small = config("dcgan-28-small", 3, &["train.batch=16", "model.width=8"]);
    for out in [&one, &other] {
        run_of(threads(4), start(&small, out), || Device::Cpu, &[], Hooks::default()).0.expect("a run");
    }
    assert!(bytes(&one) == bytes(&other));
    let resume = |dir: &Path| Start::Resume(Resume { dir: dir.into(), steps: Some(5), ..Resume::default() });
    let (outcome, others) = run_of(threads(2), resume(&one), || Device::Cpu, &[], Hooks::default());
    assert_eq!((outcome.expect("it goes on").step, others), (5, vec![Ok(false)]));
    let log = std::fs::read_to_string(one.join("log.txt")).expect("a log");
    assert!(log.contains("4 ranks, 4 images each"), "{log}");
    assert!(log.contains("taken in 4 ranks and now are in 2") && log.contains("may differ"), "{log}");
    train(
        Start::Resume(Resume { dir: other.clone(), steps: Some(5), ..Resume::default() }),
        Device::Cpu,
        Hooks::default(),
    )
    .expect("it goes on alone");
    let apart = std::iter::zip(numbers(&one), numbers(&other)).map(|(a, b)| (a - b).abs());
    assert!(apart.fold(0.0, f32::max) < 2e-3);
}

#[test]
fn all_stop_with_one_that_is_to_stop_and_hear_of_one_that_fails() {
    let dir = tempfile::tempdir().expect("a folder");
    let small = config("vae", 100_000, &["model.hidden=8", "train.batch=12"]);
    let stop = [AtomicBool::new(false), AtomicBool::new(false), AtomicBool::new(false)];
    let out = dir.path().join("run");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(std::time::Duration::from_millis(700));
            stop[2].store(true, Ordering::Relaxed);
        });
        let (outcome, others) = run_of(threads(4), start(&small, &out), || Device::Cpu, &stop, Hooks::default());
        let outcome = outcome.expect("a run that was stopped");
        assert!(outcome.interrupted());
        assert_eq!(others, vec![Ok(true); 3]);
    });
    // One of three that leaves before it begins.
    let mut ranks = threads(3);
    let lost = ranks.pop().expect("a rank");
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let mut lost = lost;
            limn::ranks::Ranks::leave(&mut lost, "its device is lost");
        });
        let (outcome, others) =
            run_of(ranks, start(&small, &dir.path().join("lost")), || Device::Cpu, &[], Hooks::default());
        let error = outcome.expect_err("one is lost").to_string();
        assert!(error.contains("rank 2 has ended: its device is lost"), "{error}");
        assert!(others[0].as_ref().expect_err("one is lost").contains("rank "), "{others:?}");
    });
}

#[test]
fn what_cannot_be_divided_is_refused_by_name() {
    let dir = tempfile::tempdir().expect("a folder");
    let refused = |preset: &str, set: &[&str], ranks: usize| {
        let (outcome, others) = run_of(
            threads(ranks),
            start(&config(preset, 2, set), &dir.path().join("run")),
            || Device::Cpu,
            &[],
            Hooks::default(),
        );
        assert!(others.iter().all(Result::is_err), "{others:?}");
        outcome.expect_err("a refusal").to_string()
    };
    let error = refused("vae", &["train.batch=10"], 4);
    assert!(error.contains("a batch of 10 cannot be divided into 4 equal shares"), "{error}");
    let error = refused("progan-small", &[], 2);
    assert!(error.contains("minibatch_stddev") && error.contains("whole batch"), "{error}");
    assert!(!dir.path().join("run").exists());
}
