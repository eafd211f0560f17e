//! TensorBoard's event files: records of the message `Event` (tensorflow/core/util/event.proto), of
//! which the few fields that a run needs are written here.
//!
//! A record is a length, its checksum, the message and its checksum. `tensorboard --logdir runs`
//! shows every folder that has such a file as a run of its name.

use super::Session;
use super::logs::Follow;
use super::metrics::Row;
use super::testing::Tested;
use crate::files::Appended;
use crc::{CRC_32_ISCSI, Crc};
use std::fs;
use std::io::{self, ErrorKind, Write};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// What a file's name begins with.
const NAME: &str = "events.out.tfevents.";

/// Bars of a histogram.
const BARS: usize = 64;

/// The checksum of records.
const CRC: Crc<u32> = Crc::<u32>::new(&CRC_32_ISCSI);

/// A file of events that is written.
pub(super) struct Events(Appended);

impl Events {
    /// Whether a folder has events.
    pub(super) fn are_in(folder: &Path) -> bool {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        entries.into_iter().any(|entry| entry.file_name().to_string_lossy().starts_with(NAME))
    }

    /// Begins a new file for the steps after `step`. A reader forgets what earlier files say of
    /// those.
    pub(super) fn open(folder: &Path, step: u64) -> io::Result<Events> {
        let seconds = since_1970() as u64;
        let file = (0u32..).find_map(|n| {
            // Readers take files in the order of their names.
            let path = folder.join(format!("{NAME}{seconds:010}.limn.{}.{n}", std::process::id()));
            match Appended::new(&path) {
                Err(e) if e.kind() == ErrorKind::AlreadyExists => None,
                opened => Some(opened),
            }
        });
        let file = file.unwrap_or(Err(ErrorKind::AlreadyExists.into()))?;
        let mut events = Events(file);
        events.event(0, |event| event.bytes(3, b"brain.Event:2"))?;
        if step > 0 {
            // A session that starts.
            events.event(step + 1, |event| event.message(7, |log| log.integer(1, 1)))?;
        }
        events.0.flush()?;
        Ok(events)
    }

    /// One event of a step, which happens now.
    fn event(&mut self, step: u64, fill: impl FnOnce(&mut Message)) -> io::Result<()> {
        let mut event = Message::default();
        event.double(1, since_1970());
        event.integer(2, step);
        fill(&mut event);
        record(&mut self.0, &event.0)
    }

    /// An event with values that have tags.
    fn values<'a>(&mut self, step: u64, values: impl Iterator<Item = (String, Of<'a>)>) -> io::Result<()> {
        self.event(step, |event| {
            event.message(5, |summary| {
                for (tag, of) in values {
                    summary.message(1, |value| {
                        value.bytes(1, tag.as_bytes());
                        of.write(value);
                    });
                }
            });
        })
    }
}

/// What a tag has.
enum Of<'a> {
    Scalar(f32),
    /// A PNG, and its width and height.
    Picture(&'a [u8], [u32; 2]),
    /// Numbers, of which how they are spread is written.
    Numbers(&'a [f32]),
}

impl Of<'_> {
    fn write(&self, value: &mut Message) {
        match self {
            Of::Scalar(scalar) => value.float(2, *scalar),
            Of::Picture(bytes, [width, height]) => value.message(4, |picture| {
                picture.integer(1, u64::from(*height));
                picture.integer(2, u64::from(*width));
                // RGB.
                picture.integer(3, 3);
                picture.bytes(4, bytes);
            }),
            Of::Numbers(numbers) => value.message(5, |spread| histogram(spread, numbers)),
        }
    }
}

