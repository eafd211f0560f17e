//! Replaying programs: names, lengths, counters, records, states that programs share.

use crate::support::{Rig, Tensors, assert_same_bits, gpu, graph, normals, planned};
use limn::graph::{GraphError, gradients};
use limn::kernels::Caps;
use limn::kernels::optimisers::schedule::Schedule;
use limn::kernels::optimisers::{adam::AdamRule, rmsprop::RmspropRule, sgd::SgdRule};
use limn::ops::Average;
use limn::program::{Device, DeviceError, Options, Pending, Purpose, Runner, Source, Store};
use std::collections::VecDeque;
use std::time::Duration;

fn devices() -> [Device; 2] {
    [Device::Reference, gpu()]
}

fn product() -> Source {
    let g = graph();
    let (x, w) = (g.input("x", &[2, 3]), g.state("w", 12, 0, &[3, 4]));
    let _ = g.input("unused", &[7]);
    g.output("y", &x.matmul(&w));
    g.finish().expect("a graph")
}

fn values() -> Tensors {
    Tensors::from([("x".into(), normals(1, 6)), ("w".into(), normals(2, 12))])
}

#[test]
fn names_a_program_does_not_know_are_refused() {
    for device in devices() {
        let rig = Rig::on(&product(), &device, &values());
        let refused = |error: Result<(), DeviceError>, words: &str| {
            assert_eq!(error.expect_err("a name nobody knows").to_string(), words);
        };
        refused(rig.runner.write("z", &[0.0]), "the program has no input called \"z\"");
        refused(rig.runner.read("z").map(|_| ()), "the program has no output called \"z\"");
        refused(rig.store.read("z").map(|_| ()), "the program has no state called \"z\"");
    }
}

#[test]
fn data_of_the_wrong_length_is_refused_and_changes_nothing() {
    for device in devices() {
        let mut rig = Rig::on(&product(), &device, &values());
        let before = rig.outputs();
        for len in [0, 5, 7] {
            let error = rig.runner.write("x", &vec![9.0; len]).expect_err("the wrong length");
            assert_eq!(error.to_string(), format!("\"x\" takes 6 elements and was given {len}"));
            let error = rig.store.write("w", &vec![9.0; len]).expect_err("the wrong length");
            assert_eq!(error.to_string(), format!("\"w\" takes 12 elements and was given {len}"));
        }
        assert_same_bits(&rig.outputs(), &before, "after refusals");
    }
}

#[test]
fn a_state_of_another_size_is_refused() {
    let mut store = Store::new(Device::Reference);
    store.write("w", &[0.0; 11]).expect("a new state");
    let program = planned(&product(), &Options::new(None));
    let error = Runner::new(program, &mut store).err().expect("a state of another size");
    assert!(matches!(error, DeviceError::Length { needs: 11, has: 12, .. }), "{error}");
}

#[test]
fn inputs_and_outputs_go_by_name() {
    for device in devices() {
        let g = graph();
        let (a, b) = (g.input("a", &[3]), g.input("b", &[3]));
        g.output("difference", &(&a - &b));
        g.output("b again", &b);
        let given = Tensors::from([("a".into(), vec![5.0, 6.0, 7.0]), ("b".into(), vec![1.0, 1.5, 2.0])]);
        let mut rig = Rig::on(&g.finish().expect("a graph"), &device, &given);
        assert_eq!(rig.outputs()["difference"], [4.0, 4.5, 5.0]);
        rig.runner.write("a", &[0.0; 3]).expect("three elements");
        let got = rig.outputs();
        assert_eq!((&got["difference"][..], &got["b again"][..]), (&[-1.0, -1.5, -2.0][..], &[1.0, 1.5, 2.0][..]));
    }
}

#[test]
fn inputs_of_one_name_are_one_input() {
    let g = graph();
    let sum = &g.input("x", &[3]) + &g.input("x", &[3]);
    g.output("y", &sum);
    let given = Tensors::from([("x".into(), vec![1.0, 2.0, 3.0])]);
    assert_eq!(Rig::on(&g.finish().expect("a graph"), &Device::Reference, &given).outputs()["y"], [2.0, 4.0, 6.0]);
    g.input("x", &[4]);
    assert!(matches!(g.finish(), Err(GraphError::Shape { op: "input", .. })));
}

#[test]
fn two_runs_agree_in_every_bit() {
    for device in devices() {
        let mut rig = Rig::on(&product(), &device, &values());
        let first = rig.outputs();
        assert_same_bits(&rig.outputs(), &first, "the second run");
        assert!(first["y"].iter().all(|v| *v != 0.0));
    }
}

