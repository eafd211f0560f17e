//! What kernels share where the processor is the device: pieces that stay in cache, loops as wide
//! as the processor's vectors, elementary functions in f32, and sums.
//!
//! Whatever is made here is the same number by number, however wide the vectors are and however
//! many threads there are: pieces do not depend on either, and sums have an order of their own.

mod elementary;
mod sums;

pub(super) use elementary::{exp, exp_m1, ln, normals, sigmoid, softplus, tanh, uniforms};
pub(super) use sums::{Planes, around, dot, sum, turns};

use rayon::prelude::*;

/// Elements of each operand that one task takes: 64 KiB.
pub(super) const PIECE: usize = 1 << 14;
/// Elements that go through several loops together, so that they stay in the first cache.
pub(super) const BLOCK: usize = 1024;

/// Calls `work` with the pieces of `y` and the index of the first element of each, side by side
/// where there are several.
pub(super) fn pieces(y: &mut [f32], work: impl Fn(usize, &mut [f32]) + Sync) {
    in_pieces(y, PIECE, work);
}

/// The same with pieces of so many elements.
pub(super) fn in_pieces(y: &mut [f32], piece: usize, work: impl Fn(usize, &mut [f32]) + Sync) {
    if y.len() <= piece {
        return work(0, y);
    }
    y.par_chunks_mut(piece).enumerate().for_each(|(i, y)| work(i * piece, y));
}

/// Makes a function whose loops are compiled for the widest vectors there are, and for those that
/// every processor of the architecture has; which it is is asked for at the call. The arithmetic is
/// the same: nothing is fused, and no sum changes its order.
macro_rules! wide {
    ($(#[$meta:meta])* $vis:vis fn $name:ident($($arg:ident: $type:ty),* $(,)?) $(-> $result:ty)? $body:block) => {
        $(#[$meta])*
        $vis fn $name($($arg: $type),*) $(-> $result)? {
            #[inline(always)]
            #[allow(clippy::too_many_arguments)]
            fn any($($arg: $type),*) $(-> $result)? $body
            #[cfg(target_arch = "x86_64")]
            $crate::kernels::host::wide!(
                @where ["avx512f" "avx512bw" "avx512dq" "avx512vl" "avx2"] any($($arg: $type),*) $(-> $result)?
            );
            #[cfg(target_arch = "x86_64")]
            $crate::kernels::host::wide!(@where ["avx2"] any($($arg: $type),*) $(-> $result)?);
            any($($arg),*)
        }
    };
    (@where [$($has:tt)*] $any:ident($($arg:ident: $type:ty),*) $(-> $result:ty)?) => {
        {
            $(#[target_feature(enable = $has)])*
            #[allow(clippy::too_many_arguments)]
            fn compiled_for($($arg: $type),*) $(-> $result)? {
                $any($($arg),*)
            }
            if $(is_x86_feature_detected!($has))&&* {
                // SAFETY: the processor has what it is compiled for, each by its name.
                #[allow(unsafe_code)]
                let made = unsafe { compiled_for($($arg),*) };
                return made;
            }
        }
    };
}
pub(super) use wide;

wide! {
    /// y += x.
    pub(super) fn add(y: &mut [f32], x: &[f32]) {
        for (y, x) in std::iter::zip(y, x) {
            *y += x;
        }
    }
}
