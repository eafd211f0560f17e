//! Who the ranks are: their machines and processes.

use std::fs;

/// A rank's machine and process, as the others know it.
#[derive(Clone, Debug, PartialEq)]
pub struct Peer {
    /// The machine's name.
    pub host: String,
    /// The system that counts its processes, where that can be told: two ranks with the same one see
    /// each other's.
    system: String,
    process: u32,
}

impl Peer {
    /// This process.
    pub fn this(host: String) -> Peer {
        Peer { host, system: system().unwrap_or_default(), process: std::process::id() }
    }

    pub fn bytes(&self) -> Vec<u8> {
        format!("{}\n{}\n{}", self.process, self.system, self.host).into_bytes()
    }

    /// What [`Peer::bytes`] made.
    pub fn read(bytes: &[u8]) -> Peer {
        let text = String::from_utf8_lossy(bytes);
        let mut lines = text.splitn(3, '\n').map(str::to_string);
        let process = lines.next().and_then(|line| line.parse().ok()).unwrap_or(0);
        let system = lines.next().unwrap_or_default();
        Peer { host: lines.next().unwrap_or_default(), system, process }
    }

    /// Whether it is known to have ended, by one that sees its processes.
    pub fn is_gone(&self, this: &Peer) -> bool {
        if self.system.is_empty() || self.system != this.system {
            return false;
        }
        match fs::read_to_string(format!("/proc/{}/stat", self.process)) {
            // What a process does is behind its name, which is in parentheses; one that has ended
            // may wait for whoever started it.
            Ok(stat) => stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with(['Z', 'X'])),
            Err(error) => error.kind() == std::io::ErrorKind::NotFound,
        }
    }
}

/// The system that runs since this start of the machine, and the space in which it counts processes.
fn system() -> Option<String> {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let space = fs::read_link("/proc/self/ns/pid").ok()?;
    Some(format!("{} {}", boot.trim(), space.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_ended_is_gone_for_those_who_see_it() {
        let this = Peer::this("here".into());
        assert_eq!(Peer::read(&this.bytes()), this);
        if this.system.is_empty() {
            return;
        }
        assert!(!this.is_gone(&this));
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let other = Peer { process: child.id(), ..this.clone() };
        assert!(!other.is_gone(&this));
        child.kill().unwrap();
        let until = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while !other.is_gone(&this) && std::time::Instant::now() < until {
            std::thread::yield_now();
        }
        assert!(other.is_gone(&this), "it has ended, and nobody has waited for it yet");
        child.wait().unwrap();
        assert!(other.is_gone(&this));
        assert!(!Peer { system: "another".into(), ..other }.is_gone(&this));
    }
}
