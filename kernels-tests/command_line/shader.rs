//! `limn shader`: what a device is given for a kernel, as WGSL that can be read and parsed.

use super::limn;

fn shader(args: &[&str]) -> super::Call {
    limn(&[&["shader"], args, &["--device", "cpu"]].concat())
}

#[test]
fn a_kernels_module_is_whole_and_says_what_else_the_device_is_told() {
    let call = shader(&["adam", "--variant", "scalar"]).good();
    let first = call.out.lines().next().unwrap_or_default();
    assert!(first.starts_with("// adam (") && first.contains("variant scalar"), "{first}");
    for words in
        ["entry point: main", "override constants: WG = ", "bindings of group 0: 0 p (parameters), 1 ", "workgroups: "]
    {
        assert!(call.out.contains(words), "no \"{words}\" in:\n{}", call.out);
    }
    assert!(call.err.contains("WebGPU's default limits"), "{}", call.err);
    assert!(!call.out.lines().any(|line| line.starts_with('#')), "{}", call.out);
    let module = naga::front::wgsl::parse_str(&call.out).expect("WGSL");
    assert_eq!(module.entry_points.len(), 1);
    assert!(module.functions.iter().any(|(_, function)| function.name.as_deref() == Some("flat_range")));
}

#[test]
fn a_variant_of_several_stages_has_them_one_by_one() {
    let all = shader(&["batch_norm", "--variant", "split"]).good().out;
    for stage in ["1", "2", "3"] {
        let one = shader(&["batch_norm", "--variant", "split", "--stage", stage]).good().out;
        assert!(
            one.starts_with("// batch_norm (") && one.contains(&format!("stage {stage} of 3: batch_norm_")),
            "{one}"
        );
        assert!(all.contains(&one));
        naga::front::wgsl::parse_str(&one).expect("WGSL");
    }
}

#[test]
fn names_that_there_are_not_get_the_nearest() {
    shader(&["adan"]).bad(&["no kernel is called \"adan\"", "did you mean", "adam"]);
    shader(&["adam", "--variant", "vec5"]).bad(&["no variant of adam", "\"vec5\"", "did you mean", "vec4"]);
    shader(&["adam", "--stage", "2"]).bad(&["has 1 stage", "--stage 2"]);
    assert_eq!(shader(&["adam", "--stage", "0"]).code, Some(2));
    assert_eq!(shader(&[]).code, Some(2));
}
