//! Running programs: a device, the states programs share, and a program made ready.

use super::feed::Room;
use super::pace::Pace;
use super::recorder::Recorder;
use super::{Capacity, Device, DeviceError, Exceeded, Feed, Launch, Program, Purpose, Upload, View};
use crate::bench::{self, Clock, Stages, Timer};
use crate::gpu::{self, Gpu, GpuError, Readback, Ready, Span, Stretch};
use crate::kernels::{Class, Slot};
use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

/// Steps that may be on their way before the host waits for the oldest.
const IN_FLIGHT: usize = 3;

/// Seconds that a launch is repeated for where its time is the difference of two lengths.
const PROFILED: f64 = 0.0003;

/// Elements on a device.
#[derive(Clone)]
enum Memory {
    Host(Rc<RefCell<Vec<f32>>>),
    Gpu(Span),
}

impl Memory {
    fn new(device: &Device, len: usize, what: &str) -> Result<Memory, GpuError> {
        Ok(match device {
            Device::Cpu | Device::Twins => Memory::Host(Rc::new(RefCell::new(vec![0.0; len]))),
            // Shaders load four words at a time: the last of them must exist.
            Device::Gpu(gpu) => Memory::Gpu(gpu.buffer(len.next_multiple_of(4), what)?),
        })
    }

    fn write(&self, device: &Device, at: usize, data: &[f32]) {
        match (self, device) {
            (Memory::Host(host), _) => host.borrow_mut()[at..at + data.len()].copy_from_slice(data),
            (Memory::Gpu(span), Device::Gpu(gpu)) => gpu.write(&span.slice(at, data.len()), data),
            (Memory::Gpu(_), _) => {}
        }
    }

    fn start_read(&self, device: &Device, at: usize, len: usize) -> Pending {
        match (self, device) {
            (Memory::Gpu(span), Device::Gpu(gpu)) => {
                Pending(Arrival::Gpu(gpu.clone(), gpu.start_read(&span.slice(at, len))))
            }
            (Memory::Host(host), _) => Pending(Arrival::Done(host.borrow()[at..at + len].to_vec())),
            (Memory::Gpu(_), _) => Pending(Arrival::Done(Vec::new())),
        }
    }
}

/// Elements on their way to the host.
pub struct Pending(Arrival);

enum Arrival {
    Done(Vec<f32>),
    Gpu(Arc<Gpu>, Readback),
}

impl Pending {
    /// The elements if they have arrived; never waits.
    pub fn try_take(&self) -> Result<Option<Vec<f32>>, DeviceError> {
        match &self.0 {
            Arrival::Done(data) => Ok(Some(data.clone())),
            Arrival::Gpu(gpu, readback) => Ok(gpu.try_read(readback)?),
        }
    }

    /// The elements, waiting for them.
    pub fn take(&self) -> Result<Vec<f32>, DeviceError> {
        match &self.0 {
            Arrival::Done(data) => Ok(data.clone()),
            Arrival::Gpu(gpu, readback) => Ok(gpu.finish_read(readback)?),
        }
    }
}

/// A state that is read time and again while programs run, through buffers that are used again.
pub struct Ring(Held);

enum Held {
    Host(Rc<RefCell<Vec<f32>>>),
    Gpu(Arc<Gpu>, gpu::Ring),
}

impl Ring {
    /// Starts reading the whole state behind everything submitted so far.
    pub fn start_read(&mut self) -> Pending {
        Pending(match &mut self.0 {
            Held::Host(host) => Arrival::Done(host.borrow().clone()),
            Held::Gpu(gpu, ring) => Arrival::Gpu(gpu.clone(), gpu.start_ring(ring)),
        })
    }

    /// Buffers that reading has made so far on the device.
    pub fn made(&self) -> usize {
        match &self.0 {
            Held::Host(_) => 0,
            Held::Gpu(_, ring) => ring.made(),
        }
    }
}

/// The named buffers that programs share on one device.
pub struct Store {
    device: Device,
    states: BTreeMap<String, (Memory, usize)>,
}

impl Store {
    /// No states yet.
    pub fn new(device: Device) -> Store {
        Store { device, states: BTreeMap::new() }
    }

    /// The device.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The state of this name, made of zeros if it is new.
    fn ensure(&mut self, name: &str, len: usize) -> Result<Memory, DeviceError> {
        if let Some((memory, has)) = self.states.get(name) {
            return if *has == len {
                Ok(memory.clone())
            } else {
                Err(DeviceError::Length { name: name.into(), needs: *has, has: len })
            };
        }
        let memory = Memory::new(&self.device, len, name)?;
        self.states.insert(name.into(), (memory.clone(), len));
        Ok(memory)
    }

