//! What a device says of its subgroups.

use super::{Gpu, GpuError};
use crate::kernels::{Coop, subgroups};

impl Gpu {
    /// Matrix units with the size of subgroups that the driver really compiles their shaders for,
    /// where a device has several.
    pub(super) fn with_subgroups(&self, coop: Coop) -> Coop {
        let (least, most) = self.desc().subgroup;
        if least == most {
            return coop;
        }
        let ask = |threads| self.subgroups_of(coop, threads).ok()?;
        Coop { subgroup: subgroups::settled(coop.subgroup, ask), ..coop }
    }

    /// The size of the subgroups of a workgroup of `threads`, if the device gives an answer.
    fn subgroups_of(&self, coop: Coop, threads: u32) -> Result<Option<u32>, GpuError> {
        if threads > self.caps().max_invocations {
            return Ok(None);
        }
        let stage = subgroups::asked(coop, threads);
        let (params, seen) = (self.uniforms(&stage.params)?, self.buffer(subgroups::WORDS, "subgroups")?);
        let ready = self.ready(&stage, false, &params, std::slice::from_ref(&seen))?;
        self.submit(|pass| ready.record(pass));
        let words = self.read(&seen)?;
        let (least, most) = self.desc().subgroup;
        let words = std::array::from_fn(|i| words.get(i).map_or(0, |word| word.to_bits()));
        Ok(subgroups::answer(words, coop, threads, [least, most]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_tells_the_size_of_its_subgroups() {
        let gpu = Gpu::open(std::env::var("LIMN_DEVICE").ok().as_deref()).expect("a device");
        if !gpu.desc().features.contains(&"subgroup") {
            return;
        }
        let (least, most) = gpu.desc().subgroup;
        let coop = Coop { edge: 16, subgroup: 32, emulated: 32 };
        for threads in [64, 128, 256] {
            let size = gpu.subgroups_of(coop, threads).expect("no fault").expect("an answer");
            assert!((least..=most).contains(&size), "{size} of {least} to {most}");
        }
        // Of one size only, nobody asks.
        let counted = gpu.with_subgroups(coop);
        assert_eq!(counted == coop, least == most || counted.subgroup == 32);
        assert_eq!(gpu.subgroups_of(coop, 1 << 20).expect("no fault"), None);
    }
}
