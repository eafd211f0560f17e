//! Running programs: a program made ready on a device.

use super::meet::Meetings;
use super::memory::{Memory, changed};
use super::on_gpu::{Copy, GpuRun, IN_FLIGHT};
use super::on_host::HostRun;
use super::staging::{Staged, Used};
use super::store::Kept;
use super::{Capacity, DeviceError, Pending, Program, StagingRing, Store, Upload, View};
use crate::bench::Clock;
use std::time::{Duration, Instant};

/// A program ready to run.
pub struct Runner {
    program: Program,
    engine: Engine,
    /// The input that is fed, and where its uploads go when they have been used.
    fed: Option<(View, Used)>,
}

/// Something that happened while a program ran.
#[derive(Clone, Copy, Debug)]
pub struct Traced {
    /// What.
    pub what: What,
    /// When it began.
    pub start: Instant,
    /// How long it took.
    pub took: Duration,
}

/// What happens while a program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// The host records commands and hands them over.
    Record,
    /// The host waits for the device.
    Wait,
    /// The contents of an input go to the device.
    Upload,
    /// The device runs this launch.
    Launch(usize),
    /// A device without timestamps that hold runs so many launches.
    Launches(usize),
}

impl Traced {
    /// Something that began then and ends now.
    pub(super) fn since(what: What, start: Instant) -> Traced {
        Traced { what, start, took: start.elapsed() }
    }
}

/// What runs it.
enum Engine {
    Host(HostRun),
    Gpu(Box<GpuRun>),
}

impl Runner {
    /// Makes buffers, pipelines and bind groups; states come from `store`.
    ///
    /// # Errors
    /// [`DeviceError::Exceeded`] where the device does not hold it, before anything is made; what a
    /// driver says.
    pub fn new(program: Program, store: &mut Store) -> Result<Runner, DeviceError> {
        Self::with_checks(program, store, false)
    }

    /// Like [`Runner::new`], with the shaders' bounds checks on or off.
    ///
    /// # Errors
    /// Those of [`Runner::new`].
    pub fn with_checks(program: Program, store: &mut Store, checks: bool) -> Result<Runner, DeviceError> {
        let mut capacity = Capacity::of(store.device());
        let present = store.present(&program);
        capacity.total = capacity.total.map(|free| free.saturating_add(present));
        capacity.check(&program)?;
        let meetings = store.together().and_then(|together| Meetings::new(&program, together));
        let engine = match &mut store.states {
            Kept::Host(states) => Engine::Host(HostRun::new(&program, states, meetings)?),
            Kept::Gpu(states) => Engine::Gpu(Box::new(GpuRun::new(&program, states, meetings, checks)?)),
        };
        Ok(Runner { program, engine, fed: None })
    }

    /// The program.
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// Cuts the runs to come into submissions that are expected to take no longer than `most`,
    /// where that can be: a launch is never cut. Without this a GPU has half a second, and a
    /// software driver takes whole runs.
    pub fn limit_submissions(&mut self, most: Duration) {
        if let Engine::Gpu(run) = &mut self.engine {
            run.limit_submissions(most);
        }
    }

    /// Submissions that a run takes by what is known now; none on the CPU.
    pub fn submissions(&self) -> usize {
        match &self.engine {
            Engine::Host(_) => 0,
            Engine::Gpu(run) => run.submissions(),
        }
    }

    /// Writes an input. It is queued before the next run.
    ///
    /// # Errors
    /// [`DeviceError::Name`] and [`DeviceError::Length`].
    pub fn write(&self, name: &str, data: &[f32]) -> Result<(), DeviceError> {
        let View { buffer, offset, len } = self.input(name)?;
        if len != data.len() {
            return Err(DeviceError::Length { name: name.into(), needs: len, has: data.len() });
        }
        match &self.engine {
            Engine::Host(run) => run.memory[buffer].write(offset, data),
            Engine::Gpu(run) => run.memory[buffer].write(offset, data),
        }
        Ok(())
    }