    /// Bytes a buffer of a program has already.
    fn present(&self, purpose: &Purpose) -> u64 {
        let Purpose::State(name) = purpose else { return 0 };
        self.states.get(name).map_or(0, |(_, len)| 4 * *len as u64)
    }

    /// Writes a whole state, making it if it is new.
    pub fn write(&mut self, name: &str, data: &[f32]) -> Result<(), DeviceError> {
        let memory = self.ensure(name, data.len())?;
        memory.write(&self.device, 0, data);
        Ok(())
    }

    fn state(&self, name: &str) -> Result<&(Memory, usize), DeviceError> {
        self.states.get(name).ok_or_else(|| DeviceError::Name { kind: "state", name: name.into() })
    }

    /// Reads a whole state.
    pub fn read(&self, name: &str) -> Result<Vec<f32>, DeviceError> {
        self.start_read(name)?.take()
    }

    /// Starts reading a whole state behind everything submitted so far.
    pub fn start_read(&self, name: &str) -> Result<Pending, DeviceError> {
        let (memory, len) = self.state(name)?;
        Ok(memory.start_read(&self.device, 0, *len))
    }

    /// A ring that reads a whole state, in the memory that it has now.
    pub fn ring(&self, name: &str) -> Result<Ring, DeviceError> {
        let (memory, len) = self.state(name)?;
        Ok(Ring(match (memory, &self.device) {
            (Memory::Gpu(span), Device::Gpu(gpu)) => Held::Gpu(gpu.clone(), gpu.ring(span.slice(0, *len))),
            (Memory::Host(host), _) => Held::Host(host.clone()),
            (Memory::Gpu(_), _) => Held::Host(Rc::default()),
        }))
    }

    /// Lets two states of one length trade names. Programs that are ready keep to the memory they have.
    pub fn exchange(&mut self, one: &str, other: &str) {
        if let (Some(first), Some(second)) = (self.states.get(one).cloned(), self.states.get(other).cloned()) {
            debug_assert_eq!(first.1, second.1);
            self.states.insert(one.into(), second);
            self.states.insert(other.into(), first);
        }
    }

    /// Names of all states.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.states.keys().map(String::as_str)
    }
}

/// A program ready to run.
pub struct Runner {
    program: Program,
    device: Device,
    memory: Vec<Memory>,
    /// The commands of a run, and how they are cut into submissions; none on the CPU.
    recorder: Option<(Recorder, Pace)>,
    /// The input that is fed, and where its uploads go when they have been used.
    fed: Option<(View, Sender<Upload>)>,
    /// Runs that are on their way, and since when.
    in_flight: VecDeque<(gpu::Submission, Instant)>,
    host: Duration,
}

impl Runner {
    /// Makes buffers, pipelines and bind groups; states come from `store`.
    pub fn new(program: Program, store: &mut Store) -> Result<Runner, DeviceError> {
        Self::with_checks(program, store, false)
    }

    /// Like [`Runner::new`], with the shaders' bounds checks on or off.
    pub fn with_checks(program: Program, store: &mut Store, checks: bool) -> Result<Runner, DeviceError> {
        let device = store.device.clone();
        let mut capacity = Capacity::of(&device);
        let present = program.buffers.iter().map(|b| store.present(&b.purpose)).sum();
        capacity.total = capacity.total.map(|free| free.saturating_add(present));
        capacity.check(&program)?;
        let mut memory = Vec::new();
        let mut made = 0;
        for buffer in &program.buffers {
            let new = match &buffer.purpose {
                Purpose::State(name) => store.ensure(name, buffer.len),
                Purpose::Input(name) => Memory::new(&device, buffer.len, name).map_err(DeviceError::from),
                Purpose::Flat => Memory::new(&device, buffer.len, "gradients").map_err(DeviceError::from),
                Purpose::Temp => Memory::new(&device, buffer.len, "activations").map_err(DeviceError::from),
            };
            memory.push(match new {
                Err(DeviceError::Gpu(GpuError::OutOfMemory(_))) => {
                    return Err(Exceeded::Refused { needs: program.totals().memory, has: made }.into());
                }
                new => new?,
            });
            made += 4 * buffer.len as u64;
        }
        let recorder = match &device {
            Device::Cpu | Device::Twins => None,
            Device::Gpu(gpu) => {
                let pace = Pace::new(&program, gpu.caps().class);
                let ready = prepare(gpu, &program, &memory, checks)?;
                Some((Recorder::new(gpu.clone(), ready, pace.pieces()), pace))
            }
        };
        let (in_flight, host) = (VecDeque::new(), Duration::ZERO);
        Ok(Runner { program, device, memory, recorder, fed: None, in_flight, host })
    }