/// Noise, its running mean, and a record of the last steps in a ring of four rows.
fn counting() -> Source {
    let g = graph();
    let noise = g.normal(&[8]);
    let history = g.state("history", 8, 0, &[4, 2]);
    g.record(&[noise.sum(), noise.square().sum()], &history);
    g.output("noise", &noise);
    g.advance(&g.clock());
    g.finish().expect("a graph")
}

#[test]
fn the_clock_advances_and_each_step_draws_anew() {
    for device in devices() {
        let mut rig = Rig::on(&counting(), &device, &Tensors::from([("clock".into(), vec![f32::from_bits(5)])]));
        let draws: Vec<Vec<f32>> = (0..3).map(|_| rig.outputs().remove("noise").expect("noise")).collect();
        assert!(draws[0] != draws[1] && draws[1] != draws[2]);
        assert_eq!(rig.store.read("clock").expect("the clock")[0].to_bits(), 8);
        // A run resumed at step 6 draws what step 6 drew.
        rig.store.write("clock", &[f32::from_bits(6)]).expect("one word");
        assert_eq!(rig.outputs()["noise"], draws[1]);
    }
}

#[test]
fn records_go_round_a_ring_of_rows() {
    for device in devices() {
        let mut rig = Rig::on(&counting(), &device, &Tensors::from([("clock".into(), vec![f32::from_bits(3)])]));
        let mut want = vec![0.0; 8];
        for step in 3..9 {
            let noise = rig.outputs().remove("noise").expect("noise");
            let sums = [noise.iter().sum::<f32>(), noise.iter().map(|v| v * v).sum()];
            want[step % 4 * 2..][..2].copy_from_slice(&sums);
            let got = rig.store.read("history").expect("the history");
            for (g, w) in std::iter::zip(&got, &want) {
                assert!((g - w).abs() <= 1e-5, "step {step}: {got:?} and should be {want:?}");
            }
        }
    }
}

#[test]
fn programs_share_states_by_name() {
    for device in devices() {
        let moving = || {
            let g = graph();
            g.ema(&g.input("x", &[3]), &g.state("s", 128, 64, &[3]), 1.0, 1.0);
            g.finish().expect("a graph")
        };
        let reading = || {
            let g = graph();
            g.output("y", &g.state("s", 128, 64, &[3]).mul_scalar(2.0));
            g.finish().expect("a graph")
        };
        let mut rig = Rig::on(&moving(), &device, &Tensors::from([("x".into(), vec![1.0, 2.0, 3.0])]));
        let program = planned(&reading(), &Options::new(device.caps()));
        let mut reader = Runner::new(program, &mut rig.store).expect("a runner");
        for _ in 0..2 {
            rig.runner.run().expect("a run");
            reader.run().expect("a run");
        }
        assert_eq!(reader.read("y").expect("y"), [2.0, 4.0, 6.0]);
        assert_eq!(rig.store.names().collect::<Vec<_>>(), ["s"]);
        assert_eq!(rig.store.read("s").expect("s")[..67].iter().sum::<f32>(), 6.0);
    }
}

#[test]
fn states_larger_than_a_binding_are_updated_in_pieces() {
    const LEN: usize = 1000;
    let g = graph();
    let state = |name: &str| g.state(name, LEN, 0, &[LEN]);
    let gradient = g.input("g", &[LEN]);
    let average = Average { state: state("average"), rate: 0.25, warms_up: false };
    let adam = AdamRule { lr: 0.1, decay: 1.0, beta1: 0.5, beta2: 0.75, eps: 0.01 };
    g.descend(
        (&adam, &Schedule::default()),
        [&gradient, &g.clock(), &state("p")],
        &["m", "v"].map(state),
        Some(&average),
    );
    let rmsprop = RmspropRule { lr: 0.1, decay: 1.0, alpha: 0.75, eps: 0.01, momentum: 0.5, centered: true };
    g.descend(
        (&rmsprop, &Schedule::default()),
        [&gradient, &g.clock(), &state("q")],
        &["a", "b", "c"].map(state),
        None,
    );
    let sgd = SgdRule { lr: 0.1, ..SgdRule::default() };
    g.descend((&sgd, &Schedule::default()), [&gradient, &g.clock(), &state("r")], &[state("velocity")], None);
    g.clip(&state("r"), 0.5);
    g.ema(&gradient, &state("mean"), 0.5, 1.0);
    g.assign(&gradient, &state("last"));
    let source = g.finish().expect("a graph");
    let caps = gpu().caps().expect("a GPU's");
    let run = |caps: Caps| {
        let program = planned(&source, &Options::new(Some(caps)));
        let launches = program.launches.len();
        let mut store = Store::new(gpu());
        for (k, name) in
            ["average", "p", "m", "v", "q", "a", "b", "c", "r", "velocity", "mean", "last"].iter().enumerate()
        {
            let values: Vec<f32> = normals(10 + k as u32, LEN).iter().map(|v| v.abs() + 1.0).collect();
            store.write(name, &values).expect("a state");
        }
        let mut runner = Runner::new(program, &mut store).expect("a runner");
        runner.write("g", &normals(1, LEN)).expect("a gradient");
        runner.run().expect("a run");
        let read = |name: &str| (name.to_string(), store.read(name).expect("a state"));
        (launches, store.names().map(read).collect::<Tensors>())
    };
    let (whole, want) = run(caps);
    // 320 elements each, and 40.
    let (pieces, got) = run(Caps { max_binding_bytes: 4 * 330, ..caps });
    assert_eq!((whole, pieces), (6, 24));
    assert_same_bits(&got, &want, "in pieces");
}

