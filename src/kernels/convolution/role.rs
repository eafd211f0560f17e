//! What the convolution and the transposed convolution share: all but what they are called.

use super::conv::{Conv, abs};
use super::epilogue::Tail;
use super::gather::Role;
use super::standing::Standing;
use super::tiles::Rounding;
use crate::kernels::{Images, Lens, Precision};
use std::borrow::Cow;

impl Conv {
    fn tail<'a>(&self, role: Role, reads: &[&'a [f32]]) -> Tail<'a> {
        let [_, to] = self.ends(role);
        self.epilogue.tail(&reads[2..], to.channels, to.plane)
    }

    /// The most terms of an output.
    pub(super) fn terms(&self, role: Role) -> usize {
        self.ends(role)[0].channels * self.taps()
    }

    pub(super) fn lens(&self, role: Role) -> Lens {
        let [from, to] = self.ends(role).map(|end| self.n as usize * end.channels * end.plane);
        let [b, r, g] = self.epilogue.lens(self.ends(role)[1].channels, to);
        Lens { reads: vec![from, self.w_len(), b, r, g], writes: vec![to] }
    }

    /// How the source and the result stand.
    fn stand(&self, role: Role) -> [Standing; 2] {
        let [x, y] = self.standing();
        if role == Role::Conv { [x, y] } else { [y, x] }
    }

    /// The reads by planes.
    fn reads_in_planes<'a>(&self, role: Role, reads: &[&'a [f32]]) -> Vec<Cow<'a, [f32]>> {
        let [from, to] = self.stand(role);
        let planes = |(i, read): (usize, &&'a [f32])| match i {
            0 => from.planes(read),
            3 | 4 => to.planes(read),
            _ => Cow::Borrowed(*read),
        };
        reads.iter().enumerate().map(planes).collect()
    }

    pub(super) fn channels_last(&self, role: Role, asked: &[Option<Images>]) -> Option<(Conv, Vec<bool>)> {
        let there = [true, true, true, self.epilogue.residual != 0, self.epilogue.gate != 0, true];
        let ends = [asked[0], asked[5].filter(|_| [3, 4].iter().all(|i| !there[*i] || asked[*i] == asked[5]))];
        let [from, to] = if role == Role::Conv { [0, 1] } else { [1, 0] };
        let can = self.can_stand([ends[from], ends[to]]);
        let conv = self.last(can[0], can[1]);
        let takes = [can[from], false, false, can[to], can[to], can[to]];
        can.contains(&true).then(|| (conv, takes.to_vec()))
    }

    pub(super) fn cpu(&self, role: Role, reads: &[&[f32]], to: &mut [f32]) {
        if !self.by_planes() {
            let reads = self.reads_in_planes(role, reads);
            let mut planes = vec![0.0; to.len()];
            self.in_planes().cpu(role, &reads.iter().map(|read| &**read).collect::<Vec<_>>(), &mut planes);
            return self.stand(role)[1].write(&planes, to);
        }
        self.tail(role, reads).write(&self.sum(role, reads[0], reads[1]), to);
    }

    pub(super) fn host(&self, role: Role, reads: &[&[f32]], to: &mut [f32]) {
        if !(self.has_room() && self.by_planes()) {
            return self.cpu(role, reads, to);
        }
        match role {
            Role::Conv => self.host_y(reads[0], reads[1], to, &self.tail(role, reads)),
            Role::Transpose => self.host_x(reads[0], reads[1], to, &self.tail(role, reads)),
        }
    }

    pub(super) fn permitted(&self, role: Role, reads: &[&[f32]], to: &[f32], rounding: Rounding) -> Vec<Vec<f32>> {
        if !self.by_planes() {
            let ([_, own], reads) = (self.stand(role), self.reads_in_planes(role, reads));
            let reads: Vec<&[f32]> = reads.iter().map(|read| &**read).collect();
            let bounds = self.in_planes().permitted(role, &reads, &own.planes(to), rounding);
            let mut permitted = vec![0.0; to.len()];
            own.write(&bounds[0], &mut permitted);
            return vec![permitted];
        }
        let sums = self.sum(role, &abs(reads[0]), &abs(reads[1]));
        vec![self.tail(role, reads).bounds(self.terms(role), &sums, rounding, to)]
    }

    pub(super) fn sampled(&self, role: Role, reads: &[&[f32]], at: &[usize], precision: Precision) -> Vec<[f32; 2]> {
        if !self.by_planes() {
            let ([_, own], reads) = (self.stand(role), self.reads_in_planes(role, reads));
            let reads: Vec<&[f32]> = reads.iter().map(|read| &**read).collect();
            let at: Vec<usize> = at.iter().map(|at| own.plane_of(*at)).collect();
            return self.in_planes().sampled(role, &reads, &at, precision);
        }
        let (terms, tail) = (self.terms(role), self.tail(role, reads));
        let rounding = Rounding::of_factors(precision, terms, reads[0], reads[1]);
        let spot = |at: &usize| {
            let sum = match role {
                Role::Conv => self.spot_y(reads[0], reads[1], *at),
                Role::Transpose => self.spot_x(reads[0], reads[1], *at),
            };
            tail.spot(terms, sum, rounding, *at)
        };
        at.iter().map(spot).collect()
    }
}

