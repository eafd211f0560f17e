//! Which adapter is taken.

use super::{AdapterDesc, GpuError};

/// Kinds of adapters, the fastest first; `cpu` is a software driver.
const KINDS: [&str; 5] = ["discrete", "integrated", "virtual", "other", "cpu"];

/// Why an adapter is the one that is taken where nobody names another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It is the first of the fastest kind there is.
    Kind,
    /// This environment variable asks for it.
    Asked(&'static str),
}

impl AdapterDesc {
    /// Whether it is a software driver, which computes on the processor.
    pub fn is_software(&self) -> bool {
        self.kind == "cpu"
    }

    /// Whether its driver computes on the processor, whatever kind it says it is: Vulkan has numbers
    /// for Mesa and for Google, who make such drivers and no GPUs for Vulkan.
    pub fn is_on_processor(&self) -> bool {
        self.is_software() || [0x1_0005, 0x1ae0].contains(&self.numbers[0])
    }
}

/// The adapter to take where nobody names one, and why: the one that the environment asks for, or
/// else the first of the fastest kind: discrete, integrated, virtual, then software.
pub fn preferred(adapters: &[AdapterDesc]) -> Option<(&AdapterDesc, Reason)> {
    best(adapters, &|name| std::env::var(name).ok())
}

/// The adapter to run on where nobody names a device, and why. `None` where the processor itself is
/// faster, which a software driver is only taken before if the environment asks for it.
pub fn fastest(adapters: &[AdapterDesc]) -> Option<(&AdapterDesc, Reason)> {
    preferred(adapters).filter(|(adapter, reason)| !adapter.is_software() || *reason != Reason::Kind)
}

/// The adapters that the ranks on a machine take in turn where nobody names any: the one that the
/// environment asks for, or else every GPU that the preferred one's backend has, the fastest kinds
/// first and in their order. None where the processor is faster than all there are.
pub fn in_turn(adapters: &[AdapterDesc]) -> Vec<&AdapterDesc> {
    turns(adapters, &|name| std::env::var(name).ok())
}

fn turns<'a>(adapters: &'a [AdapterDesc], var: &dyn Fn(&str) -> Option<String>) -> Vec<&'a AdapterDesc> {
    match best(adapters, var) {
        None => Vec::new(),
        Some((asked, Reason::Asked(_))) => vec![asked],
        Some((first, Reason::Kind)) => {
            // A card that two backends know is one card.
            let alike = |adapter: &&AdapterDesc| !adapter.is_software() && adapter.backend == first.backend;
            let mut found: Vec<&AdapterDesc> = adapters.iter().filter(alike).collect();
            found.sort_by_key(|adapter| KINDS.iter().position(|kind| *kind == adapter.kind));
            found
        }
    }
}

/// The same as [`preferred`] with the environment that `var` knows.
///
/// `WGPU_ADAPTER_NAME` is a part of a name, `MESA_VK_DEVICE_SELECT` a vendor's and a device's
/// number as `10de:2330`, with a `!` behind them or not. One that fits no adapter asks for nothing.
/// `WGPU_POWER_PREF=low` puts integrated adapters first.
fn best<'a>(adapters: &'a [AdapterDesc], var: &dyn Fn(&str) -> Option<String>) -> Option<(&'a AdapterDesc, Reason)> {
    let named = |name: &'static str, fits: &dyn Fn(&str, &AdapterDesc) -> bool| {
        let wanted = var(name).map(|wanted| wanted.trim().to_lowercase()).filter(|wanted| !wanted.is_empty())?;
        let found = adapters.iter().find(|adapter| fits(&wanted, adapter))?;
        Some((found, Reason::Asked(name)))
    };
    let low = var("WGPU_POWER_PREF").is_some_and(|wanted| wanted.eq_ignore_ascii_case("low"));
    let rank = |adapter: &&AdapterDesc| match adapter.kind {
        "integrated" if low => None,
        kind => KINDS.iter().position(|k| *k == kind),
    };
    named("WGPU_ADAPTER_NAME", &|wanted, adapter| adapter.name.to_lowercase().contains(wanted))
        .or_else(|| named("MESA_VK_DEVICE_SELECT", &|wanted, adapter| numbers(wanted) == Some(adapter.numbers)))
        .or_else(|| Some((adapters.iter().min_by_key(rank)?, Reason::Kind)))
}

/// A vendor's and a device's number, written as Mesa takes them.
fn numbers(text: &str) -> Option<[u32; 2]> {
    let (vendor, device) = text.trim_end_matches('!').split_once(':')?;
    let hexadecimal = |text: &str| u32::from_str_radix(text.trim_start_matches("0x"), 16).ok();
    Some([hexadecimal(vendor)?, hexadecimal(device)?])
}

