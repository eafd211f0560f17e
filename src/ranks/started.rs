//! What launchers of MPI leave in the environment of those whom they start.

/// How many processes each launcher says that it started: Open MPI, MPICH's and Intel's Hydra (and
/// whatever else speaks PMI), MVAPICH, a step of Slurm. An allocation of Slurm alone, whose script
/// runs once, has none of them.
const COUNTS: [&str; 4] = ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MV2_COMM_WORLD_SIZE", "SLURM_STEP_NUM_TASKS"];

/// Which of them it is.
const NUMBERS: [&str; 4] = ["OMPI_COMM_WORLD_RANK", "PMI_RANK", "MV2_COMM_WORLD_RANK", "SLURM_PROCID"];

/// How many processes were started together with this one, as their launcher says in the
/// environment (`OMPI_COMM_WORLD_SIZE`, `PMI_SIZE`, `MV2_COMM_WORLD_SIZE`, `SLURM_STEP_NUM_TASKS`),
/// where that is more than one.
pub fn started_by_many() -> Option<usize> {
    many(&|name| std::env::var(name).ok())
}

/// Which of them it is, as the launcher says (`OMPI_COMM_WORLD_RANK`, `PMI_RANK`,
/// `MV2_COMM_WORLD_RANK`, `SLURM_PROCID`), where there are several.
pub fn number_of_many() -> Option<usize> {
    number(&|name| std::env::var(name).ok())
}

fn number(var: &dyn Fn(&str) -> Option<String>) -> Option<usize> {
    many(var)?;
    // Where a launcher starts one within a step of another's, the inner one knows.
    NUMBERS.iter().find_map(|name| var(name)?.trim().parse().ok())
}

fn many(var: &dyn Fn(&str) -> Option<String>) -> Option<usize> {
    let counts = COUNTS.iter().filter_map(|name| var(name)?.trim().parse().ok());
    // A step of Slurm's may be the one process that starts all others, so the largest is right.
    counts.max().filter(|count| *count > 1)
}

/// Whether anything in the environment says that a launcher started this process. `PMIX_RANK` tells
/// no count.
#[cfg(feature = "mpi")]
pub(super) fn started() -> bool {
    started_by_many().is_some() || std::env::var_os("PMIX_RANK").is_some()
}

#[cfg(test)]
mod tests {
    use super::{many, number};

    #[test]
    fn launchers_say_how_many_there_are() {
        let of = |vars: &[(&str, &str)]| {
            many(&|name| vars.iter().find(|(known, _)| *known == name).map(|(_, value)| value.to_string()))
        };
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[("OMPI_COMM_WORLD_SIZE", "4")]), Some(4));
        assert_eq!(of(&[("PMI_SIZE", "2"), ("SLURM_STEP_NUM_TASKS", "2")]), Some(2));
        assert_eq!(of(&[("SLURM_STEP_NUM_TASKS", "1"), ("OMPI_COMM_WORLD_SIZE", "8")]), Some(8));
        assert_eq!(of(&[("OMPI_COMM_WORLD_SIZE", "1")]), None);
        assert_eq!(of(&[("PMI_SIZE", "many")]), None);
        let number_of = |vars: &[(&str, &str)]| {
            number(&|name| vars.iter().find(|(known, _)| *known == name).map(|(_, value)| value.to_string()))
        };
        assert_eq!(number_of(&[("PMI_SIZE", "2"), ("PMI_RANK", "1"), ("SLURM_PROCID", "0")]), Some(1));
        assert_eq!(number_of(&[("SLURM_PROCID", "3")]), None);
        // The script of an allocation runs once, whatever it was given.
        assert_eq!(of(&[("SLURM_NTASKS", "4"), ("SLURM_PROCID", "0")]), None);
    }
}
