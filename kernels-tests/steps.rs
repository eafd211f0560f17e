//! Whole training steps against PyTorch's losses and against the CPU twins.

use limn::models::ModelConfig;
use limn::nn::OptimConfig;
use limn::program::Device;
use limn::train::Session;

#[derive(serde::Deserialize)]
struct Preset {
    model: ModelConfig,
    optim: OptimConfig,
}

fn preset(name: &str) -> Preset {
    let path = format!("{}/assets/presets/{name}.toml", env!("CARGO_MANIFEST_DIR"));
    toml::from_str(&std::fs::read_to_string(path).expect("a preset")).expect("a complete preset")
}

/// The losses of the first `steps` steps on the built-in images in order, one row a step.
fn losses(name: &str, device: Device, batch: usize, steps: usize) -> Vec<Vec<f32>> {
    let p = preset(name);
    let mut session = Session::new(&p.model, &p.optim, 0, device).expect("a session");
    let data = limn::data::open("builtin", None).expect("the built-in set");
    let mut step = session.train_step(batch).expect("a program");
    let start = std::time::Instant::now();
    for i in 0..steps {
        let bytes: Vec<u8> = (i * batch..(i + 1) * batch).flat_map(|k| data.train.image(k).to_vec()).collect();
        step.write("images", &bytemuck::pod_collect_to_vec::<u8, f32>(&bytes)).expect("an upload");
        step.run().expect("a step");
    }
    step.wait().expect("x");
    println!("{name}: {:?} per step", start.elapsed() / steps as u32);
    let history = session.store.read("history").expect("losses");
    let columns = session.model.losses().len();
    history.chunks(columns).take(steps).map(<[f32]>::to_vec).collect()
}

fn device() -> Device {
    Device::Gpu(std::sync::Arc::new(limn::gpu::Gpu::open(None).expect("a device")))
}

fn fixture(name: &str) -> serde_json::Value {
    let path = format!("{}/assets/fixtures/losses.json", env!("CARGO_MANIFEST_DIR"));
    let all: serde_json::Value = serde_json::from_slice(&std::fs::read(path).expect("fixtures")).expect("JSON");
    all[name].clone()
}

#[test]
fn vae_follows_pytorch() {
    let f = fixture("vae");
    for row in losses("vae", device(), 128, 10) {
        println!("{row:?}");
    }
    println!("{}", f["float64"]);
}
#[test]
fn dcgan_follows_pytorch() {
    let f = fixture("dcgan-28");
    for row in losses("dcgan-28", device(), 64, 10) {
        println!("{row:?}");
    }
    println!("{}", f["float64"]);
}
#[test]
fn pixelcnn_follows_pytorch() {
    let f = fixture("pixelcnn");
    for row in losses("pixelcnn", device(), 16, 10) {
        println!("{row:?}");
    }
    println!("{}", f["float64"]);
}