#[test]
fn an_output_may_be_an_updated_state() {
    for device in devices() {
        let g = graph();
        let s = g.state("s", 3, 0, &[3]);
        g.ema(&g.input("x", &[3]), &s, 0.5, 1.0);
        g.output("s", &s);
        let given = Tensors::from([("x".into(), vec![4.0, 8.0, 12.0])]);
        let mut rig = Rig::on(&g.finish().expect("a graph"), &device, &given);
        assert_eq!(rig.outputs()["s"], [2.0, 4.0, 6.0]);
        assert_eq!(rig.outputs()["s"], [3.0, 6.0, 9.0]);
    }
}

#[test]
fn many_runs_may_be_on_their_way() {
    for device in devices() {
        let mut rig = Rig::on(&counting(), &device, &Tensors::new());
        (0..50).for_each(|_| rig.runner.run().expect("a run"));
        rig.runner.wait().expect("the end");
        assert_eq!(rig.store.read("clock").expect("the clock")[0].to_bits(), 50);
    }
}

/// Noise that weights learn to make nothing of, and the losses of the last steps.
fn learning() -> Source {
    let g = graph();
    let (w, history) = (g.state("w", 6, 0, &[3, 2]), g.state("history", 8, 0, &[8, 1]));
    let x = g.normal(&[32, 3]);
    let loss = x.matmul(&w).square().sum();
    let gradient = gradients(&loss, std::slice::from_ref(&w)).remove(0).expect("a gradient");
    let sgd = SgdRule { momentum: 0.0, ..SgdRule::default() };
    g.descend((&sgd, &Schedule::default()), [&gradient, &g.clock(), &w], &[g.state("v", 6, 0, &[6])], None);
    g.record(std::slice::from_ref(&loss), &history);
    g.output("loss", &loss);
    g.advance(&g.clock());
    g.finish().expect("a graph")
}

#[test]
fn a_run_in_many_submissions_gives_the_same_bits() {
    let given = Tensors::from([("w".into(), vec![1.0, -1.0, 0.5, 2.0, -0.25, 1.0])]);
    let run = |most: Option<Duration>| {
        let mut rig = Rig::on(&learning(), &gpu(), &given);
        let launches = rig.runner.program().launches.len();
        most.into_iter().for_each(|most| rig.runner.limit_submissions(most));
        let (mut submissions, mut all) = (Vec::new(), Vec::new());
        for _ in 0..8 {
            submissions.push(rig.runner.submissions());
            all.push(rig.outputs());
        }
        all.push(rig.after(3));
        (launches, submissions, all)
    };
    let (launches, whole, want) = run(None);
    let alone = run(Some(Duration::ZERO));
    assert!(launches > 4);
    assert_eq!((&whole, &alone.1), (&vec![1; 8], &vec![launches; 8]));
    // Guesses first, then measured times: however those fall, nothing else changes.
    let most = [Duration::from_micros(100), Duration::from_micros(400), Duration::from_secs(60)];
    let cut = most.map(|most| run(Some(most)));
    assert!(cut[0].1[0] > 1 && cut[2].1 == [1; 8], "{:?} {:?}", cut[0].1, cut[2].1);
    for (_, submissions, got) in [alone].iter().chain(&cut) {
        for (step, (got, want)) in std::iter::zip(got, &want).enumerate() {
            assert_same_bits(got, want, &format!("run {step} in {submissions:?}"));
        }
    }
}

