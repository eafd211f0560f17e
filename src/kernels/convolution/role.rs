//! What the convolution and the transposed convolution share: all but what they are called.

use super::conv::{Conv, abs};
use super::epilogue::Tail;
use super::gather::Role;
use super::tiles::Rounding;
use crate::kernels::{Lens, Precision};

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

    pub(super) fn cpu(&self, role: Role, reads: &[&[f32]], to: &mut [f32]) {
        self.tail(role, reads).write(&self.sum(role, reads[0], reads[1]), to);
    }

    pub(super) fn host(&self, role: Role, reads: &[&[f32]], to: &mut [f32]) {
        if !self.has_room() {
            return self.cpu(role, reads, to);
        }
        match role {
            Role::Conv => self.host_y(reads[0], reads[1], to, &self.tail(role, reads)),
            Role::Transpose => self.host_x(reads[0], reads[1], to, &self.tail(role, reads)),
        }
    }

    pub(super) fn permitted(&self, role: Role, reads: &[&[f32]], to: &[f32], rounding: Rounding) -> Vec<Vec<f32>> {
        let sums = self.sum(role, &abs(reads[0]), &abs(reads[1]));
        vec![self.tail(role, reads).bounds(self.terms(role), &sums, rounding, to)]
    }

    pub(super) fn sampled(&self, role: Role, reads: &[&[f32]], at: &[usize], precision: Precision) -> Vec<[f32; 2]> {
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

            fn fuse(&self, epilogue: Epilogue) -> Option<Fused> {
                let conv = Conv { epilogue: self.0.epilogue.fuse(epilogue)?, ..self.0 };
                Some(Fused { kernel: Arc::new($kernel(conv)), read: epilogue.read(2) })
            }
        }

        impl Checks for $kernel {
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
