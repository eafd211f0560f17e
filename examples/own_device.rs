//! One kernel of limn on a wgpu device and in buffers that are somebody else's.
//!
//!     cargo run --locked --release --example own_device

use limn::gpu::{Gpu, Span, wgpu};
use limn::kernels::{Kernel, matmul::MatMul};
use pollster::block_on;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // A device as any program opens it.
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
    let Ok(adapter) = block_on(instance.request_adapter(&wgpu::RequestAdapterOptions::default())) else {
        println!("there is no adapter: nothing is run");
        return Ok(());
    };
    let limits = wgpu::Limits { max_storage_buffers_per_shader_stage: 8, ..wgpu::Limits::default() };
    let descriptor = wgpu::DeviceDescriptor { required_limits: limits, ..Default::default() };
    let (device, queue) = block_on(adapter.request_device(&descriptor))?;
    let gpu = Gpu::adopt(&adapter, device.clone(), queue.clone())?;

    // C [m,n] = A [m,k] B [k,n] in buffers of its own.
    let (m, k, n) = (33, 17, 65);
    let kernel = MatMul::new(m as u32, k as u32, n as u32);
    let [a, b] = [m * k, k * n].map(|len| (0..len).map(|i| ((i * 37 + 11) % 29) as f32 - 14.0).collect::<Vec<f32>>());
    let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::COPY_SRC;
    let buffer = |len: usize, usage| {
        device.create_buffer(&wgpu::BufferDescriptor {
            label: None,
            size: 4 * len as u64,
            usage,
            mapped_at_creation: false,
        })
    };
    let (on_a, on_b, on_c) = (buffer(a.len(), usage), buffer(b.len(), usage), buffer(m * n, usage));
    queue.write_buffer(&on_a, 0, bytemuck::cast_slice(&a));
    queue.write_buffer(&on_b, 0, bytemuck::cast_slice(&b));

    // The first variant is limn's best guess for the device. There is no bias, gate or residual, so
    // those are absent.
    let recipe = &kernel.variants(gpu.caps())[0];
    let absent = &gpu.dummies()?[0];
    let mut reads = vec![Span::of(&on_a), Span::of(&on_b)];
    reads.resize(kernel.signature().reads.len(), absent.clone());
    let ready = gpu.bind(recipe, &reads, &[Span::of(&on_c)])?;

    // Recorded into an encoder of one's own, beside whatever else is there.
    let result = buffer(m * n, wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST);
    let mut encoder = device.create_command_encoder(&Default::default());
    let mut pass = encoder.begin_compute_pass(&Default::default());
    ready.iter().for_each(|stage| stage.record(&mut pass));
    drop(pass);
    encoder.copy_buffer_to_buffer(&on_c, 0, &result, 0, 4 * (m * n) as u64);
    queue.submit([encoder.finish()]);
    result.map_async(wgpu::MapMode::Read, .., |_| ());
    device.poll(wgpu::PollType::wait_indefinitely())?;
    let mapped = result.get_mapped_range(..)?;
    let c: &[f32] = bytemuck::cast_slice(&mapped);

    // Held against the reference on the host; whole numbers have no rounding.
    let mut reference = vec![0.0; m * n];
    let mut operands: Vec<&[f32]> = vec![&a, &b];
    operands.resize(kernel.signature().reads.len(), &[]);
    kernel.cpu(&operands, &mut [&mut reference]);
    println!("{} on {}: {} elements", recipe.name, gpu.desc().name, c.len());
    if c == reference { Ok(()) } else { Err("the device disagrees with the reference".into()) }
}
