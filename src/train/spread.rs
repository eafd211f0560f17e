//! Work that several ranks share: whoever makes many images or figures of them makes a part of them
//! in each rank, and all ranks get everything.

use super::{Session, SessionError};
use crate::program::{DeviceError, Together, speak};
use crate::ranks::RankError;
use bytemuck::Pod;

/// What a rank's part came to, in front of it.
const MADE: u8 = 0;
const STOPPED: u8 = 1;
const FAILED: u8 = 2;

impl Session {
    /// From now on several ranks, each with a session of its own in the same states, share the making
    /// of images and figures: all of them have to call the same functions in the same order. None, to
    /// make everything here.
    pub fn share_work(&mut self, among: Option<Together>) {
        self.among = among;
    }

    /// Whether this is the rank that writes what several make, as it is where there is one.
    pub fn is_first(&self) -> bool {
        self.among.as_ref().is_none_or(|among| speak(among).rank() == 0)
    }

    /// How many ranks share the work.
    pub(crate) fn sharing(&self) -> usize {
        self.among.as_ref().map_or(1, |among| speak(among).count())
    }

    /// What `work` makes of so many pieces, in their order. Where ranks share the work it is given some
    /// of them, `r`, `r + N`, ... of rank `r` of N, and all ranks return the same. It returns what it
    /// makes of each piece that it is given, and does all in it that can fail on one rank alone.
    ///
    /// # Errors
    /// Its own, and those of the other ranks.
    pub(crate) fn spread<T: Pod>(
        &mut self,
        pieces: usize,
        work: impl FnOnce(&mut Session, &[usize]) -> Result<Vec<Vec<T>>, SessionError>,
    ) -> Result<Vec<Vec<T>>, SessionError> {
        let Some(among) = self.among.take() else { return work(self, &(0..pieces).collect::<Vec<_>>()) };
        let ranks = speak(&among);
        let (rank, count, pause) = (ranks.rank(), ranks.count(), ranks.pause());
        drop(ranks);
        let made = work(self, &(rank..pieces).step_by(count).collect::<Vec<_>>());
        drop(pause);
        let all = speak(&among).gather(&in_bytes(&made)).map_err(DeviceError::from);
        self.among = Some(among);
        made?;
        let mut parts = Vec::new();
        for (rank, bytes) in all?.iter().enumerate() {
            let has = (rank..pieces).step_by(count).len();
            parts.push(read::<T>(rank, bytes, has)?.into_iter());
        }
        // Each has as many as it is asked for.
        Ok((0..pieces).filter_map(|piece| parts[piece % count].next()).collect())
    }
}

/// What a rank made, as the others are told.
fn in_bytes<T: Pod>(made: &Result<Vec<Vec<T>>, SessionError>) -> Vec<u8> {
    match made {
        Ok(pieces) => {
            let mut bytes = vec![MADE];
            bytes.extend((pieces.len() as u64).to_ne_bytes());
            pieces.iter().for_each(|piece| bytes.extend((piece.len() as u64).to_ne_bytes()));
            pieces.iter().for_each(|piece| bytes.extend_from_slice(bytemuck::cast_slice(piece)));
            bytes
        }
        Err(SessionError::Stopped) => vec![STOPPED],
        Err(error) => [&[FAILED][..], error.to_string().as_bytes()].concat(),
    }
}

/// What another rank made, of as many pieces as it had.
fn read<T: Pod>(rank: usize, bytes: &[u8], needs: usize) -> Result<Vec<Vec<T>>, SessionError> {
    let numbers = match bytes.split_first() {
        Some((&MADE, numbers)) => numbers,
        Some((&STOPPED, _)) => return Err(SessionError::Stopped),
        Some((&FAILED, words)) => {
            let why = String::from_utf8_lossy(words).into_owned();
            return Err(DeviceError::from(RankError::Share { rank, why }).into());
        }
        _ => &[],
    };
    let length = |k: usize| {
        let eight = numbers.get(8 * k..8 * k + 8)?;
        Some(u64::from_ne_bytes(eight.try_into().ok()?) as usize)
    };
    let lengths: Option<Vec<usize>> = (1..=needs).map(length).collect();
    let (has, mut rest) = (length(0).unwrap_or(0), numbers.get(8 + 8 * needs..).unwrap_or_default());
    let lengths = lengths.filter(|lengths| {
        has == needs
            && lengths.iter().try_fold(0, |sum: usize, len| sum.checked_add(*len * size_of::<T>())) == Some(rest.len())
    });
    let Some(lengths) = lengths else { return Err(DeviceError::from(RankError::Length { rank, has, needs }).into()) };
    let piece = |len: usize| {
        let (piece, behind) = rest.split_at(len * size_of::<T>());
        rest = behind;
        bytemuck::pod_collect_to_vec(piece)
    };
    Ok(lengths.into_iter().map(piece).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::Device;
    use crate::ranks::threads;
    use crate::train::Config;
    use std::sync::{Arc, Mutex};

    /// What each of some ranks gets of pieces that one of them may not be able to make.
    fn shared(ranks: usize, pieces: usize, fails: Option<(usize, SessionError)>) -> Vec<Result<Vec<Vec<f64>>, String>> {
        let fails = Mutex::new(fails);
        let of = |rank: crate::ranks::Threads| {
            let number = crate::ranks::Ranks::rank(&rank);
            let config = Config::preset("gmm-small").unwrap();
            let mut session = Session::new(&config.model, &config.optimizer(), 0, Device::Cpu).unwrap();
            session.share_work(Some(Arc::new(Mutex::new(rank))));
            let made = session.spread(pieces, |_, mine| {
                let mut fails = fails.lock().unwrap();
                match fails.take_if(|(rank, _)| *rank == number) {
                    Some((_, error)) => Err(error),
                    None => Ok(mine.iter().map(|k| vec![*k as f64; *k]).collect()),
                }
            });
            assert_eq!((session.is_first(), session.sharing()), (number == 0, ranks));
            made.map_err(|error| error.to_string())
        };
        std::thread::scope(|scope| {
            let of = &of;
            let started: Vec<_> = threads(ranks).into_iter().map(|rank| scope.spawn(move || of(rank))).collect();
            started.into_iter().map(|thread| thread.join().unwrap()).collect()
        })
    }

    #[test]
    fn pieces_come_back_in_their_order_on_every_rank() {
        for (ranks, pieces) in [(2, 5), (3, 1), (3, 0), (2, 4)] {
            let all: Vec<Vec<f64>> = (0..pieces).map(|k| vec![k as f64; k]).collect();
            assert_eq!(shared(ranks, pieces, None), vec![Ok(all); ranks]);
        }
    }

    #[test]
    fn one_that_fails_or_stops_ends_it_for_all_with_its_words() {
        let failed = shared(3, 5, Some((1, SessionError::NoImages)));
        let own = SessionError::NoImages.to_string();
        let other = format!("rank 1 could not do its share: {own}");
        assert_eq!(failed, [Err(other.clone()), Err(own), Err(other)]);
        assert_eq!(shared(2, 4, Some((0, SessionError::Stopped))), vec![Err("it was stopped".into()); 2]);
        // A rank that made something else.
        let few = in_bytes(&Ok(vec![vec![1.0f64]; 2]));
        assert!(read::<f64>(1, &few, 3).is_err() && read::<f64>(1, &few[..few.len() - 1], 2).is_err());
        assert_eq!(read::<f64>(1, &few, 2).unwrap(), vec![vec![1.0]; 2]);
    }
}
