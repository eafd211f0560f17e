//! Files that nobody wrote: none of limn's readers crashes, hangs, takes more memory than it may, or says nothing of
//! what is wrong. `make fuzz` has the same readers look at millions.

mod counting;
mod judge;
mod mutations;

use judge::judge;
use limn::readers::{self, Reader};
use std::collections::BTreeSet;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, Once};
use std::time::{Duration, Instant};

#[global_allocator]
static ALLOCATOR: counting::Counting = counting::Counting;

/// One test at a time: what is held is counted for the whole process.
static ALONE: Mutex<()> = Mutex::new(());

/// Files that are made for each reader.
const FILES: u64 = 10_000;

/// Readers of files that are too large to be kept, of which only the beginning is.
const LARGE: [&str; 1] = ["network"];

/// Time is counted by a thread that sleeps, so that it stands still where the whole process is halted.
const TICK: Duration = Duration::from_millis(100);
static TICKS: AtomicU64 = AtomicU64::new(0);

fn ticks() -> u64 {
    TICKS.load(Ordering::Relaxed)
}

/// Ticks that reading a file may take, where other processes want the processor too, and those after which a reader is
/// taken to hang.
const SLOW: u64 = 50;
const HANGS: u64 = 600;

/// Starts counting, once.
fn count_time() {
    static COUNTS: Once = Once::new();
    COUNTS.call_once(|| drop(std::thread::spawn(watch)));
}

/// The file that is read now, by its reader and its number, and since when.
static NOW: Mutex<Option<(&Reader, u64, u64)>> = Mutex::new(None);

fn now() -> MutexGuard<'static, Option<(&'static Reader, u64, u64)>> {
    NOW.lock().unwrap_or_else(|e| e.into_inner())
}

/// Ends the tests where a reader hangs, which only somebody else can tell.
fn watch() {
    loop {
        std::thread::sleep(TICK);
        TICKS.fetch_add(1, Ordering::Relaxed);
        let Some((reader, seed, since)) = *now() else { continue };
        if ticks() - since > HANGS {
            let files: Vec<Vec<u8>> = corpus(reader).into_iter().map(|(_, bytes)| bytes).collect();
            let path = kept(reader, &seed.to_string(), &mutations::mutated(&files, seed));
            eprintln!("{}, seed {seed}: it hangs; the file is {}", reader.name, path.display());
            std::process::abort();
        }
    }
}

fn corpora() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus")
}

/// The names and bytes of a reader's files, in their order.
fn corpus(reader: &Reader) -> Vec<(String, Vec<u8>)> {
    let folder = corpora().join(reader.name);
    let entries = fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let paths: BTreeSet<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
    paths.iter().map(|path| (name(path), fs::read(path).unwrap())).collect()
}

/// Where a file that was done wrong by is put.
fn kept(reader: &Reader, which: &str, bytes: &[u8]) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("readers");
    fs::create_dir_all(&folder).unwrap();
    let path = folder.join(format!("{}-{which}", reader.name));
    fs::write(&path, bytes).unwrap();
    path
}

/// What is wrong with how a reader reads a file, if anything is.
fn fault(reader: &Reader, bytes: &[u8]) -> Option<String> {
    count_time();
    let start = ticks();
    let judged = catch_unwind(AssertUnwindSafe(|| judge(reader, bytes)));
    match judged {
        Err(panic) => {
            let words = panic.downcast_ref::<String>().cloned();
            let words = words.or_else(|| panic.downcast_ref::<&str>().map(|words| words.to_string()));
            Some(format!("it panics: {}", words.unwrap_or_default()))
        }
        Ok(Err(wrong)) => Some(wrong),
        Ok(Ok(_)) => {
            Some(ticks() - start).filter(|took| *took > SLOW).map(|took| format!("it took {:?}", TICK * took as u32))
        }
    }
}

#[test]
fn every_reader_has_files_of_which_it_reads_one_and_they_are_few() {
    let _alone = ALONE.lock().unwrap_or_else(|e| e.into_inner());
    let names: BTreeSet<String> = readers::all().iter().map(|reader| reader.name.to_string()).collect();
    assert_eq!(names.len(), readers::all().len(), "two readers have one name");
    let entries = fs::read_dir(corpora()).expect("corpora");
    let folders: BTreeSet<String> = entries.map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect();
    assert_eq!(folders, names);
    let mut all = 0;
    for reader in readers::all() {
        let files = corpus(reader);
        all += files.iter().map(|(_, bytes)| bytes.len()).sum::<usize>();
        for (name, bytes) in &files {
            if let Some(fault) = fault(reader, bytes) {
                panic!("{}/{name}: {fault}", reader.name);
            }
        }
        if LARGE.contains(&reader.name) {
            continue;
        }
        let first = |(_, bytes): &(String, Vec<u8>)| (reader.read)(bytes).err();
        let refused: Vec<String> = files.iter().filter_map(first).collect();
        assert!(refused.len() < files.len(), "{} reads none of its files: {refused:?}", reader.name);
    }
    assert!(all < 300_000, "{all} bytes");
}