/// Makes a kernel of a role: its struct with its documentation, its name, and what it calls its
/// source and its result.
macro_rules! role {
    ($(#[$doc:meta])* $kernel:ident, $role:expr, $name:literal, $from:literal => $to:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub struct $kernel(pub Conv);

        impl Kernel for $kernel {
            fn signature(&self) -> &'static Signature {
                &Signature { name: $name, reads: &[$from, "w", "b", "r", "g"], writes: &[($to, Access::Write)] }
            }

            fn lens(&self) -> Lens {
                self.0.lens($role)
            }

            fn cpu(&self, reads: &[&[f32]], writes: &mut [&mut [f32]]) {
                self.0.cpu($role, reads, writes[0]);
            }

            fn host(&self, reads: &[&[f32]], writes: &mut [&mut [f32]]) {
                self.0.host($role, reads, writes[0]);
            }

            fn variants(&self, caps: &Caps) -> Vec<Recipe> {
                gather::variants(&self.0, $role, caps)
            }

            fn at_pixel(&self) -> Option<AtPixel> {
                self.0.at_pixel().filter(|_| $role == Role::Conv)
            }

            fn flops(&self) -> u64 {
                self.0.flops()
            }

            fn label(&self) -> String {
                self.0.label()
            }

            fn channels_last(&self, operands: &[Option<Images>]) -> Option<ChannelsLast> {
                let (conv, operands) = self.0.channels_last($role, operands)?;
                Some(ChannelsLast { kernel: Arc::new($kernel(conv)), operands })
            }

            fn fuse(&self, epilogue: Epilogue) -> Option<Fused> {
                let conv = Conv { epilogue: self.0.epilogue.fuse(epilogue)?, ..self.0 };
                Some(Fused { kernel: Arc::new($kernel(conv)), read: epilogue.read(2) })
            }
        }

        impl Checks for $kernel {
            fn example(&self, of: crate::kernels::Operand, len: usize, draw: &mut dyn FnMut() -> f32) -> Vec<f32> {
                super::epilogue::example(of, len, draw)
            }

            fn bounds(&self, reads: &[&[f32]], _old: &[&[f32]], reference: &[&[f32]]) -> Vec<Vec<f32>> {
                self.0.permitted($role, reads, reference[0], Rounding::default())
            }

            fn mixed_bounds(&self, reads: &[&[f32]], _old: &[&[f32]], reference: &[&[f32]]) -> Vec<Vec<f32>> {
                let rounding = Rounding::mixed(self.0.terms($role), reads[0], reads[1]);
                self.0.permitted($role, reads, reference[0], rounding)
            }

            fn sums(&self) -> bool {
                self.0.epilogue.keeps_whole()
            }

            fn sampled(&self, reads: &[&[f32]], at: &[usize], precision: Precision) -> Option<Vec<[f32; 2]>> {
                Some(self.0.sampled($role, reads, at, precision))
            }
        }

        fn boxed(all: Vec<Conv>) -> Vec<Box<dyn Kernel>> {
            all.into_iter().map(|c| Box::new($kernel(c)) as Box<dyn Kernel>).collect()
        }

        /// The presets' layers without a mask.
        pub fn shapes() -> Vec<Box<dyn Kernel>> {
            boxed(conv_cases::preset_layers())
        }

        /// Odd shapes with masks.
        pub fn masked_cases() -> Vec<Box<dyn Kernel>> {
            boxed(conv_cases::masked())
        }

        /// The presets' masked layers.
        pub fn masked_shapes() -> Vec<Box<dyn Kernel>> {
            boxed(conv_cases::masked_preset_layers())
        }
    };
}
pub(super) use role;