    /// The same of the first rows of an input; the rest is zero.
    ///
    /// # Errors
    /// Those of [`Runner::write`].
    pub fn write_first(&self, name: &str, rows: &[f32]) -> Result<(), DeviceError> {
        let mut whole = rows.to_vec();
        whole.resize(whole.len().max(self.input(name)?.len), 0.0);
        self.write(name, &whole)
    }

    fn input(&self, name: &str) -> Result<View, DeviceError> {
        let input = self.program.inputs.iter().find(|(n, _)| n == name);
        input.map(|(_, view)| *view).ok_or_else(|| DeviceError::Name { kind: "input", name: name.into() })
    }

    /// Where another thread finds room for the contents of an input in the runs to come, for
    /// [`Runner::run_with`].
    ///
    /// # Errors
    /// [`DeviceError::Name`]; a device without memory for it.
    pub fn feed(&mut self, name: &str) -> Result<StagingRing, DeviceError> {
        let view = self.input(name)?;
        let (used, feed) = Used::new();
        // One for every run on its way, one to be handed over and one to be filled.
        for _ in 0..IN_FLIGHT + 2 {
            used.give_back(match &self.engine {
                Engine::Host(_) => Staged::Host(vec![0.0; view.len]),
                Engine::Gpu(run) => run.room(view.len)?,
            });
        }
        self.fed = Some((view, used));
        Ok(feed)
    }

    /// Runs the program once. On a GPU this returns as soon as the commands are queued, unless
    /// several runs are still on their way.
    ///
    /// # Errors
    /// A device that is lost.
    pub fn run(&mut self) -> Result<(), DeviceError> {
        match &mut self.engine {
            Engine::Host(run) => run.run(&self.program),
            Engine::Gpu(run) => run.run(None),
        }
    }

    /// Runs the program once with the contents of a filled upload from [`Runner::feed`].
    ///
    /// # Errors
    /// [`DeviceError::Foreign`] where the upload is from another runner; a device that is lost.
    pub fn run_with(&mut self, Upload(room): Upload) -> Result<(), DeviceError> {
        let (room, to, used) = self.placed(room)?;
        match (&mut self.engine, room) {
            (Engine::Host(run), Staged::Host(words)) => {
                used.give_back(Staged::Host(std::mem::replace(&mut changed(&run.memory[to.buffer]), words)));
                run.run(&self.program)
            }
            (Engine::Gpu(run), Staged::Gpu { staging, words }) => run.run(Some(Copy { staging, words, to, used })),
            _ => Err(DeviceError::Foreign),
        }
    }

    /// Runs the program once, with the contents of a filled upload if there is one, waits for its
    /// end and tells what happened when. The device does what [`Runner::run`] has it do, each
    /// launch once, but nothing of it overlaps with what the host does.
    ///
    /// # Errors
    /// [`DeviceError::Foreign`] where the upload is from another runner; a device that is lost.
    pub fn run_traced(&mut self, upload: Option<Upload>) -> Result<Vec<Traced>, DeviceError> {
        let mut traced = Vec::new();
        let start = Instant::now();
        let copied = upload.is_some();
        let copy = upload.map(|Upload(room)| self.placed(room)).transpose()?;
        match &mut self.engine {
            Engine::Host(run) => {
                if let Some((Staged::Host(words), to, used)) = copy {
                    used.give_back(Staged::Host(std::mem::replace(&mut changed(&run.memory[to.buffer]), words)));
                }
                if copied {
                    traced.push(Traced::since(What::Upload, start));
                }
                traced.extend(run.run_traced(&self.program)?);
                Ok(traced)
            }
            Engine::Gpu(run) => {
                let copy = match copy {
                    Some((Staged::Gpu { staging, words }, to, used)) => Some(Copy { staging, words, to, used }),
                    _ => None,
                };
                run.run_traced(copy)
            }
        }
    }

