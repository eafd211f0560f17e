//! Messages of MPI that nobody waits for: sent and received while the thread does something else.
//! All unsafe calls are here, and all are made by the thread that owns the wire.

#![allow(unsafe_code, reason = "MPI is a library in C")]

use mpi::ffi;
use mpi::traits::AsRaw;
use std::collections::HashMap;
use std::ffi::{CStr, c_int, c_void};
use std::ops::Range;
use std::sync::Arc;

/// Bytes of the largest message: counts of MPI are of 32 bits. What is larger goes in pieces.
const PIECE: usize = 1 << 30;

/// Buffers that are kept for further messages, and the bytes above which that pays.
const SPARE: usize = 64;
const LARGE: usize = 1 << 16;

/// Bytes to send, which several messages may share.
pub type Shared = Arc<dyn AsRef<[u8]> + Send + Sync>;

/// A message that has arrived.
pub struct Arrived<K> {
    /// What its receiver called it.
    pub key: K,
    pub from: usize,
    pub bytes: Vec<u8>,
}

/// A transfer that failed: the other rank, and what MPI says of it.
#[derive(Debug)]
pub struct Broken {
    pub rank: usize,
    pub why: String,
}

/// What a request that is under way reads from or writes to, which nobody else touches meanwhile.
enum Held {
    /// Of a message to this rank.
    Sent(usize, #[expect(dead_code, reason = "MPI reads what it points to")] Shared),
    /// A piece of an incoming message of this number.
    Piece(u64, usize, Vec<u8>),
}

/// A message of which pieces are missing.
struct Incoming<K> {
    key: K,
    from: usize,
    pieces: Vec<Option<Vec<u8>>>,
}

/// Sends and receives between all ranks.
pub struct Wire<K> {
    comm: ffi::MPI_Comm,
    piece: usize,
    /// Requests under way, and what each holds, in the same places.
    requests: Vec<ffi::MPI_Request>,
    held: Vec<Held>,
    incoming: HashMap<u64, Incoming<K>>,
    next: u64,
    /// Buffers that have served.
    spare: Vec<Vec<u8>>,
}

impl<K: Clone> Wire<K> {
    /// A wire between the ranks of this communicator. Errors of MPI are told, and end nothing.
    pub fn new(comm: &impl AsRaw<Raw = ffi::MPI_Comm>) -> Wire<K> {
        let comm = comm.as_raw();
        // SAFETY: the communicator is one of the initialised library's.
        unsafe { ffi::MPI_Comm_set_errhandler(comm, ffi::RSMPI_ERRORS_RETURN) };
        Wire {
            comm,
            piece: PIECE,
            requests: Vec::new(),
            held: Vec::new(),
            incoming: HashMap::new(),
            next: 0,
            spare: Vec::new(),
        }
    }

    /// The same with messages of no more bytes than this.
    pub fn cut(mut self, piece: usize) -> Wire<K> {
        self.piece = piece.clamp(1, PIECE);
        self
    }

    /// Whether nothing is under way.
    pub fn is_idle(&self) -> bool {
        self.requests.is_empty()
    }

    /// Whether a message is still being sent.
    pub fn is_sending(&self) -> bool {
        self.held.iter().any(|held| matches!(held, Held::Sent(..)))
    }

    /// The same of a message to this rank.
    pub fn is_sending_to(&self, rank: usize) -> bool {
        self.held.iter().any(|held| matches!(held, Held::Sent(to, _) if *to == rank))
    }

    /// Sends a range of bytes to a rank.
    pub fn send(&mut self, to: usize, tag: c_int, bytes: &Shared, range: Range<usize>) -> Result<(), Broken> {
        let all = &(**bytes).as_ref()[range];
        // What is empty is a message as well.
        let pieces = all.chunks(self.piece).chain(all.is_empty().then_some(all));
        for piece in pieces {
            // SAFETY: a request is a handle, and this one is overwritten.
            let mut request = unsafe { ffi::RSMPI_REQUEST_NULL };
            let start = piece.as_ptr().cast::<c_void>();
            // SAFETY: `Held::Sent` keeps the bytes until the request is done, or for ever.
            let code = unsafe {
                let byte = ffi::RSMPI_UINT8_T;
                ffi::MPI_Isend(start, piece.len() as c_int, byte, to as c_int, tag, self.comm, &mut request)
            };
            told(to, code)?;
            self.requests.push(request);
            self.held.push(Held::Sent(to, bytes.clone()));
        }
        Ok(())
    }

