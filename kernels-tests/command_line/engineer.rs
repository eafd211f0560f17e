//! What somebody who writes kernels asks for: plans, profiles, times of one's own shapes, traces and
//! pages.

use super::limn;
use serde_json::Value;

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