/// The message `HistogramProto` of some numbers: bars of one width.
fn histogram(message: &mut Message, numbers: &[f32]) {
    let all = || numbers.iter().map(|v| f64::from(*v)).filter(|v| v.is_finite());
    let (low, high) = all().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(v), b.max(v)));
    if low > high {
        return;
    }
    let bars = if low < high { BARS } else { 1 };
    let width = (high - low) / bars as f64;
    let mut counts = vec![0.0; bars];
    all().for_each(|v| counts[(((v - low) / width) as usize).min(bars - 1)] += 1.0);
    let limits: Vec<f64> = (1..=bars).map(|k| if k == bars { high } else { low + width * k as f64 }).collect();
    message.double(1, low);
    message.double(2, high);
    message.double(3, counts.iter().sum());
    message.double(4, all().sum());
    message.double(5, all().map(|v| v * v).sum());
    message.doubles(6, &limits);
    message.doubles(7, &counts);
}

impl Follow for Events {
    fn step(&mut self, names: &[&str], row: &Row) -> io::Result<()> {
        let losses = std::iter::zip(names, row.losses).map(|(name, loss)| (format!("train/{name}"), Of::Scalar(*loss)));
        let rate = std::iter::once(("rate/images_per_s".to_string(), Of::Scalar(row.rate as f32)));
        self.values(row.step, losses.chain(rate))
    }

    fn tests(&mut self, (step, _): (u64, f64), figures: &[Tested]) -> io::Result<()> {
        self.values(step, figures.iter().map(|f| (format!("test/{}", f.name), Of::Scalar(f.value as f32))))
    }

    fn picture(&mut self, step: u64, path: &Path) -> io::Result<()> {
        // Drawing may have failed, or be somebody's who draws no picture.
        let Ok(bytes) = fs::read(path) else { return Ok(()) };
        let Ok(picture) = image::load_from_memory(&bytes) else { return Ok(()) };
        let size = [picture.width(), picture.height()];
        self.values(step, std::iter::once(("samples".into(), Of::Picture(&bytes, size))))
    }

    fn saved(&mut self, step: u64, session: &Session) -> io::Result<()> {
        for net in session.model.networks() {
            let all = session.store.read(&net.params_state()).map_err(io::Error::other)?;
            let of = |param: &crate::nn::ParamInfo| Some(&all[param.offset..][..param.len()]).filter(|v| !v.is_empty());
            let each = net.params.iter().filter_map(|p| Some((format!("weights/{}", p.name), Of::Numbers(of(p)?))));
            self.values(step, each)?;
        }
        self.flush()
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.sync()
    }
}

fn since_1970() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

/// Writes a message as a record.
fn record(to: &mut impl Write, message: &[u8]) -> io::Result<()> {
    let length = (message.len() as u64).to_le_bytes();
    to.write_all(&length)?;
    to.write_all(&masked(&length).to_le_bytes())?;
    to.write_all(message)?;
    to.write_all(&masked(message).to_le_bytes())
}