    /// Where a filled upload goes.
    fn placed(&self, room: Staged) -> Result<(Staged, View, Used), DeviceError> {
        let (to, used) = self.fed.clone().filter(|(view, _)| view.len == room.words()).ok_or(DeviceError::Foreign)?;
        match (&self.engine, &room) {
            (Engine::Host(_), Staged::Host(_)) | (Engine::Gpu(_), Staged::Gpu { .. }) => Ok((room, to, used)),
            _ => Err(DeviceError::Foreign),
        }
    }

    /// Waits for everything submitted.
    ///
    /// # Errors
    /// A device that is lost.
    pub fn wait(&mut self) -> Result<(), DeviceError> {
        match &mut self.engine {
            Engine::Host(_) => Ok(()),
            Engine::Gpu(run) => Ok(run.wait()?),
        }
    }

    /// Time the host spent recording and submitting since it was last asked.
    pub fn take_host_time(&mut self) -> Duration {
        match &mut self.engine {
            Engine::Host(_) => Duration::ZERO,
            Engine::Gpu(run) => std::mem::take(&mut run.host),
        }
    }

    /// Reads an output, waiting for the last run.
    ///
    /// # Errors
    /// [`DeviceError::Name`]; a device that is lost.
    pub fn read(&self, name: &str) -> Result<Vec<f32>, DeviceError> {
        self.start_read(name)?.take()
    }

    /// Starts reading an output behind everything submitted so far.
    ///
    /// # Errors
    /// [`DeviceError::Name`].
    pub fn start_read(&self, name: &str) -> Result<Pending, DeviceError> {
        let output = self.program.outputs.iter().find(|(n, _)| n == name);
        let (_, view) = output.ok_or_else(|| DeviceError::Name { kind: "output", name: name.into() })?;
        Ok(match &self.engine {
            Engine::Host(run) => run.memory[view.buffer].start_read(view.offset, view.len),
            Engine::Gpu(run) => run.memory[view.buffer].start_read(view.offset, view.len),
        })
    }

    /// Runs the program once and returns the nanoseconds of each launch and what they were taken
    /// by. A device whose timestamps cannot be believed runs each launch some times in turn, and
    /// the states are then not those of one run.
    ///
    /// # Errors
    /// A device that is lost.
    pub fn profile(&mut self) -> Result<(Vec<f64>, Clock), DeviceError> {
        self.wait()?;
        match &mut self.engine {
            Engine::Host(run) => Ok((run.profile(&self.program)?, Clock::Host)),
            Engine::Gpu(run) => Ok(run.profile()?),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Graph, Noise};
    use crate::program::{Device, Options, plan};

    fn doubled(len: usize) -> Runner {
        let graph = Graph::new(Noise { seed: 0, domain: 0, clock: "clock".into() });
        graph.output("y", &graph.input("x", &[len]).mul_scalar(2.0));
        let program = plan(&graph.finish().unwrap(), &Options::new(None)).unwrap();
        Runner::new(program, &mut Store::new(Device::Cpu)).unwrap()
    }

    #[test]
    fn uploads_go_with_the_program_whose_feed_they_are_from() {
        let (mut one, mut other) = (doubled(3), doubled(4));
        let mut upload = one.feed("x").unwrap().next().unwrap();
        upload.fill(bytemuck::cast_slice(&[1.0f32, 2.0, 3.0])).unwrap();
        one.run_with(upload).unwrap();
        assert_eq!(one.read("y").unwrap(), [2.0, 4.0, 6.0]);
        // Without a feed, and with one of another length.
        let upload = one.feed("x").unwrap().next().unwrap();
        assert!(matches!(other.run_with(upload), Err(DeviceError::Foreign)));
        let _feed = other.feed("x").unwrap();
        let upload = one.feed("x").unwrap().next().unwrap();
        assert!(matches!(other.run_with(upload), Err(DeviceError::Foreign)));
    }
}
