//! A training loop by hand: no model, no run folder, only a graph of variables, planned once and
//! replayed.
//!
//!     cargo run --locked --release --example train_loop

use limn::data::{self, Order};
use limn::graph::{Graph, Noise};
use limn::nn::{Mode, NetworkBuilder, Numbering, OptimConfig, Optimizer};
use limn::program::{Device, Options, Runner, Store, plan};

const BATCH: usize = 64;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // An autoencoder 784-64-784.
    let mut net = NetworkBuilder::new("net", &Numbering::default());
    let encoder = net.sequence("encoder").flatten().linear(784, 64, true).relu().build();
    let decoder = net.sequence("decoder").linear(64, 784, true).unflatten([1, 28, 28]).build();
    let net = net.build();

    // What a step does: the loss, its gradients and Adam, all of it launches on the device.
    let graph = Graph::new(Noise { seed: 0, domain: 0, clock: "clock".into() });
    let x = graph.input("x", &[BATCH, 1, 28, 28]);
    let logits = decoder.forward(&encoder.forward(&x, Mode::Train), Mode::Train);
    let loss = logits.bce_with_logits(&x).mean();
    let adam = Optimizer::plain(OptimConfig::adam(0.001));
    adam.minimize(&loss, &net);
    graph.output("loss", &loss);
    graph.advance(&graph.clock());

    // Buffers that outlive the program, the parameters first among them, and the program on its
    // device.
    let mut store = Store::new(Device::best());
    store.write(&net.params_state(), &net.initial(0).0)?;
    let program = plan(&graph.finish()?, &Options::new(store.device().caps()))?;
    let mut step = Runner::new(program, &mut store)?;

    let images = data::open("fashion-mini", None, &data::Options::default())?.train;
    let order = Order::new(images.len(), BATCH, 0)?;
    for i in 0..300 {
        step.write("x", &images.gather(&order.batch(i), 0.0, 1.0))?;
        step.run()?;
        if i % 100 == 0 {
            println!("step {i}: {:.4} nats a pixel", step.read("loss")?[0]);
        }
    }
    let last = step.read("loss")?[0];
    println!("step 300: {last:.4} nats a pixel, on {}", store.device().name());
    if last < 0.4 { Ok(()) } else { Err("it has not learned".into()) }
}
