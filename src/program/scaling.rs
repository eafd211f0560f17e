//! What a step of several ranks is expected to take: a small model of what they send each other.
//!
//! A rank sends messages one after the other at its network's rate, each after a gap; what goes
//! along is as many bytes as [`crate::ranks`] sends. A mean of N ranks over at most
//! [`SHORT`](crate::ranks::SHORT) bytes is N - 1 messages of all of them; a longer one is 3 (N - 1)
//! messages, of heads, of parts and of their means, and 2 (N - 1) / N of the bytes. Before and
//! behind lies the way between device and host. Means go in order, one at a time; each starts when
//! what it is of has been made, and the device computes on until it is read. The launches in
//! between take shares of the step by their arithmetic and traffic. What a rank computes is more than
//! its part of the step of one by itself, where statistics of the whole batch are asked for in
//! between: by how much is told by the same measure.
//!
//! It leaves out ranks that are not equally fast, networks that many ranks share, and that a host
//! may be busy.

use super::meet::meetings;
use super::{Launch, Program};
use crate::ranks::SHORT;

/// Seconds of a message until its first byte is there, and of what wakes up to take it.
const LATENCY: f64 = 10e-6;
/// Seconds between two messages.
const GAP: f64 = 1e-6;
/// Numbers that a host adds up in a second, in order, in f64.
const SUMS: f64 = 3e9;
/// Bytes a second between a device and its host.
const HOST: f64 = 12e9;
/// Seconds that a device waits at least where a step is cut, for the host to read and to write.
const CUT: f64 = 50e-6;
/// Operations and bytes a second and seconds a launch, of a GPU and of a core of a processor: only how
/// these relate counts.
const DEVICE: [f64; 3] = [20e12, 2.5e12, 4e-6];
const CORE: [f64; 3] = [40e9, 3.5e9, 5e-6];

/// What there is between ranks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Network {
    /// How many ranks there are.
    pub ranks: usize,
    /// Bytes that each sends in a second, while it receives as many.
    pub bytes_per_second: f64,
}

/// What a step of one of several ranks is expected to be.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Scaling {
    /// Means over ranks, short ones that are sent together as one.
    pub means: usize,
    /// Bytes that they are over.
    pub mean_bytes: u64,
    /// Bytes that a rank sends.
    pub sent_bytes: u64,
    /// Messages that a rank sends.
    pub messages: u64,
    /// Seconds that the device computes.
    pub computing: f64,
    /// Seconds of sending and of adding up, if nothing else went on.
    pub reduction: f64,
    /// Seconds that the device waits for means.
    pub waiting: f64,
    /// The same if each mean was waited for where it is made.
    pub waiting_without_overlap: f64,
}

impl Scaling {
    /// What N ranks get done in a second beside N times what one does whose step takes so many seconds.
    pub fn efficiency(&self, alone: f64) -> f64 {
        alone / (self.computing + self.waiting)
    }

    /// The same if each mean was waited for where it is made.
    pub fn efficiency_without_overlap(&self, alone: f64) -> f64 {
        alone / (self.computing + self.waiting_without_overlap)
    }
}

/// The messages, bytes sent and seconds of a mean over ranks.
fn mean(bytes: f64, network: Network) -> (f64, f64, f64) {
    let (n, others) = (network.ranks as f64, network.ranks as f64 - 1.0);
    let (messages, sent, waits) = match bytes <= SHORT as f64 {
        true => (others, others * bytes, 1.0),
        false => (3.0 * others, 2.0 * others / n * bytes, 2.0),
    };
    let sums = if waits > 1.0 { bytes / 4.0 } else { others * bytes / 4.0 };
    (messages, sent, waits * LATENCY + messages * GAP + sent / network.bytes_per_second + sums / SUMS)
}

