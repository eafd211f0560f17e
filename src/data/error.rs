//! What can go wrong with data, one plain sentence each, with what to do next.

use std::path::{Path, PathBuf};

use super::Geometry;
use crate::words::size;

/// Everything that can go wrong while finding, reading, fetching or ordering images.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused a file operation.
    #[error("cannot {doing} {}: {source}", path.display())]
    Io {
        /// What was attempted, as a verb: "read", "write", "create".
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },

    /// The name is neither a known set nor an existing path.
    #[error("there is no dataset and no file or folder called '{name}'; {hint}")]
    Unknown {
        /// What was asked for.
        name: String,
        /// The nearest valid names.
        hint: String,
    },

    /// A known set that has not been fetched yet.
    #[error(
        "{name} is not on this machine yet (looked in {})", folder.display()
    )]
    NotFetched {
        /// The set's name.
        name: &'static str,
        /// Where it would be.
        folder: PathBuf,
    },

    /// A file that is not what its known set has there.
    #[error(
        "{} is not the file that {name} has under this name (its SHA-256 is another); remove it and fetch the set again",
        path.display()
    )]
    NotTheSet {
        /// The set's name.
        name: &'static str,
        /// The file.
        path: PathBuf,
    },

    /// The file has no bytes.
    #[error("{} is empty (0 bytes); fetch or copy it again", path.display())]
    EmptyFile {
        /// The file.
        path: PathBuf,
    },

    /// The header is well formed but announces no images.
    #[error("{} holds no images", path.display())]
    NoRecords {
        /// The file.
        path: PathBuf,
    },

    /// The first four bytes are not those of the wanted IDX kind.
    #[error(
        "{} is not an IDX {kind} file: it begins with {found}, {kind} begin with 0x{wanted:08x}; \
         limn reads IDX (raw or .gz), CIFAR-10 .bin, or a folder of pictures",
        path.display()
    )]
    WrongMagic {
        /// The file.
        path: PathBuf,
        /// "images" or "labels".
        kind: &'static str,
        /// The first bytes found, in hexadecimal.
        found: String,
        /// The magic number expected.
        wanted: u32,
    },

    /// The file ends before its header says it should.
    #[error(
        "{} is cut short: its header promises {wanted} bytes, it has {found}; \
         fetch or copy it again", path.display()
    )]
    Truncated {
        /// The file.
        path: PathBuf,
        /// Bytes that the header promises, the header included.
        wanted: u64,
        /// Bytes there are (after decompression).
        found: u64,
    },

    /// The file goes on after its last record.
    #[error(
        "{} is longer than the {wanted} bytes its header promises; \
         it is damaged or in another format", path.display()
    )]
    Trailing {
        /// The file.
        path: PathBuf,
        /// Bytes that the header promises, the header included.
        wanted: u64,
    },

    /// A header that no real file could have, or broken compression.
    #[error("{} cannot be read: {why}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },

    /// A model with classes, and images of which nobody says the class.
    #[error(
        "the images of {name} have no labels, and this model is told the class of each; put them into a folder for each \
         class or a labels.csv beside them, take fashion-mini, mnist, fashion-mnist, cifar10, or IDX files with their labels \
         beside them, or set model.classes=0"
    )]
    Unlabelled {
        /// The set's name.
        name: String,
    },

    /// A label that is none of the model's classes.
    #[error(
        "an image of {name} is of class {label}, and the model's classes are 0 to {}; \
         set model.classes={} or more", classes - 1, u32::from(*label) + 1
    )]
    MoreClasses {
        /// The set's name.
        name: String,
        /// The largest label.
        label: u8,
        /// Classes of the model.
        classes: usize,
    },

    /// Images and labels do not belong together.
    #[error(
        "{} has {labels} labels but {} has {images} images; \
         use files of the same set, or move the labels file away",
        labels_path.display(), images_path.display()
    )]
    LabelCount {
        /// The images file.
        images_path: PathBuf,
        /// How many images it has.
        images: usize,
        /// The labels file.
        labels_path: PathBuf,
        /// How many labels it has.
        labels: usize,
    },

    /// The file is not CIFAR-10 binary.
    #[error("{} is not CIFAR-10 binary: {why}", path.display())]
    NotCifar {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },

    /// A folder without any image.
    #[error(
        "{} holds no images{rest}; limn looks for {} files in it and below it",
        folder.display(), super::media::pictures::extensions()
    )]
    NoImages {
        /// The folder.
        folder: PathBuf,
        /// What else there is; empty where there is nothing.
        rest: String,
    },

    /// A folder without any film or sound.
    #[error("{} holds no {what}{rest}; limn looks for {looked_for} in it and below it", folder.display())]
    NoFiles {
        /// The folder.
        folder: PathBuf,
        /// What else there is; empty where there is nothing.
        rest: String,
        /// "films" or "sounds".
        what: &'static str,
        /// Which files count.
        looked_for: &'static str,
    },

    /// A file where a folder of films or sounds is wanted.
    #[error("{} is a file; this model takes {wants}: give the folder that holds them", path.display())]
    NotAFolder {
        /// The file.
        path: PathBuf,
        /// "films" or "sounds".
        wants: &'static str,
    },

    /// A known set that a model cannot take.
    #[error("{name} holds {holds} and this takes {wants}; {hint}")]
    WrongMedium {
        /// The set.
        name: &'static str,
        /// What is in it.
        holds: &'static str,
        /// What is wanted.
        wants: &'static str,
        /// What would do.
        hint: String,
    },

    /// A folder none of whose images can be read.
    #[error("none of the {count} files in {} can be used; the first, {first}", folder.display())]
    AllUnreadable {
        /// The folder.
        folder: PathBuf,
        /// How many were tried.
        count: usize,
        /// The first file and what was wrong with it.
        first: String,
    },

    /// One image file that cannot be decoded.
    #[error("{} is not a readable picture: {why}", path.display())]
    BadImage {
        /// The file.
        path: PathBuf,
        /// What the decoder said.
        why: String,
    },

    /// One image where a set is wanted.
    #[error("{} is a single image; give the folder that holds your images", path.display())]
    SingleImage {
        /// The file.
        path: PathBuf,
    },

    /// Too few images to have both a training and a test split.
    #[error("{name} holds a single image{rest}; limn needs at least 2, one of them for testing")]
    TooFew {
        /// The set.
        name: String,
        /// What else there is and why it is not used; empty where there is nothing.
        rest: String,
    },

    /// The decoded set does not fit in memory.
    #[error(
        "{name} needs {bytes} bytes of memory at {geometry}, more than this machine gives; \
         use fewer or smaller images"
    )]
    TooLarge {
        /// The set.
        name: String,
        /// Bytes needed.
        bytes: u64,
        /// The geometry asked for.
        geometry: Geometry,
    },

    /// The decoded set fits neither on the disk of the cache nor in memory.
    #[error(
        "{name} is {} decoded at {geometry}, and there is room for {} in the cache folder and {} in memory; use fewer or \
         smaller images, or a cache folder on a larger disk (LIMN_CACHE)", size(*bytes), size(*disk), size(*memory)
    )]
    NoRoom {
        /// The set.
        name: String,
        /// Bytes needed.
        bytes: u64,
        /// The geometry asked for.
        geometry: Geometry,
        /// Bytes the cache may take.
        disk: u64,
        /// Bytes of memory that are free.
        memory: u64,
    },

    /// A set that somebody's program makes.
    #[error("{name}: {why}")]
    Own {
        /// The set's name.
        name: String,
        /// What is wrong, in words.
        why: String,
    },
    /// A folder of files that limn is built without readers for.
    #[error("{} would be a folder of pictures, films or sounds, which limn reads where it is built with its feature media", .path.display())]
    WithoutMedia {
        /// The folder.
        path: PathBuf,
    },
    /// Reading was to end.
    #[error("stopped while reading {}", path.display())]
    Stopped {
        /// The file.
        path: PathBuf,
    },

    /// Nothing is where the images of a run were.
    #[error("the images of this run were in {}, where there is nothing now", path.display())]
    Moved {
        /// Where they were.
        path: PathBuf,
    },

    /// Nothing is where the images of a run are said to be now.
    #[error("there is no dataset and no file or folder called '{}'", path.display())]
    NotThere {
        /// Where they were said to be.
        path: PathBuf,
    },

    /// The set is not the one it was.
    #[error("{name} is not the data this run was trained on: {difference}")]
    Changed {
        /// The set's name, or its path.
        name: String,
        /// What is different.
        difference: String,
    },

    /// A geometry that no image can have.
    #[error("an image of {0} is not possible; use 1 or 3 channels and sides of 1 to 4096")]
    BadGeometry(Geometry),

    /// Images that a model cannot take.
    #[error("{what} is {has}, which does not fit the model: it takes {wants}")]
    Mismatch {
        /// What has the wrong size.
        what: String,
        /// Its geometry.
        has: Geometry,
        /// The geometry that fits.
        wants: Geometry,
    },

    /// More images wanted in a batch than there are.
    #[error("a batch of {batch} is larger than the data, which has {len} images")]
    BatchTooLarge {
        /// Images per batch.
        batch: usize,
        /// Images there are.
        len: usize,
    },

    /// A batch of nothing.
    #[error("a batch of 0 images is not possible")]
    BatchZero,

    /// More images than an index can count.
    #[error("{len} images are more than limn can count (4294967295)")]
    TooMany {
        /// Images there are.
        len: usize,
    },

    /// `get` was asked for something that is not fetched.
    #[error("'{name}' is not a set limn can fetch; {hint}")]
    NotFetchable {
        /// What was asked for.
        name: String,
        /// The valid names.
        hint: String,
    },

    /// Every way of fetching a set failed.
    #[error("could not fetch {name}:\n{}\n{by_hand}", tried.join("\n"))]
    Fetch {
        /// The set's name.
        name: &'static str,
        /// Each way tried and what it said.
        tried: Vec<String>,
        /// Which files to put where by hand.
        by_hand: String,
    },

    /// No folder to keep fetched sets in.
    #[error("no cache folder: neither LIMN_CACHE nor a home folder is set; set LIMN_CACHE")]
    NoCache,
}

impl Error {
    /// Whether it is about the disk or the person and not about what a file holds: a set is then
    /// not read any further, where a damaged file would be left out. A file that one may not read
    /// is left out too.
    #[cfg(feature = "media")]
    pub(super) fn ends_reading(&self) -> bool {
        match self {
            Error::Io { source, .. } => source.kind() != std::io::ErrorKind::PermissionDenied,
            error => matches!(error, Error::Stopped { .. }),
        }
    }

    /// The same error of the images of a run: a path that has gone is one that they were at, or
    /// where somebody said they are `now`.
    pub(crate) fn moved(self, now: bool) -> Error {
        match self {
            Error::Unknown { name, .. } if now => Error::NotThere { path: name.into() },
            Error::Unknown { name, .. } => Error::Moved { path: name.into() },
            other => other,
        }
    }

    /// For `map_err`: an I/O error while `doing` something to `path`.
    pub(super) fn io(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Error {
        let path = path.to_path_buf();
        move |source| Error::Io { doing, path, source }
    }
}