    /// Receives as many bytes from a rank, or fewer.
    pub fn receive(&mut self, from: usize, tag: c_int, bytes: usize, key: K) -> Result<(), Broken> {
        let count = bytes.div_ceil(self.piece).max(1);
        let number = self.next;
        self.next += 1;
        self.incoming.insert(number, Incoming { key, from, pieces: vec![None; count] });
        for k in 0..count {
            let mut piece = self.buffer(self.piece.min(bytes - k * self.piece));
            // SAFETY: a request is a handle, and this one is overwritten.
            let mut request = unsafe { ffi::RSMPI_REQUEST_NULL };
            let (start, len) = (piece.as_mut_ptr().cast::<c_void>(), piece.len() as c_int);
            // SAFETY: `Held::Piece` keeps the buffer, where it is, until the request is done, or
            // for ever.
            let code = unsafe {
                let byte = ffi::RSMPI_UINT8_T;
                ffi::MPI_Irecv(start, len, byte, from as c_int, tag, self.comm, &mut request)
            };
            told(from, code)?;
            self.requests.push(request);
            self.held.push(Held::Piece(number, k, piece));
        }
        Ok(())
    }

    /// A buffer of so many bytes, whatever they are. Memory that is new to a process costs more
    /// than all that is done with it here.
    fn buffer(&mut self, bytes: usize) -> Vec<u8> {
        let fits = |spare: &Vec<u8>| (bytes..=2 * bytes).contains(&spare.capacity());
        let place = self.spare.iter().position(fits);
        let mut buffer = place.map(|place| self.spare.swap_remove(place)).unwrap_or_default();
        buffer.resize(bytes, 0);
        buffer
    }

    /// Takes back a buffer, for another message.
    pub fn spare(&mut self, buffer: Vec<u8>) {
        if self.spare.len() < SPARE && buffer.capacity() > LARGE {
            self.spare.push(buffer);
        }
    }

    /// Lets MPI get on: what has arrived whole since the last time, and whether anything has got
    /// on.
    pub fn poll(&mut self, arrived: &mut Vec<Arrived<K>>) -> Result<bool, Broken> {
        if self.requests.is_empty() {
            return Ok(false);
        }
        let count = self.requests.len();
        let mut done: c_int = 0;
        let mut places: Vec<c_int> = vec![0; count];
        // SAFETY: a status is made of numbers, for which zeros will do.
        let mut statuses: Vec<ffi::MPI_Status> = vec![unsafe { std::mem::zeroed() }; count];
        // SAFETY: all three are as long as the requests are many.
        let code = unsafe {
            let (requests, places) = (self.requests.as_mut_ptr(), places.as_mut_ptr());
            ffi::MPI_Testsome(count as c_int, requests, &mut done, places, statuses.as_mut_ptr())
        };
        let done = usize::try_from(done).unwrap_or(0).min(count);
        if code != ffi::MPI_SUCCESS as c_int {
            // Statuses say whose it is, where one of them is to blame.
            for (place, status) in std::iter::zip(&places[..done], &statuses) {
                if status.MPI_ERROR != ffi::MPI_SUCCESS as c_int {
                    told(self.partner(*place as usize), status.MPI_ERROR)?;
                }
            }
            told(self.partner(0), code)?;
        }
        let mut finished: Vec<(usize, ffi::MPI_Status)> = Vec::with_capacity(done);
        finished.extend(std::iter::zip(&places[..done], &statuses).map(|(place, status)| (*place as usize, *status)));
        // From behind, so that what takes a place that becomes free was looked at.
        finished.sort_by_key(|(place, _)| std::cmp::Reverse(*place));
        for (place, status) in &finished {
            self.requests.swap_remove(*place);
            if let Held::Piece(number, k, mut bytes) = self.held.swap_remove(*place) {
                let mut length: c_int = 0;
                // SAFETY: the status is of a receive that is done.
                unsafe { ffi::MPI_Get_count(status, ffi::RSMPI_UINT8_T, &mut length) };
                bytes.truncate(usize::try_from(length).unwrap_or(0));
                self.got(number, k, bytes, arrived);
            }
        }
        Ok(done > 0)
    }