#[test]
fn what_is_fed_arrives_before_the_first_of_many_submissions() {
    for cut in [false, true] {
        let g = graph();
        let average = g.state("mean", 3, 0, &[3]);
        let x = g.input("x", &[3]);
        g.output("doubled", &x.mul_scalar(2.0));
        g.ema(&x, &average, 0.5, 1.0);
        g.advance(&g.clock());
        let given = Tensors::from([("x".into(), vec![0.0; 3])]);
        let mut rig = Rig::on(&g.finish().expect("a graph"), &gpu(), &given);
        if cut {
            rig.runner.limit_submissions(Duration::ZERO);
            assert_eq!(rig.runner.submissions(), rig.runner.program().launches.len());
        }
        let feed = rig.runner.feed("x").expect("an input");
        let mut mean = 0.0;
        for step in 1..12 {
            let mut upload = feed.next().expect("room");
            let bytes: Vec<u8> = [step as f32; 3].iter().flat_map(|v| v.to_le_bytes()).collect();
            upload.fill(&bytes).expect("three words");
            rig.runner.run_with(upload).expect("a run");
            mean += 0.5 * (step as f32 - mean);
            if step % 4 == 0 {
                assert_eq!(rig.runner.read("doubled").expect("an output"), [2.0 * step as f32; 3]);
            }
        }
        assert_eq!(rig.store.read("mean").expect("a state"), [mean; 3]);
    }
}

#[test]
fn profiles_time_every_launch_of_one_run() {
    for (device, cut) in devices().into_iter().flat_map(|device| [(device.clone(), false), (device, true)]) {
        let mut rig = Rig::on(&counting(), &device, &Tensors::new());
        if cut {
            rig.runner.limit_submissions(Duration::ZERO);
        }
        let (times, _) = rig.runner.profile().expect("a profile");
        assert_eq!(times.len(), rig.runner.program().launches.len());
        assert!(times.iter().all(|t| *t >= 0.0) && times.iter().sum::<f64>() > 0.0);
        assert_eq!(rig.store.read("clock").expect("the clock")[0].to_bits(), 1);
    }
}

#[test]
fn listings_name_every_launch_and_buffer() {
    let program = planned(&counting(), &Options::new(None));
    let listing = program.listing();
    assert_eq!(listing.lines().count(), program.launches.len() + program.buffers.len());
    for launch in &program.launches {
        assert!(listing.contains(&launch.kernel.label()), "{listing}");
    }
    for buffer in &program.buffers {
        if let Purpose::State(name) = &buffer.purpose {
            assert!(listing.contains(&format!("state {name}")), "{listing}");
        }
    }
    let flops: u64 = program.launches.iter().map(|l| l.kernel.flops()).sum();
    assert_eq!(program.totals().flops, flops);
}

#[test]
fn a_ring_reads_in_order_and_makes_no_more_buffers_than_are_on_their_way() {
    let g = graph();
    g.advance(&g.clock());
    let source = g.finish().expect("a graph");
    for device in [Device::Reference, Device::Cpu, gpu()] {
        let mut rig = Rig::on(&source, &device, &Tensors::new());
        let mut ring = rig.store.ring("clock").expect("a state");
        let mut under_way = VecDeque::new();
        let mut seen = Vec::new();
        for _ in 0..20 {
            rig.runner.run().expect("a run");
            if under_way.len() == 3 {
                let oldest: Pending = under_way.pop_front().expect("three");
                seen.push(oldest.take().expect("a copy")[0].to_bits());
            }
            under_way.push_back(ring.start_read());
        }
        assert_eq!(seen, (1..=17).collect::<Vec<u32>>());
        let most = if device.gpu().is_some() { 3 } else { 0 };
        assert_eq!(ring.made(), most, "{}", device.name());
        // Those that are thrown away unread are lost to the ring, and others take their place.
        let rest = under_way.pop_back().expect("a copy");
        under_way.clear();
        assert_eq!(rest.take().expect("a copy")[0].to_bits(), 20);
        for want in [20, 20] {
            let copy = ring.start_read();
            let got = loop {
                if let Some(got) = copy.try_take().expect("a copy") {
                    break got;
                }
            };
            assert_eq!(got[0].to_bits(), want);
        }
        assert_eq!(ring.made(), most);
        assert!(rig.store.ring("time").is_err());
    }
}
