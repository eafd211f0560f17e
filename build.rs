//! Has cargo compile again when a preset is added or taken away: what `include_dir!` finds is not tracked by itself.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=assets/presets");
}