    fn got(&mut self, number: u64, k: usize, bytes: Vec<u8>, arrived: &mut Vec<Arrived<K>>) {
        let Some(incoming) = self.incoming.get_mut(&number) else { return };
        incoming.pieces[k] = Some(bytes);
        if incoming.pieces.iter().all(Option::is_some)
            && let Some(Incoming { key, from, pieces }) = self.incoming.remove(&number)
        {
            let mut pieces = pieces.into_iter().flatten();
            let mut bytes = pieces.next().unwrap_or_default();
            pieces.for_each(|piece| bytes.extend(piece));
            arrived.push(Arrived { key, from, bytes });
        }
    }

    /// A message with this tag that has come from anyone, if there is one. It is a short one, whose
    /// sender does not wait for it to be received.
    pub fn short_one(&mut self, tag: c_int) -> Option<(usize, Vec<u8>)> {
        let mut there: c_int = 0;
        // SAFETY: a status is made of numbers; the calls fill what they are given, and the message
        // is received whole into a buffer of its length.
        unsafe {
            let mut status: ffi::MPI_Status = std::mem::zeroed();
            let any = ffi::RSMPI_ANY_SOURCE;
            let code = ffi::MPI_Iprobe(any, tag, self.comm, &mut there, &mut status);
            if code != ffi::MPI_SUCCESS as c_int || there == 0 {
                return None;
            }
            let mut length: c_int = 0;
            ffi::MPI_Get_count(&status, ffi::RSMPI_UINT8_T, &mut length);
            let (from, mut bytes) = (status.MPI_SOURCE, vec![0u8; usize::try_from(length).unwrap_or(0)]);
            let start = bytes.as_mut_ptr().cast::<c_void>();
            let none = ffi::RSMPI_STATUS_IGNORE;
            let code = ffi::MPI_Recv(start, length, ffi::RSMPI_UINT8_T, from, tag, self.comm, none);
            (code == ffi::MPI_SUCCESS as c_int).then(|| (usize::try_from(from).unwrap_or(0), bytes))
        }
    }

    /// Ends every process of the run, this one included.
    pub fn abort(&self, code: c_int) {
        // SAFETY: the library is initialised, and nothing is to be kept.
        unsafe { ffi::MPI_Abort(self.comm, code) };
    }

    /// The rank at the other end of a request.
    fn partner(&self, place: usize) -> usize {
        match self.held.get(place) {
            Some(Held::Sent(to, _)) => *to,
            Some(Held::Piece(number, ..)) => self.incoming.get(number).map_or(0, |incoming| incoming.from),
            None => 0,
        }
    }
}

impl<K> Drop for Wire<K> {
    fn drop(&mut self) {
        // MPI may still write to and read from what requests under way hold.
        std::mem::forget(std::mem::take(&mut self.held));
    }
}

/// What MPI says of a call that has to do with a rank.
fn told(rank: usize, code: c_int) -> Result<(), Broken> {
    if code == ffi::MPI_SUCCESS as c_int {
        return Ok(());
    }
    let mut text = [0; ffi::MPI_MAX_ERROR_STRING as usize];
    let mut length: c_int = 0;
    // SAFETY: the text has room for what the standard lets a library say, which ends with a zero.
    let why = unsafe {
        ffi::MPI_Error_string(code, text.as_mut_ptr(), &mut length);
        CStr::from_ptr(text.as_ptr()).to_string_lossy().into_owned()
    };
    Err(Broken { rank, why })
}
