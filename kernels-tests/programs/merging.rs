//! Small launches that become one: running averages that follow each other, what is made of bytes, and the end of a step.

use crate::support::{assert_all_close, assert_same_under_every_plan, gpu, graph, launches, planned, random_values};
use limn::graph::{Graph, Var};
use limn::program::{Device, Options, Program, Source};

const MERGED: Options = Options { caps: None, choices: None, fuse: true, reuse: true };

/// Holds the launches against `want`, and what they make against what plans without merging make, twice.
fn assert_merges(g: &Graph, want: &[&str]) -> Program {
    let source: Source = g.finish().expect("a graph");
    let (values, program) = (random_values(&source), planned(&source, &MERGED));
    let labels: Vec<_> =
        program.launches.iter().map(|l| format!("{} {}", l.kernel.signature().name, l.kernel.label())).collect();
    assert_eq!(labels, want);
    let reference = assert_same_under_every_plan(&source, &values, &Device::Reference, 2);
    for device in [Device::Cpu, gpu()] {
        assert_all_close(&assert_same_under_every_plan(&source, &values, &device, 2), &reference, 2e-6);
    }
    program
}

/// A value of the program, so that an average of it may wait.
fn value(g: &Graph, name: &str, shape: &[usize]) -> Var {
    g.input(name, shape).tanh()
}

#[test]
fn averages_of_the_same_ranges_follow_each_other_in_one_launch() {
    let g = graph();
    let (a, b) = (g.state("s", 128, 0, &[64]), g.state("s", 128, 64, &[5]));
    // Two new values of each element, then one, then one.
    for (pass, rounds) in [2, 1, 1].into_iter().enumerate() {
        for (name, state, scale) in [("a", &a, 1.0), ("b", &b, 1.25)] {
            let shape = if rounds == 1 { vec![state.len()] } else { vec![state.len(), rounds] };
            g.ema(&value(&g, &format!("{name}{pass}"), &shape), state, 0.3, scale);
        }
    }
    let chains = ["pointwise y[128] tanh of full", "pointwise y[10] tanh of full"];
    let single = ["pointwise y[64] tanh of full", "pointwise y[5] tanh of full"];
    assert_merges(&g, &[&chains[..], &single, &single, &["ema s[69] rate 0.3 ranges 2 rounds 2+1+1"]].concat());
}

#[test]
fn averages_of_other_ranges_or_rates_stay_apart_and_in_order() {
    let g = graph();
    let (a, b) = (g.state("s", 128, 0, &[64]), g.state("s", 128, 64, &[64]));
    for (name, state, rate) in [("v0", &a, 0.5), ("v1", &b, 0.5), ("v2", &a, 0.5), ("v3", &a, 0.25)] {
        g.ema(&value(&g, name, &[64]), state, rate, 1.0);
    }
    let tanh = "pointwise y[64] tanh of full";
    let averages = ["ema s[128] rate 0.5 ranges 2", "ema s[64] rate 0.5", "ema s[64] rate 0.25"];
    assert_merges(&g, &[tanh, tanh, averages[0], tanh, averages[1], tanh, averages[2]]);
}

#[test]
fn an_average_that_somebody_reads_is_there_by_then() {
    let g = graph();
    let s = g.state("s", 4, 0, &[4]);
    g.ema(&value(&g, "p", &[4]), &s, 0.5, 1.0);
    g.output("between", &s.mul_scalar(2.0));
    g.ema(&value(&g, "q", &[4]), &s, 0.5, 1.0);
    let (tanh, ema) = ("pointwise y[4] tanh of full", "ema s[4] rate 0.5");
    assert_merges(&g, &[tanh, ema, "pointwise y[4] mul_const of full", tanh, ema]);
}

#[test]
fn bytes_are_scaled_as_they_are_decoded_where_that_rounds_nothing() {
    let decoded = |scale: f32, shift: f32| {
        let g = graph();
        let words = g.input("words", &[5]);
        g.output("y", &g.decode_u8(&words, &[2, 9], 1.0, 0.0).reshape(&[18]).mul_scalar(scale).add_scalar(shift));
        g
    };
    assert_merges(&decoded(2.0, -1.0), &["decode_u8 y[18]"]);
    assert_merges(&decoded(0.5, 0.3), &["decode_u8 y[18]"]);
    assert_merges(&decoded(0.7, -1.0), &["decode_u8 y[18]", "pointwise y[18] mul_const.add_const of full"]);
    // Added first, or wanted as it was.
    let g = graph();
    let y = g.decode_u8(&g.input("words", &[1]), &[4], 1.0, 0.0);
    g.output("y", &y.add_scalar(1.0).mul_scalar(2.0));
    assert_merges(&g, &["decode_u8 y[4]", "pointwise y[4] mul_const of full"]);
    let g = graph();
    let y = g.decode_u8(&g.input("words", &[1]), &[4], 1.0, 0.0);
    g.output("y", &y.mul_scalar(2.0));
    g.output("x", &y);
    assert_merges(&g, &["decode_u8 y[4]", "pointwise y[4] mul_const of full"]);
}

#[test]
fn what_records_the_losses_advances_the_counters() {
    let recorded = |losses: usize, counters: &[&str]| {
        let g = graph();
        let losses: Vec<Var> = (0..losses).map(|k| g.input(&format!("v{k}"), &[1])).collect();
        g.record(&losses, &g.state("history", 4 * losses.len(), 0, &[4, losses.len()]));
        counters.iter().for_each(|name| g.advance(&g.state(name, 1, 0, &[1])));
        g.advance(&g.clock());
        g
    };
    assert_merges(&recorded(2, &[]), &["record history[4,2] values 2 from 0 counters 1"]);
    assert_merges(&recorded(3, &["updates"]), &["record history[4,3] values 3 from 0 counters 2"]);
    // There are no more than eight bindings.
    assert_merges(&recorded(4, &[]), &["record history[4,4] values 4 from 0", "advance counters 1"]);
    // Without the clock among those that advance.
    let g = graph();
    g.record(&[g.input("v", &[1])], &g.state("history", 4, 0, &[4, 1]));
    g.advance(&g.state("updates", 1, 0, &[1]));
    let source = g.finish().expect("a graph");
    assert_eq!(launches(&source, &MERGED), ["record", "advance"]);
}