impl Program {
    /// What a run of a rank is expected to take, where the program `alone` of one that does as much by
    /// itself takes so many `seconds`.
    pub fn scaling(&self, network: Network, alone: &Program, seconds: f64) -> Scaling {
        let weights: Vec<f64> = self.launches.iter().map(weight).collect();
        let unit = seconds / alone.launches.iter().map(weight).sum::<f64>().max(f64::MIN_POSITIVE);
        let meetings = meetings(self);
        let messages: Vec<_> = meetings.chunk_by(|a, b| a.message == b.message).collect();
        let mut scaling = Scaling { means: messages.len(), ..Scaling::default() };
        scaling.computing = unit * weights.iter().sum::<f64>();
        if network.ranks < 2 {
            return scaling;
        }
        // When the device is done with the launches so far, when the network is free, and when each
        // mean is back.
        let (mut device, mut free, mut back) = (0.0f64, 0.0f64, Vec::new());
        for (at, weight) in weights.iter().enumerate() {
            for message in messages.iter().filter(|message| message[0].made == at) {
                let bytes = 4.0 * message.iter().map(|part| part.from.len).sum::<usize>() as f64;
                let (messages, sent, seconds) = mean(bytes, network);
                let way = bytes / HOST;
                free = free.max(device + way) + seconds;
                back.push((message[0].launch, free + way + CUT));
                scaling.mean_bytes += bytes as u64;
                scaling.sent_bytes += sent as u64;
                scaling.messages += messages as u64;
                scaling.reduction += seconds;
                scaling.waiting_without_overlap += seconds + 2.0 * way + CUT;
            }
            for (_, when) in back.iter().filter(|(launch, _)| *launch == at) {
                scaling.waiting += (when - device).max(0.0);
                device = device.max(*when);
            }
            device += weight * unit;
        }
        scaling
    }
}

/// How long a launch takes beside others.
fn weight(launch: &Launch) -> f64 {
    if launch.kernel.is_mean_of_ranks() {
        return 0.0;
    }
    let cost = launch.kernel.cost();
    let [operations, bytes, each] = if launch.recipe.is_some() { DEVICE } else { CORE };
    (cost.flops as f64 / operations).max(cost.bytes as f64 / bytes) + each
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Graph, Noise, Shard};
    use crate::program::{Options, plan};

    fn network(ranks: usize) -> Network {
        Network { ranks, bytes_per_second: 1e9 }
    }

    #[test]
    fn a_long_mean_sends_almost_twice_its_bytes_and_a_short_one_goes_to_all() {
        let (messages, sent, seconds) = mean(4e6, network(4));
        assert_eq!((messages, sent), (9.0, 6e6));
        assert!(seconds > 6e-3 && seconds < 6.5e-3, "{seconds}");
        assert_eq!(mean(400.0, network(4)).1, 1200.0);
        // From many ranks on, messages count.
        assert!(mean(4e6, network(1024)).2 > 8e-3 + 3e-3);
    }

    /// A mean that is made first and read last, with this much work in between.
    fn program(ranks: usize, work: usize) -> Program {
        let shard = Shard { ranks, ..Shard::WHOLE };
        let g = Graph::new(Noise { seed: 0, domain: 0, clock: "clock".into() }).of_shard(shard);
        let (x, a) = (g.input("x", &[1 << 20]), g.input("a", &[512, 512]));
        let mean = x.exp().over_ranks();
        let product = (0..work).fold(a.clone(), |product, _| product.matmul(&a));
        g.output("late", &product);
        g.output("mean", &mean.exp());
        plan(&g.finish().unwrap(), &Options::new(None)).unwrap()
    }

    #[test]
    fn a_device_waits_for_what_its_work_does_not_hide() {
        let one = program(1, 4);
        let alone = one.scaling(network(1), &one, 0.1);
        assert!((alone.efficiency(0.1) - 1.0).abs() < 1e-12 && (alone.means, alone.waiting) == (0, 0.0));
        let two = program(2, 4);
        let long = two.scaling(network(2), &two, 0.1);
        assert_eq!((long.means, long.mean_bytes, long.sent_bytes, long.messages), (1, 4 << 20, 4 << 20, 3));
        assert!(long.waiting < long.waiting_without_overlap, "{long:?}");
        let short = two.scaling(network(2), &two, 1e-6);
        assert!(short.waiting > 0.99 * short.waiting_without_overlap - 1e-6, "{short:?}");
        assert!(short.efficiency(1e-6) < 0.01 && long.efficiency(0.1) > 0.9);
        assert!(long.efficiency_without_overlap(0.1) < long.efficiency(0.1));
    }

    #[test]
    fn what_ranks_compute_besides_counts() {
        let norm = |ranks: usize| {
            let shard = Shard { ranks, ..Shard::WHOLE };
            let g = Graph::new(Noise { seed: 0, domain: 0, clock: "clock".into() }).of_shard(shard);
            let x = g.input("x", &[64, 32, 16, 16]);
            let [gamma, beta] = ["gamma", "beta"].map(|name| g.input(name, &[32]));
            g.output("y", &x.batch_norm(&gamma, &beta, 1e-5).y);
            plan(&g.finish().unwrap(), &Options::new(None)).unwrap()
        };
        let two = norm(2).scaling(network(2), &norm(1), 0.1);
        assert!(two.computing > 0.11 && two.efficiency(0.1) < 0.1 / 0.11, "{two:?}");
    }
}
