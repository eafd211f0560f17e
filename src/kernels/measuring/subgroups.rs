//! A question to a device: in what subgroups it runs a shader with matrix units.

use crate::kernels::{Coop, Shader, Slot, Stage, params, shader};

params! {
    /// The block of `shaders/subgroups.wgsl`.
    pub struct Subgroups {
        /// Not used; a parameter block is never empty.
        pub pad: u32,
    }
}

static UNITS: [Shader; 2] = [
    shader!(Subgroups, "subgroups" as "subgroups_8", units = "units", edge = "8"),
    shader!(Subgroups, "subgroups" as "subgroups_16", units = "units", edge = "16"),
];
static EMULATED: Shader = shader!(Subgroups, "subgroups" as "subgroups_emulated", units = "emulated", edge = "16");

/// What [`asked`] writes: subgroups, the size of one, and the bits of a number that shows that
/// matrix units work.
pub const WORDS: usize = 3;

/// The stage that asks, in a workgroup of `threads`, which writes [`WORDS`] words.
pub fn asked(coop: Coop, threads: u32) -> Stage {
    let shader = match (coop.emulated, coop.edge) {
        (0, edge) => &UNITS[usize::from(edge == 16)],
        _ => &EMULATED,
    };
    Stage::new(shader, &Subgroups { pad: 0 }, [1, 1, 1]).bind("seen", Slot::Write(0)).constant("THREADS", threads)
}

/// The size of subgroups that those words tell of, if they are an answer: an emulated device, or a
/// driver that fails, leaves anything there. `least` and `most` are the sizes the device has.
pub fn answer(words: [u32; WORDS], coop: Coop, threads: u32, [least, most]: [u32; 2]) -> Option<u32> {
    let [subgroups, size, made] = words;
    let edge = if coop.emulated == 0 { coop.edge } else { 16 };
    let plausible = size.is_power_of_two() && (least..=most).contains(&size);
    let whole = plausible && subgroups == threads.div_ceil(size);
    (whole && f32::from_bits(made) == edge as f32).then_some(size)
}

/// The size of subgroups to count on, given what `ask` finds out for workgroups of some size: the
/// one that workgroups made for it have. What was assumed stays where there is no answer, or the
/// size changes with the workgroup's.
pub fn settled(assumed: u32, ask: impl Fn(u32) -> Option<u32>) -> u32 {
    match ask(FEWEST * assumed) {
        Some(size) if size != assumed && ask(FEWEST * size) == Some(size) => size,
        _ => assumed,
    }
}

/// Subgroups of the smallest workgroup that has matrix units to use.
const FEWEST: u32 = 4;

#[cfg(test)]
mod tests {
    use super::*;

    const COOP: Coop = Coop { edge: 16, subgroup: 32, emulated: 0 };

    #[test]
    fn only_what_fits_together_is_an_answer() {
        let bits = 16f32.to_bits();
        let told = |words| answer(words, COOP, 128, [32, 64]);
        assert_eq!(told([2, 64, bits]), Some(64));
        assert_eq!(told([4, 32, bits]), Some(32));
        for nothing in [[0, 0, 0], [8, 16, bits], [1, 128, bits], [3, 48, bits], [4, 64, bits], [2, 64, 0], [2, 64, 16]]
        {
            assert_eq!(told(nothing), None, "{nothing:?}");
        }
        let eight = Coop { edge: 8, ..COOP };
        assert_eq!(answer([2, 64, 8f32.to_bits()], eight, 128, [32, 64]), Some(64));
        assert_eq!(answer([u32::MAX; 3], COOP, 128, [32, u32::MAX]), None);
    }

    #[test]
    fn a_size_counts_if_workgroups_made_for_it_have_it() {
        assert_eq!(settled(32, |_| None), 32);
        assert_eq!(settled(32, |_| Some(32)), 32);
        assert_eq!(settled(32, |_| Some(64)), 64);
        assert_eq!(settled(32, |_| Some(16)), 16);
        // Small workgroups in subgroups of 64, larger ones of 32.
        assert_eq!(settled(32, |threads| Some(if threads <= 128 { 64 } else { 32 })), 32);
        assert_eq!(settled(32, |threads| (threads == 128).then_some(64)), 32);
    }
}
