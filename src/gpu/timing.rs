//! Time as the device tells it.

use super::{Gpu, GpuError, Ready, Span};

/// Dispatches recorded between two timestamps: some stages, all of them so many times.
pub type Stretch<'a> = (&'a [Ready], usize);

/// Timestamps of a query set; WebGPU permits 4096.
const QUERIES: usize = 1024;

impl Gpu {
    /// Whether timestamps can be written between the dispatches of a pass.
    pub fn has_timestamps(&self) -> bool {
        self.timestamps
    }

    /// Whether they may be believed: `find_out` is asked once for each device that has them.
    ///
    /// # Errors
    /// Those of `find_out`; it is asked again after them.
    pub fn timestamps_hold(&self, find_out: impl FnOnce() -> Result<bool, GpuError>) -> Result<bool, GpuError> {
        match self.timestamps_hold.get() {
            _ if !self.timestamps => Ok(false),
            Some(hold) => Ok(*hold),
            None => {
                let hold = find_out()?;
                Ok(*self.timestamps_hold.get_or_init(|| hold))
            }
        }
    }

    /// Nanoseconds of each of `stretches`, recorded in one pass with a timestamp between every two
    /// of them, and waited for. A timestamp is written when what was recorded before it has ended;
    /// dispatches that share no buffer may overlap it. Only where [`Gpu::has_timestamps`].
    pub fn time_stretches(&self, stretches: &[Stretch]) -> Result<Vec<f64>, GpuError> {
        let mut times = Vec::with_capacity(stretches.len());
        for chunk in stretches.chunks(QUERIES - 1) {
            let count = chunk.len() as u32 + 1;
            let queries = self.device.create_query_set(&wgpu::QuerySetDescriptor {
                label: Some("timestamps"),
                ty: wgpu::QueryType::Timestamp,
                count,
            });
            let ticks = self.device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("timestamps"),
                size: 8 * u64::from(count),
                usage: wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC,
                mapped_at_creation: false,
            });
            let mut encoder = self.device.create_command_encoder(&Default::default());
            {
                let mut pass = encoder.begin_compute_pass(&Default::default());
                pass.write_timestamp(&queries, 0);
                for (i, (stages, times)) in chunk.iter().enumerate() {
                    (0..*times).for_each(|_| stages.iter().for_each(|stage| stage.record(&mut pass)));
                    pass.write_timestamp(&queries, i as u32 + 1);
                }
            }
            encoder.resolve_query_set(&queries, 0..count, &ticks, 0);
            self.queue.submit([encoder.finish()]);
            let words = self.read(&Span { buffer: ticks, offset: 0, len: 2 * u64::from(count) })?;
            let ticks: &[u64] = &bytemuck::pod_collect_to_vec::<f32, u64>(&words);
            let period = f64::from(self.queue.get_timestamp_period());
            times.extend(ticks.windows(2).map(|w| w[1].saturating_sub(w[0]) as f64 * period));
        }
        Ok(times)
    }
}