/// The checksum that a record has: one of data that hold checksums must not be theirs.
fn masked(bytes: &[u8]) -> u32 {
    CRC.checksum(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// A message in the format of protocol buffers: numbered fields, each with its kind.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn key(&mut self, field: u64, kind: u64) {
        self.varint(field << 3 | kind);
    }

    fn integer(&mut self, field: u64, value: u64) {
        self.key(field, 0);
        self.varint(value);
    }

    fn double(&mut self, field: u64, value: f64) {
        self.key(field, 1);
        self.0.extend(value.to_le_bytes());
    }

    fn float(&mut self, field: u64, value: f32) {
        self.key(field, 5);
        self.0.extend(value.to_le_bytes());
    }

    fn bytes(&mut self, field: u64, bytes: &[u8]) {
        self.key(field, 2);
        self.varint(bytes.len() as u64);
        self.0.extend(bytes);
    }

    fn doubles(&mut self, field: u64, values: &[f64]) {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.bytes(field, &bytes);
    }

    fn message(&mut self, field: u64, fill: impl FnOnce(&mut Message)) {
        let mut inner = Message::default();
        fill(&mut inner);
        self.bytes(field, &inner.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The fields of a message: number, and the bytes or the number behind it.
    fn fields(mut bytes: &[u8]) -> Vec<(u64, Vec<u8>)> {
        fn varint(bytes: &mut &[u8]) -> u64 {
            let mut value = 0;
            for shift in (0..).step_by(7) {
                let (first, rest) = bytes.split_first().expect("a varint ends");
                *bytes = rest;
                value |= u64::from(first & 0x7f) << shift;
                if first & 0x80 == 0 {
                    break;
                }
            }
            value
        }
        let mut all = Vec::new();
        while !bytes.is_empty() {
            let key = varint(&mut bytes);
            let length = match key & 7 {
                0 => {
                    all.push((key >> 3, varint(&mut bytes).to_le_bytes().to_vec()));
                    continue;
                }
                1 => 8,
                5 => 4,
                2 => varint(&mut bytes) as usize,
                other => panic!("wire type {other}"),
            };
            all.push((key >> 3, bytes[..length].to_vec()));
            bytes = &bytes[length..];
        }
        all
    }

    fn field(bytes: &[u8], wanted: u64) -> Vec<u8> {
        fields(bytes).into_iter().find(|(field, _)| *field == wanted).expect("the field is there").1
    }

    /// The messages of a file, whose checksums hold.
    fn records(mut bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut all = Vec::new();
        while !bytes.is_empty() {
            let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
            let sum = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
            assert_eq!(sum(8), masked(&bytes[..8]));
            let message = &bytes[12..12 + length];
            assert_eq!(sum(12 + length), masked(message));
            all.push(message.to_vec());
            bytes = &bytes[16 + length..];
        }
        all
    }

    #[test]
    fn events_are_read_back_field_by_field() {
        // The published example of RFC 3720: 32 bytes of zeros.
        assert_eq!(CRC.checksum(&[0; 32]), 0x8a91_36aa);
        let folder = tempfile::tempdir().unwrap();
        assert!(!Events::are_in(folder.path()));
        let mut events = Events::open(folder.path(), 299).unwrap();
        let row = Row { step: 300, epoch: 2, losses: &[0.5, -2.0], rate: 10.0, seconds: 1.0 };
        events.step(&["loss", "kl"], &row).unwrap();
        events.tests((300, 1.0), &[Tested { name: "loss".into(), value: 0.25 }]).unwrap();
        events.values(300, std::iter::once(("w".into(), Of::Numbers(&[0.0, 1.0, 1.0, f32::NAN])))).unwrap();
        events.flush().unwrap();
        assert!(Events::are_in(folder.path()));
        // A second one has a name of its own.
        Events::open(folder.path(), 0).unwrap();
        let mut files: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        assert_eq!(files.len(), 2);
        let events = records(&fs::read(&files[0]).unwrap());
        assert_eq!(field(&events[0], 3), b"brain.Event:2");
        let step = |event: &[u8]| u64::from_le_bytes(field(event, 2).try_into().unwrap());
        assert_eq!((step(&events[1]), field(&field(&events[1], 7), 1)[0]), (300, 1));
        let values: Vec<Vec<u8>> = fields(&field(&events[2], 5)).into_iter().map(|(_, value)| value).collect();
        let scalar = |value: &[u8]| f32::from_le_bytes(field(value, 2).try_into().unwrap());
        let told: Vec<_> = values.iter().map(|v| (String::from_utf8(field(v, 1)).unwrap(), scalar(v))).collect();
        let wanted = [("train/loss", 0.5), ("train/kl", -2.0), ("rate/images_per_s", 10.0)];
        assert_eq!((step(&events[2]), told), (300, wanted.map(|(tag, v)| (tag.to_string(), v)).to_vec()));
        assert_eq!(field(&field(&field(&events[3], 5), 1), 1), b"test/loss");
        let spread = field(&field(&field(&events[4], 5), 1), 5);
        let double = |wanted| f64::from_le_bytes(field(&spread, wanted)[..8].try_into().unwrap());
        assert_eq!([1, 2, 3, 4, 5].map(double), [0.0, 1.0, 3.0, 2.0, 2.0]);
        let bars: Vec<f64> = field(&spread, 7).chunks(8).map(|b| f64::from_le_bytes(b.try_into().unwrap())).collect();
        assert_eq!((bars.len(), bars[0], bars[BARS - 1]), (BARS, 1.0, 2.0));
    }
}
