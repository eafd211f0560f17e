//! A program made ready on a GPU.

use super::meet::Meetings;
use super::memory::{Memory, OnGpu, States};
use super::pace::Pace;
use super::recorder::Recorder;
use super::run::{Traced, What};
use super::staging::{Staged, Used};
use super::{DeviceError, Launch, Program, View};
use crate::bench::{self, Clock, Stages, Timer};
use crate::gpu::{self, Gpu, GpuError, Ready, Span, Staging, Stretch};
use crate::kernels::{Class, Slot};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Steps that may be on their way before the host waits for the oldest.
pub(super) const IN_FLIGHT: usize = 3;

/// Seconds that a launch is repeated for where its time is the difference of two lengths.
const PROFILED: f64 = 0.0003;

/// The commands of a run, and how they are cut into submissions.
pub(super) struct GpuRun {
    gpu: Arc<Gpu>,
    pub memory: Vec<OnGpu>,
    recorder: Recorder,
    pace: Pace,
    meetings: Option<Meetings>,
    /// Runs that are on their way, and since when.
    in_flight: VecDeque<(gpu::Submission, Instant)>,
    /// Time spent recording and submitting.
    pub host: Duration,
}

/// An upload that goes with a run: what it is copied from, where to, and who gets its room back.
pub(super) struct Copy {
    pub staging: Staging,
    pub words: usize,
    pub to: View,
    pub used: Used,
}

impl GpuRun {
    pub(super) fn new(
        program: &Program,
        states: &mut States<OnGpu>,
        meetings: Option<Meetings>,
        checks: bool,
    ) -> Result<GpuRun, DeviceError> {
        let (gpu, memory) = (states.home.clone(), states.buffers(program)?);
        let pace = Pace::new(program, gpu.caps().class, meetings.as_ref().map_or_else(Vec::new, Meetings::breaks));
        let mut ready = prepare(&gpu, program, &memory, checks)?;
        if let Some(meetings) = &meetings {
            // The host does what these would copy.
            ready.iter_mut().enumerate().filter(|(at, _)| meetings.is_one(*at)).for_each(|(_, stages)| stages.clear());
        }
        let name = |launch: &Launch| match &launch.scope {
            scope if scope.is_empty() => launch.kernel.signature().name.to_string(),
            scope => format!("{} of {scope}", launch.kernel.signature().name),
        };
        let names = program.launches.iter().map(name).collect();
        let recorder = Recorder::new(gpu.clone(), ready, names, pace.pieces());
        Ok(GpuRun { gpu, memory, recorder, pace, meetings, in_flight: VecDeque::new(), host: Duration::ZERO })
    }

    pub(super) fn limit_submissions(&mut self, most: Duration) {
        self.pace.limit(most);
        self.recorder.cut(self.pace.pieces());
    }

    pub(super) fn submissions(&self) -> usize {
        self.pace.pieces().len()
    }

    pub(super) fn room(&self, words: usize) -> Result<Staged, GpuError> {
        Ok(Staged::Gpu { staging: self.gpu.staging(words)?, words })
    }