    /// The program.
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// Cuts the runs to come into submissions that are expected to take no longer than `most`, where that can be:
    /// a launch is never cut. Without this a GPU has half a second, and a software driver takes whole runs.
    pub fn limit_submissions(&mut self, most: Duration) {
        if let Some((recorder, pace)) = &mut self.recorder {
            pace.limit(most);
            recorder.cut(pace.pieces());
        }
    }

    /// Submissions that a run takes by what is known now; none on the CPU.
    pub fn submissions(&self) -> usize {
        self.recorder.as_ref().map_or(0, |(_, pace)| pace.pieces().len())
    }

    /// Writes an input. It is queued before the next run.
    pub fn write(&self, name: &str, data: &[f32]) -> Result<(), DeviceError> {
        let view = self.input(name)?;
        if view.len != data.len() {
            return Err(DeviceError::Length { name: name.into(), needs: view.len, has: data.len() });
        }
        self.memory[view.buffer].write(&self.device, view.offset, data);
        Ok(())
    }

    /// The same of the first rows of an input; the rest is zero.
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
    pub fn feed(&mut self, name: &str) -> Result<Feed, DeviceError> {
        let view = self.input(name)?;
        let (send, receive) = channel();
        // One for every run on its way, one to be handed over and one to be filled.
        for _ in 0..IN_FLIGHT + 2 {
            let room = match &self.device {
                Device::Gpu(gpu) => Room::Gpu { staging: gpu.staging(view.len)?, words: view.len },
                Device::Cpu | Device::Twins => Room::Host(vec![0.0; view.len]),
            };
            // The receiver is still here.
            let _ = send.send(Upload(room));
        }
        self.fed = Some((view, send));
        Ok(Feed(receive))
    }

    /// Runs the program once. On a GPU this returns as soon as the commands are queued, unless
    /// several runs are still on their way.
    pub fn run(&mut self) -> Result<(), DeviceError> {
        self.start(None)
    }

    /// Runs the program once with the contents of a filled upload from [`Runner::feed`].
    pub fn run_with(&mut self, upload: Upload) -> Result<(), DeviceError> {
        self.start(Some(upload))
    }

    fn start(&mut self, upload: Option<Upload>) -> Result<(), DeviceError> {
        let fed = upload.and_then(|upload| Some((upload, self.fed.clone()?)));
        let (Device::Gpu(gpu), Some((recorder, pace))) = (self.device.clone(), &mut self.recorder) else {
            if let Some((Upload(Room::Host(words)), (view, used))) = fed
                && let Memory::Host(host) = &self.memory[view.buffer]
            {
                // Nobody takes it back where the feed is gone.
                let _ = used.send(Upload(Room::Host(host.replace(words))));
            }
            self.program.launches.iter().for_each(|launch| run_on_host(launch, &self.memory, &self.device));
            return Ok(());
        };
        let start = Instant::now();
        let run = recorder.next();
        self.host += start.elapsed();
        let timed = pace.times(run.len());
        // A software device finishes one submission inside the call that submits the next: waiting
        // before costs nothing and keeps the host's own time apart from the device's.
        let alone = timed || gpu.caps().class == Class::Lanes;
        while self.in_flight.len() >= if alone { 1 } else { IN_FLIGHT }
            && let Some((oldest, since)) = self.in_flight.pop_front()
        {
            gpu.wait_for(oldest)?;
            pace.seen(since.elapsed(), IN_FLIGHT);
        }
        let mut upload = match fed {
            Some((Upload(Room::Gpu { staging, words }), (view, used))) => Some((staging, words, view, used)),
            _ => None,
        };
        let mut times = Vec::new();
        for piece in run {
            let start = Instant::now();
            let submission = if let Some((staging, words, view, used)) = upload.take()
                && let Memory::Gpu(span) = &self.memory[view.buffer]
            {
                let copy = gpu.upload(&staging, &span.slice(view.offset, view.len));
                let submission = gpu.submit_recorded([copy, piece.commands]);
                gpu.recall(staging, move |staging| _ = used.send(Upload(Room::Gpu { staging, words })));
                submission
            } else {
                gpu.submit_recorded([piece.commands])
            };
            self.host += start.elapsed();
            if timed {
                gpu.wait_for(submission)?;
                times.push((piece.launches, start.elapsed()));
            } else {
                self.in_flight.push_back((submission, start));
            }
        }
        if timed {
            pace.timed(&times);
            recorder.cut(pace.pieces());
        }
        Ok(gpu.check()?)
    }

    /// Waits for everything submitted.
    pub fn wait(&mut self) -> Result<(), DeviceError> {
        self.in_flight.clear();
        if let Device::Gpu(gpu) = &self.device {
            gpu.wait()?;
        }
        Ok(())
    }

    /// Time the host spent recording and submitting since it was last asked.
    pub fn take_host_time(&mut self) -> Duration {
        std::mem::take(&mut self.host)
    }

