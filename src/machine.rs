//! What this machine has to give.

use sysinfo::{MemoryRefreshKind, System};

/// Bytes of memory that are free, or left of the limit this process lives under; `u64::MAX` where the system does not
/// tell.
pub(crate) fn memory_available() -> u64 {
    let mut system = System::new();
    system.refresh_memory_specifics(MemoryRefreshKind::nothing().with_ram());
    let limit = system.cgroup_limits().map(|c| c.total_memory.saturating_sub(c.rss));
    let known = [Some(system.available_memory()), limit].into_iter().flatten().filter(|b| *b > 0);
    known.min().unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_memory_to_give() {
        assert!((1 << 20..u64::MAX).contains(&memory_available()));
    }
}