    /// Submits a run, behind an upload if there is one, waiting first where too many are on their
    /// way.
    pub(super) fn run(&mut self, mut upload: Option<Copy>) -> Result<(), DeviceError> {
        let GpuRun { gpu, memory, recorder, pace, meetings, in_flight, host } = self;
        let start = Instant::now();
        let run = recorder.next();
        *host += start.elapsed();
        let timed = pace.times(run.len());
        // A software device finishes one submission inside the call that submits the next: waiting
        // before costs nothing and keeps the host's own time apart from the device's.
        let alone = timed || gpu.caps().class == Class::Lanes;
        while in_flight.len() >= if alone { 1 } else { IN_FLIGHT }
            && let Some((oldest, since)) = in_flight.pop_front()
        {
            gpu.wait_for(oldest)?;
            pace.seen(since.elapsed(), IN_FLIGHT);
        }
        let mut times = Vec::new();
        for piece in run {
            let end = piece.launches.end;
            meet_before(meetings, memory, piece.launches.start)?;
            let start = Instant::now();
            let submission = if let Some(Copy { staging, words, to, used }) = upload.take() {
                let copy = gpu.upload(&staging, &memory[to.buffer].span.slice(to.offset, to.len));
                let submission = gpu.submit_named(piece.what, [copy, piece.commands]);
                gpu.recall(staging, move |staging| used.give_back(Staged::Gpu { staging, words }));
                submission
            } else {
                gpu.submit_named(piece.what, [piece.commands])
            };
            *host += start.elapsed();
            if timed {
                gpu.wait_for(submission)?;
                times.push((piece.launches, start.elapsed()));
            } else {
                in_flight.push_back((submission, start));
            }
            meet_after(meetings, memory, end)?;
        }
        if timed {
            pace.timed(&times);
            recorder.cut(pace.pieces());
        }
        Ok(gpu.check()?)
    }

    /// Runs once, alone on the device, and tells what happened when. Timestamps say how long
    /// launches take, and the host's clock when the last one has ended.
    pub(super) fn run_traced(&mut self, upload: Option<Copy>) -> Result<Vec<Traced>, DeviceError> {
        self.wait()?;
        let gpu = &self.gpu;
        let by = bench::clock(gpu)?;
        let mut traced = Vec::new();
        if let Some(Copy { staging, words, to, used }) = upload {
            let start = Instant::now();
            let copy = gpu.upload(&staging, &self.memory[to.buffer].span.slice(to.offset, to.len));
            let submission = gpu.submit_named("an upload", [copy]);
            gpu.recall(staging, move |staging| used.give_back(Staged::Gpu { staging, words }));
            gpu.wait_for(submission)?;
            traced.push(Traced::since(What::Upload, start));
        }
        let ready = self.recorder.ready();
        for piece in self.pace.pieces() {
            let start = Instant::now();
            meet_before(&mut self.meetings, &self.memory, piece.start)?;
            if self.meetings.is_some() {
                traced.push(Traced::since(What::Wait, start));
            }
            let (start, first, end) = (Instant::now(), piece.start, piece.end);
            let launches = &ready[piece];
            if by != Clock::Stamps {
                let commands = gpu.record(|pass| launches.iter().flatten().for_each(|r| r.record(pass)));
                let submission = gpu.submit_named(self.recorder.what(&(first..end)), [commands]);
                traced.push(Traced::since(What::Record, start));
                let handed = Instant::now();
                gpu.wait_for(submission)?;
                let what = [What::Wait, What::Launches(launches.len())];
                traced.extend(what.map(|what| Traced::since(what, handed)));
                meet_after(&mut self.meetings, &self.memory, end)?;
                continue;
            }
            let stretches: Vec<Stretch> = launches.iter().map(|stages| (stages.as_slice(), 1)).collect();
            let times = gpu.time_stretches(&stretches)?;
            let whole = start.elapsed();
            let took = times.iter().map(|ns| Duration::from_secs_f64(1e-9 * ns));
            let busy: Duration = took.clone().sum();
            // What the host needs before the device begins is the rest of the time it waited.
            let before = whole.saturating_sub(busy);
            traced.push(Traced { what: What::Record, start, took: before });
            traced.push(Traced { what: What::Wait, start: start + before, took: whole - before });
            let mut at = start + before;
            for (i, took) in took.enumerate() {
                traced.push(Traced { what: What::Launch(first + i), start: at, took });
                at += took;
            }
            meet_after(&mut self.meetings, &self.memory, end)?;
        }
        gpu.check()?;
        Ok(traced)
    }

    pub(super) fn wait(&mut self) -> Result<(), GpuError> {
        self.in_flight.clear();
        self.gpu.wait()
    }

