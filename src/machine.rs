//! What this machine has to give.

use sysinfo::{MemoryRefreshKind, System};

/// Bytes of memory that are free, or left of the limit this process lives under; `u64::MAX` where
/// the system does not tell.
pub(crate) fn memory_available() -> u64 {
    let mut system = System::new();
    system.refresh_memory_specifics(MemoryRefreshKind::nothing().with_ram());
    let limit = system.cgroup_limits().map(|c| c.total_memory.saturating_sub(c.rss));
    let known = [Some(system.available_memory()), limit, address_space()].into_iter().flatten().filter(|b| *b > 0);
    known.min().unwrap_or(u64::MAX)
}

/// What is left of the address space that this process may take (`ulimit -v`), where Linux tells.
fn address_space() -> Option<u64> {
    let limits = std::fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max address space"))?;
    let limit: u64 = line.split_whitespace().next()?.parse().ok()?;
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let size = status.lines().find_map(|line| line.strip_prefix("VmSize:"))?;
    let taken: u64 = size.split_whitespace().next()?.parse().ok()?;
    Some(limit.saturating_sub(taken.saturating_mul(1024)).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_memory_to_give() {
        assert!((1 << 20..u64::MAX).contains(&memory_available()));
    }
}
