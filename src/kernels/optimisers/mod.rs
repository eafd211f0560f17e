//! Updates of parameters: optimisers, moving averages, clipping.
//!
//! ```
//! use limn::kernels::{Kernel, clip::Clip};
//!
//! let mut w = [-2.0, 0.25, 2.0];
//! Clip { len: 3, bound: 0.5 }.cpu(&[], &mut [&mut w]);
//! assert_eq!(w, [-0.5, 0.25, 0.5]);
//! ```

pub mod adam;
pub mod clip;
pub mod descent;
pub mod ema;
pub mod rmsprop;
pub mod rule;
pub mod schedule;
pub mod sgd;

use crate::kernels::Entry;

/// Calls a macro with every optimiser: what it is, its kind, its module, and the
/// [`Rule`](rule::Rule) there that settings give it.
macro_rules! optimisers {
    ($with:ident) => {
        $with! {
            /// Stochastic gradient descent with momentum.
            Sgd: sgd SgdRule;
            /// RMSprop, plain or centred.
            Rmsprop: rmsprop RmspropRule;
            /// Adam.
            Adam: adam AdamRule;
        }
    };
}
pub(crate) use optimisers;

macro_rules! entries {
    ($($(#[$doc:meta])* $kind:ident: $module:ident $rule:ident;)*) => {
        vec![$(Entry { name: stringify!($module), cases: $module::cases, shapes: $module::shapes },)*]
    };
}

/// The kernels of the optimisers.
pub(super) fn entries() -> Vec<Entry> {
    optimisers!(entries)
}