    /// Reads an output, waiting for the last run.
    pub fn read(&self, name: &str) -> Result<Vec<f32>, DeviceError> {
        self.start_read(name)?.take()
    }

    /// Starts reading an output behind everything submitted so far.
    pub fn start_read(&self, name: &str) -> Result<Pending, DeviceError> {
        let output = self.program.outputs.iter().find(|(n, _)| n == name);
        let (_, view) = output.ok_or_else(|| DeviceError::Name { kind: "output", name: name.into() })?;
        Ok(self.memory[view.buffer].start_read(&self.device, view.offset, view.len))
    }

    /// Runs the program once and returns the nanoseconds of each launch and what they were taken by. A device
    /// whose timestamps cannot be believed runs each launch some times in turn, and the states are then not those of
    /// one run.
    pub fn profile(&mut self) -> Result<(Vec<f64>, Clock), DeviceError> {
        self.wait()?;
        let Device::Gpu(gpu) = self.device.clone() else {
            let time = |launch: &Launch| {
                let start = Instant::now();
                run_on_host(launch, &self.memory, &self.device);
                start.elapsed().as_nanos() as f64
            };
            return Ok((self.program.launches.iter().map(time).collect(), Clock::Host));
        };
        let Some((recorder, pace)) = &self.recorder else { return Ok((Vec::new(), Clock::Host)) };
        let ready = recorder.ready();
        let by = bench::clock(&gpu)?;
        if by == Clock::Stamps {
            let mut times = Vec::new();
            for piece in pace.pieces() {
                let stretches: Vec<Stretch> = ready[piece].iter().map(|stages| (stages.as_slice(), 1)).collect();
                times.extend(gpu.time_stretches(&stretches)?);
            }
            return Ok((times, by));
        }
        let time = |stages: &Vec<Ready>| -> Result<f64, GpuError> {
            let mut samples = Timer::new(Stages { gpu: &gpu, stages }, by, PROFILED)?.round()?;
            Ok(1e9 * bench::quantile(&mut samples, 0.5))
        };
        Ok((ready.iter().map(time).collect::<Result<_, _>>()?, by))
    }
}

/// Makes every dispatch of a program.
fn prepare(gpu: &Gpu, program: &Program, memory: &[Memory], checks: bool) -> Result<Vec<Vec<Ready>>, DeviceError> {
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
    let span = |view: &View| match &memory[view.buffer] {
        Memory::Gpu(span) => span.slice(view.offset, view.len.next_multiple_of(4)),
        Memory::Host(_) => absent.clone(),
    };
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

/// Runs a launch on the CPU. Layout never lets a launch read a buffer it writes.
fn run_on_host(launch: &Launch, memory: &[Memory], device: &Device) {
    let host = |buffer: usize| match &memory[buffer] {
        Memory::Host(host) => host,
        Memory::Gpu(_) => unreachable!("the CPU runs on host memory"),
    };
    let mut order: Vec<usize> = (0..launch.writes.len()).collect();
    order.sort_by_key(|&i| (launch.writes[i].buffer, launch.writes[i].offset));
    let mut buffers: Vec<usize> = order.iter().map(|&i| launch.writes[i].buffer).collect();
    buffers.dedup();
    let mut taken: Vec<Vec<f32>> = buffers.iter().map(|b| host(*b).take()).collect();
    {
        let borrowed: Vec<_> = launch.reads.iter().map(|v| v.map(|v| (host(v.buffer).borrow(), v))).collect();
        let needed = launch.kernel.signature().reads.len();
        let mut reads: Vec<&[f32]> = borrowed
            .iter()
            .map(|b| b.as_ref().map_or(&[][..], |(data, v)| &data[v.offset..v.offset + v.len]))
            .collect();
        reads.resize(needed, &[]);
        // Absent writes come last and have no elements.
        let mut writes: Vec<&mut [f32]> = launch.kernel.signature().writes.iter().map(|_| &mut [][..]).collect();
        let mut next = order.iter().peekable();
        for (buffer, data) in std::iter::zip(&buffers, &mut taken) {
            let (mut rest, mut start) = (data.as_mut_slice(), 0);
            while let Some(&&i) = next.peek()
                && launch.writes[i].buffer == *buffer
            {
                let view = launch.writes[i];
                let (_, tail) = rest.split_at_mut(view.offset - start);
                let (mine, tail) = tail.split_at_mut(view.len);
                writes[i] = mine;
                (rest, start) = (tail, view.offset + view.len);
                next.next();
            }
        }
        match device {
            Device::Twins => launch.kernel.cpu(&reads, &mut writes),
            _ => launch.kernel.host(&reads, &mut writes),
        }
    }
    for (buffer, data) in std::iter::zip(buffers, taken) {
        host(buffer).replace(data);
    }
}
