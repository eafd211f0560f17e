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
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

#[global_allocator]
static ALLOCATOR: counting::Counting = counting::Counting;

/// One test at a time: what is held is counted for the whole process.
static ALONE: Mutex<()> = Mutex::new(());

/// Files that are made for each reader.
const FILES: u64 = 10_000;

/// How long reading one of them may take where other processes want the processor too.
const SLOW: Duration = Duration::from_secs(5);

/// When a reader is taken to hang.
const HANGS: Duration = Duration::from_secs(60);

/// The file that is read now, by its reader and its number, and since when.
static NOW: Mutex<Option<(&Reader, u64, Instant)>> = Mutex::new(None);

fn now() -> MutexGuard<'static, Option<(&'static Reader, u64, Instant)>> {
    NOW.lock().unwrap_or_else(|e| e.into_inner())
}

/// Ends the tests where a reader hangs, which only somebody else can tell.
fn watch() {
    loop {
        std::thread::sleep(Duration::from_secs(1));
        let Some((reader, seed, since)) = *now() else { continue };
        if since.elapsed() > HANGS {
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
    let start = Instant::now();
    let judged = catch_unwind(AssertUnwindSafe(|| judge(reader, bytes)));
    match judged {
        Err(panic) => {
            let words = panic.downcast_ref::<String>().cloned();
            let words = words.or_else(|| panic.downcast_ref::<&str>().map(|words| words.to_string()));
            Some(format!("it panics: {}", words.unwrap_or_default()))
        }
        Ok(Err(wrong)) => Some(wrong),
        Ok(Ok(_)) => Some(start.elapsed()).filter(|took| *took > SLOW).map(|took| format!("it took {took:?}")),
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
    std::thread::spawn(watch);
    let mut faults = Vec::new();
    let begin = Instant::now();
    for reader in readers::all().into_iter().filter(|reader| only.as_ref().is_none_or(|only| reader.name == only)) {
        let (start, mut read, mut slowest) = (Instant::now(), 0, Duration::ZERO);
        let files: Vec<Vec<u8>> = corpus(reader).into_iter().map(|(_, bytes)| bytes).collect();
        for seed in 0..FILES {
            let bytes = mutations::mutated(&files, seed);
            let one = Instant::now();
            *now() = Some((reader, seed, one));
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