/// The adapter that `wanted` names: an index, or a part of a name, backend or driver.
///
/// # Errors
/// [`GpuError::UnknownDevice`].
pub fn named<'a>(descs: &'a [AdapterDesc], wanted: &str) -> Result<&'a AdapterDesc, GpuError> {
    let lower = wanted.to_lowercase();
    let text = |d: &AdapterDesc| format!("{} {} {}", d.name, d.backend, d.driver).to_lowercase();
    let found = match wanted.parse::<usize>() {
        // A number is an index and nothing else: "7" must not find an adapter with LLVM 17.
        Ok(index) => descs.get(index),
        Err(_) => descs.iter().find(|d| !lower.is_empty() && text(d).contains(&lower)),
    };
    found.ok_or_else(|| GpuError::UnknownDevice {
        wanted: wanted.to_string(),
        known: std::iter::once("cpu".to_string())
            .chain(descs.iter().map(|d| format!("{} ({})", d.index, d.name)))
            .collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(kinds: &[&'static str]) -> Vec<AdapterDesc> {
        let made = |(index, kind): (usize, &&'static str)| AdapterDesc {
            index,
            name: format!("The {kind} one, number {index}"),
            backend: "vulkan".into(),
            kind,
            numbers: [0x1000, 0x20 + index as u32],
            driver: "made up".into(),
            max_binding_bytes: 1 << 27,
            max_workgroup_bytes: 16384,
            max_invocations: 256,
            subgroup: (32, 32),
            features: Vec::new(),
        };
        kinds.iter().enumerate().map(made).collect()
    }

    /// The index of the best, and why it is, where the environment holds `vars`.
    fn taken(kinds: &[&'static str], vars: &[(&str, &str)]) -> Option<(usize, Reason)> {
        let var = |name: &str| vars.iter().find(|(known, _)| *known == name).map(|(_, value)| value.to_string());
        best(&machine(kinds), &var).map(|(adapter, reason)| (adapter.index, reason))
    }

    #[test]
    fn the_first_of_the_fastest_kind_is_taken() {
        let index = |kinds: &[&'static str]| taken(kinds, &[]).map(|(index, _)| index);
        assert_eq!(index(&[]), None);
        assert_eq!(index(&["cpu"]), Some(0));
        assert_eq!(index(&["cpu", "integrated", "discrete", "discrete"]), Some(2));
        assert_eq!(index(&["cpu", "virtual", "integrated", "integrated"]), Some(2));
        assert_eq!(index(&["cpu", "other", "cpu"]), Some(1));
        assert_eq!(index(&["cpu", "other", "virtual"]), Some(2));
    }

    #[test]
    fn what_the_environment_asks_for_comes_first() {
        let kinds = ["discrete", "integrated", "cpu"];
        let mesa = |value| taken(&kinds, &[("MESA_VK_DEVICE_SELECT", value)]);
        let asked = Reason::Asked("MESA_VK_DEVICE_SELECT");
        assert_eq!(mesa("1000:21"), Some((1, asked)));
        assert_eq!(mesa("1000:22!"), Some((2, asked)));
        for nothing in ["1000:99", "list", "", "1000", ":", "1000:zz"] {
            assert_eq!(mesa(nothing), Some((0, Reason::Kind)), "{nothing}");
        }
        let both = [("MESA_VK_DEVICE_SELECT", "1000:21"), ("WGPU_ADAPTER_NAME", "The CPU")];
        assert_eq!(taken(&kinds, &both), Some((2, Reason::Asked("WGPU_ADAPTER_NAME"))));
        assert_eq!(taken(&kinds, &[("WGPU_ADAPTER_NAME", "warp")]), Some((0, Reason::Kind)));
        assert_eq!(taken(&kinds, &[("WGPU_POWER_PREF", "low")]), Some((1, Reason::Kind)));
        assert_eq!(taken(&kinds, &[("WGPU_POWER_PREF", "high")]), Some((0, Reason::Kind)));
        assert_eq!(taken(&["cpu", "discrete"], &[("WGPU_POWER_PREF", "low")]), Some((1, Reason::Kind)));
    }

    #[test]
    fn ranks_take_the_gpus_in_turn() {
        let indices = |adapters: &[AdapterDesc], vars: &[(&str, &str)]| {
            let var = |name: &str| vars.iter().find(|(known, _)| *known == name).map(|(_, value)| value.to_string());
            turns(adapters, &var).iter().map(|adapter| adapter.index).collect::<Vec<_>>()
        };
        let mut adapters = machine(&["cpu", "integrated", "discrete", "discrete"]);
        assert_eq!(indices(&adapters, &[]), [2, 3, 1]);
        assert_eq!(indices(&adapters, &[("MESA_VK_DEVICE_SELECT", "1000:23")]), [3]);
        assert_eq!(indices(&adapters, &[("WGPU_ADAPTER_NAME", "the cpu")]), [0]);
        // The same card a second time.
        adapters[3].backend = "dx12".into();
        assert_eq!(indices(&adapters, &[]), [2, 1]);
        assert_eq!(indices(&machine(&["cpu", "cpu"]), &[]), [0; 0]);
        assert_eq!(indices(&[], &[]), [0; 0]);
    }

    #[test]
    fn a_name_finds_the_first_it_fits_and_a_number_only_an_index() {
        let adapters = machine(&["discrete", "cpu"]);
        assert_eq!(named(&adapters, "CPU one").ok().map(|found| found.index), Some(1));
        assert_eq!(named(&adapters, "vulkan").ok().map(|found| found.index), Some(0));
        assert_eq!(named(&adapters, "1").ok().map(|found| found.index), Some(1));
        for nothing in ["2", "", "warp"] {
            assert!(named(&adapters, nothing).is_err(), "{nothing}");
        }
    }
}