    /// Nanoseconds of each launch, and what they were taken by.
    pub(super) fn profile(&self) -> Result<(Vec<f64>, Clock), GpuError> {
        let (gpu, ready) = (&self.gpu, self.recorder.ready());
        let by = bench::clock(gpu)?;
        if by == Clock::Stamps {
            let mut times = Vec::new();
            for piece in self.pace.pieces() {
                let stretches: Vec<Stretch> = ready[piece].iter().map(|stages| (stages.as_slice(), 1)).collect();
                times.extend(gpu.time_stretches(&stretches)?);
            }
            return Ok((times, by));
        }
        let time = |stages: &Vec<Ready>| -> Result<f64, GpuError> {
            let mut samples = Timer::new(Stages { gpu, stages }, by, PROFILED)?.round()?;
            Ok(1e9 * bench::quantile(&mut samples, 0.5))
        };
        Ok((ready.iter().map(time).collect::<Result<_, _>>()?, by))
    }
}

/// The run comes to `launch`, which may be a mean over ranks.
fn meet_before(meetings: &mut Option<Meetings>, memory: &[OnGpu], launch: usize) -> Result<(), DeviceError> {
    let Some(meetings) = meetings else { return Ok(()) };
    if launch == 0 {
        meet(meetings, memory, 0)?;
    }
    meetings.before(launch, |view, mean| memory[view.buffer].write(view.offset, mean))
}

/// What has been handed over up to `end` may be what ranks take a mean of.
fn meet_after(meetings: &mut Option<Meetings>, memory: &[OnGpu], end: usize) -> Result<(), DeviceError> {
    meetings.as_mut().map_or(Ok(()), |meetings| meet(meetings, memory, end))
}

fn meet(meetings: &mut Meetings, memory: &[OnGpu], end: usize) -> Result<(), DeviceError> {
    meetings.after(end, |view| memory[view.buffer].start_read(view.offset, view.len))
}

/// Makes every dispatch of a program.
fn prepare(gpu: &Gpu, program: &Program, memory: &[OnGpu], checks: bool) -> Result<Vec<Vec<Ready>>, DeviceError> {
    let align = 4 * gpu.alignment();
    let mut blocks = Vec::new();
    let mut offsets = Vec::new();
    for stage in program.launches.iter().filter_map(|l| l.recipe.as_ref()).flat_map(|r| &r.stages) {
        blocks.resize(blocks.len().next_multiple_of(align), 0);
        offsets.push(blocks.len());
        blocks.extend_from_slice(&stage.params);
    }
    let recipes = program.launches.iter().filter_map(|l| l.recipe.as_ref());
    gpu.pipelines(&recipes.flat_map(|r| &r.stages).collect::<Vec<_>>(), checks)?;
    let params = gpu.uniforms(&blocks)?;
    let [absent, sink] = gpu.dummies()?;
    let span = |view: &View| memory[view.buffer].span.slice(view.offset, view.len.next_multiple_of(4));
    let mut offsets = offsets.into_iter();
    let mut ready = Vec::new();
    for launch in &program.launches {
        let mut stages = Vec::new();
        for stage in launch.recipe.iter().flat_map(|r| &r.stages) {
            let operands: Vec<Span> = stage
                .bind
                .iter()
                .map(|(_, slot)| match *slot {
                    Slot::Read(i) => {
                        launch.reads.get(i).copied().flatten().map_or_else(|| absent.clone(), |v| span(&v))
                    }
                    Slot::Write(i) => launch.writes.get(i).map_or_else(|| sink.clone(), span),
                    Slot::ScratchIn(i) | Slot::ScratchOut(i) => span(&launch.scratch[i]),
                })
                .collect();
            let at = offsets.next().unwrap_or(0) / 4;
            let block = params.slice(at, stage.params.len() / 4);
            stages.push(gpu.ready(stage, checks, &block, &operands)?);
        }
        ready.push(stages);
    }
    Ok(ready)
}
