//! A kernel of one's own: a shader, the reference it is held against, a gradient, and a model that
//! trains with it.
//!
//!     cargo run --locked --release --example custom_kernel

use limn::check;
use limn::data::{self, Order};
use limn::gpu::Gpu;
use limn::graph::{Call, Graph, GraphError, Noise, Op, Var};
use limn::kernels::{Access, Caps, Checks, Kernel, Lens, Recipe, Shader, Signature, Slot, flat};
use limn::nn::{Mode, NetworkBuilder, Numbering, OptimConfig, Optimizer};
use limn::program::{Body, Device, Options, Runner, Store, plan};
use std::sync::Arc;

limn::params! {
    /// x `[len]` -> y `[len]`: y = x / (1 + |x|). In the shader this is `struct Params`, in the
    /// place of `#params`.
    pub struct Softsign {
        /// Elements.
        pub len: u32,
    }
}

/// `flat` is a piece of limn's that gives each workgroup a range. Names of buffers are those of the
/// signature.
static SHADER: Shader = Shader::new(
    "softsign",
    "
#import flat
#params
override WG: u32 = 64u;
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;        // [len]
@group(0) @binding(2) var<storage, read_write> y: array<f32>;  // [len]
@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
  let range = flat_range(p.len, wg, groups, lane);
  for (var i = range.first; i < range.end; i += WG) { y[i] = x[i] / (1.0 + abs(x[i])); }
}
",
)
.params::<Softsign>();

static SIGNATURE: Signature = Signature { name: "softsign", reads: &["x"], writes: &[("y", Access::Write)] };

impl Checks for Softsign {}

impl Kernel for Softsign {
    fn signature(&self) -> &'static Signature {
        &SIGNATURE
    }

    fn lens(&self) -> Lens {
        Lens { reads: vec![self.len as usize], writes: vec![self.len as usize] }
    }

    /// The reference, which devices without a GPU run as well.
    fn cpu(&self, reads: &[&[f32]], writes: &mut [&mut [f32]]) {
        std::iter::zip(&mut *writes[0], reads[0]).for_each(|(y, x)| *y = x / (1.0 + x.abs()));
    }

    /// One way to run it. Of several the tuner takes the fastest on the device.
    fn variants(&self, caps: &Caps) -> Vec<Recipe> {
        let stage = flat(&SHADER, self, self.len as usize, caps);
        vec![Recipe::single("flat", stage.bind("x", Slot::Read(0)).bind("y", Slot::Write(0)))]
    }

    fn flops(&self) -> u64 {
        3 * u64::from(self.len)
    }

    fn label(&self) -> String {
        format!("x[{}]", self.len)
    }
}

impl Op for Softsign {
    fn name(&self) -> &'static str {
        SIGNATURE.name
    }

    /// dy/dx = (1 - |y|)², written in ops, so that it has a gradient itself.
    fn gradient(&self, call: &Call) -> Result<Vec<Option<Var>>, GraphError> {
        Ok(vec![Some(call.dy() * &call.outputs[0].abs().mul_scalar(-1.0).add_scalar(1.0).square())])
    }
}

/// The op: a node of the graph with the kernel and the gradient.
fn softsign(x: &Var) -> Var {
    let kernel = Softsign { len: x.len() as u32 };
    x.graph().apply1(kernel, Body::Kernel(Arc::new(kernel)), &[Some(x)], x.shape())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Every variant against the reference, in odd sizes too, on a GPU where there is any, a
    // software one included.
    let device = Gpu::open(None).map_or(Device::Cpu, |gpu| Device::Gpu(Arc::new(gpu)));
    for len in [1, 63, 1024, 100_003] {
        let kernel = Softsign { len };
        let on_gpu = device.gpu().map_or(Vec::new(), |gpu| check::check(gpu, SIGNATURE.name, &kernel, 1));
        for outcome in on_gpu.into_iter().chain([check::check_host(SIGNATURE.name, &kernel, 1)]) {
            println!("{} {} [{}]: worst {:e}", outcome.kernel, outcome.case, outcome.variant, outcome.worst);
            outcome.failure.map_or(Ok(()), Err)?;
        }
    }

    // A classifier of the built-in images with the kernel between its layers.
    let mut net = NetworkBuilder::new("net", &Numbering::default());
    let first = net.sequence("first").flatten().linear(784, 32, true).build();
    let second = net.sequence("second").linear(32, 10, true).build();
    let net = net.build();
    let graph = Graph::new(Noise { seed: 0, domain: 0, clock: "clock".into() });
    let (x, class) = (graph.input("x", &[64, 1, 28, 28]), graph.input("class", &[64]));
    let scores = second.forward(&softsign(&first.forward(&x, Mode::Train)), Mode::Train);
    let loss = scores.cross_entropy(&class).mean();
    Optimizer::plain(OptimConfig::adam(0.005)).minimize(&loss, &net);
    graph.output("loss", &loss);
    graph.advance(&graph.clock());
    let mut store = Store::new(device);
    store.write(&net.params_state(), &net.initial(0).0)?;
    let mut step = Runner::new(plan(&graph.finish()?, &Options::new(store.device().caps()))?, &mut store)?;
    let images = data::open("fashion-mini", None, &data::Options::default())?.train;
    let order = Order::new(images.len(), 64, 0)?;
    for i in 0..100 {
        let batch = order.batch(i);
        step.write("x", &images.gather(&batch, 0.0, 1.0))?;
        let labels = batch.iter().filter_map(|at| images.label(*at as usize));
        step.write("class", &labels.map(f32::from).collect::<Vec<_>>())?;
        step.run()?;
    }
    let last = step.read("loss")?[0];
    println!("step 100: {last:.4} nats an image, on {}", store.device().name());
    if last < 1.0 { Ok(()) } else { Err("it has not learned".into()) }
}