#[test]
fn ten_thousand_files_of_each_reader_are_read_or_refused() {
    let _alone = ALONE.lock().unwrap_or_else(|e| e.into_inner());
    let only = std::env::var("LIMN_READER").ok();
    let mut faults = Vec::new();
    let begin = Instant::now();
    for reader in readers::all().into_iter().filter(|reader| only.as_ref().is_none_or(|only| reader.name == only)) {
        let (start, mut read, mut slowest) = (Instant::now(), 0, Duration::ZERO);
        let files: Vec<Vec<u8>> = corpus(reader).into_iter().map(|(_, bytes)| bytes).collect();
        for seed in 0..FILES {
            let bytes = mutations::mutated(&files, seed);
            let one = Instant::now();
            *now() = Some((reader, seed, ticks()));
            if let Some(fault) = fault(reader, &bytes) {
                let path = kept(reader, &seed.to_string(), &bytes);
                faults.push(format!("{}, seed {seed}: {fault}; the file is {}", reader.name, path.display()));
                if faults.len() > 20 {
                    break;
                }
            }
            slowest = slowest.max(one.elapsed());
            read += 1;
        }
        println!("{:22} {read} files in {:.1?}, the slowest {slowest:.1?}", reader.name, start.elapsed());
    }
    println!("all in {:.1?}", begin.elapsed());
    *now() = None;
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// A file of `descr` with so many axes of one element each in front of one that has all.
fn many_axes(axes: usize) -> Vec<u8> {
    let shape = format!("{}{axes}", "1,".repeat(axes));
    let header = format!("{{'descr': '|u1', 'fortran_order': True, 'shape': ({shape}), }}\n");
    let mut file = b"\x93NUMPY\x02\0".to_vec();
    file.extend((header.len() as u32).to_le_bytes());
    file.extend(header.as_bytes());
    file.extend(vec![1; axes]);
    file
}

/// Text of many lines that are all others.
fn lines(count: usize, line: impl Fn(usize) -> String) -> Vec<u8> {
    (0..count).map(|i| line(i) + "\n").collect::<String>().into_bytes()
}

#[test]
fn long_and_deep_files_take_no_longer_than_they_are_long() {
    let _alone = ALONE.lock().unwrap_or_else(|e| e.into_inner());
    let figure = |i: usize| {
        let of = "\"value\":1.0,\"unit\":\"\",\"protocol\":\"of all\"";
        format!("{{\"measured\":\"2026-11-29T00:00:00Z\",\"step\":7,\"name\":\"figure{i}\",{of}}}")
    };
    let table = |name: &str| format!("{name},epoch,loss,images_per_s,seconds\n").into_bytes();
    let special = [
        ("settings", [b"preset = \"vae\"\n[model]\n".to_vec(), lines(90_000, |i| format!("k{i}=1"))].concat()),
        ("settings", [b"preset = \"vae\"\n".to_vec(), lines(60_000, |i| format!("[model.k{i}]"))].concat()),
        ("set", lines(2_000, |_| "model.latent=2".into())),
        ("set", [b"data.classes=[".to_vec(), b"a,".repeat(100_000), b"]".to_vec()].concat()),
        ("figures", lines(100_000, figure)),
        ("log", lines(200_000, |i| format!("warning: number {i}"))),
        ("labels", lines(100_000, |i| format!("{i}.png,{i}"))),
        ("latents-npy", many_axes(80_000)),
        ("latents-csv", [b"1,".repeat(500_000), b"1\n".to_vec()].concat()),
        ("run-metrics", [table("step"), lines(100_000, |i| format!("{i},1,0.5,9,{i}"))].concat()),
        ("run-metrics", [b"a,".repeat(100_000), b"\n".to_vec(), b"1,".repeat(100_000), b"1\n".to_vec()].concat()),
        ("metrics", lines(100_000, |i| format!("{i},1,0.5,0.5,0.5,9,{i}"))),
        ("tests", [b"step,seconds,images,".to_vec(), lines(100_000, |i| format!("{i},1,9,0.5"))].concat()),
        ("metrics-jsonl", lines(100_000, |i| format!("{{\"step\":{i}}}"))),
    ];
    // What nests is read by calling oneself, and taken apart so too.
    let deep: [(&[u8], &[u8]); 8] = [
        (b"", b"["),
        (b"", b"{\"a\":"),
        (b"a = ", b"["),
        (b"a = ", b"{a="),
        (b"", b"a."),
        (b"[", b"a."),
        (b"data.classes=", b"["),
        (b"model.", b"a."),
    ];
    let special = special.map(|(name, bytes)| (name, "a long file", bytes));
    let mut all: Vec<(&str, &str, Vec<u8>)> = special.into_iter().collect();
    for reader in readers::all() {
        let ends: [&[u8]; 3] = [b"", b"a = 1", b"a]\n"];
        for ((start, again), end) in deep.iter().flat_map(|deep| ends.iter().map(move |end| (deep, end))) {
            all.push((reader.name, "a deep file", [*start, &again.repeat(100_000), end].concat()));
        }
        for (_, bytes) in corpus(reader).into_iter().take(2) {
            all.push((reader.name, "many of its files in one", bytes.repeat((1 << 19) / bytes.len().max(1))));
        }
    }
    let mut slow = Vec::new();
    for (name, what, bytes) in all {
        let reader = readers::all().into_iter().find(|reader| reader.name == name).expect(name);
        if let Some(fault) = fault(reader, &bytes) {
            let path = kept(reader, &format!("{}-{}", bytes.len(), slow.len()), &bytes);
            slow.push(format!("{name}, {what} of {} bytes: {fault}; it is {}", bytes.len(), path.display()));
        }
    }
    assert!(slow.is_empty(), "{}", slow.join("\n"));
}
