//! What makes a set, or a file, the same as before.

use super::{Error, Geometry, Levels, idx};
use crate::words::hex;
use flate2::read::MultiGzDecoder;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// What changes when one of some files does: a digest of their paths, sizes and times; none where
/// one cannot be looked at.
pub(super) fn stamp(files: &[PathBuf]) -> Option<String> {
    let mut hasher = Sha256::new();
    for file in files {
        let meta = fs::metadata(file).ok()?;
        let modified = meta.modified().ok()?.duration_since(SystemTime::UNIX_EPOCH).ok()?;
        let path = std::path::absolute(file).ok()?;
        hasher.update((path.as_os_str().len() as u64).to_le_bytes());
        hasher.update(path.as_os_str().as_encoded_bytes());
        hasher.update(meta.len().to_le_bytes());
        hasher.update(modified.as_nanos().to_le_bytes());
        // A file put in another's place keeps neither.
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt;
            hasher.update(meta.ino().to_le_bytes());
            hasher.update(meta.ctime().to_le_bytes());
            hasher.update(meta.ctime_nsec().to_le_bytes());
        }
    }
    Some(hex(&hasher.finalize()))
}

/// SHA-256 of a file, decompressed where its content begins like gzip.
pub(super) fn digest(path: &Path) -> Result<String, Error> {
    let read = |source| Error::io("read", path)(source);
    let mut file = BufReader::new(std::fs::File::open(path).map_err(read)?);
    let zipped = file.fill_buf().map_err(read)?.starts_with(&idx::GZIP);
    let mut hasher = Sha256::new();
    let mut file: Box<dyn Read> = if zipped { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) };
    let mut piece = vec![0; 1 << 20];
    loop {
        match file.read(&mut piece).map_err(read)? {
            0 => return Ok(hex(&hasher.finalize())),
            n => hasher.update(&piece[..n]),
        }
    }
}

/// What makes a set the same set, wherever it lies: how many images it has, of what geometry, of
/// which classes, and a digest of them all in their order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Identity {
    /// Images to train on.
    pub train: usize,
    /// Images to test on.
    pub test: usize,
    /// Channels, height and width.
    pub geometry: [usize; 3],
    /// The names of the classes, where the set names them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<String>,
    /// SHA-256, in hexadecimal digits.
    pub digest: String,
    /// The smallest and the largest value of the files, where these were stretched to black and
    /// white.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stretched: Option<Levels>,
    /// Images to train and to test on of each class, by its number, where there are labels.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub counts: Vec<[usize; 2]>,
}

impl Identity {
    /// What is different about a set that should be this one, in words; `None` where nothing is.
    pub fn difference(&self, now: &Identity) -> Option<String> {
        let mut all = Vec::new();
        if self.geometry != now.geometry {
            let shown = |[c, h, w]: [usize; 3]| Geometry::new(c, h, w).to_string();
            all.push(format!("its images were {} and are {}", shown(self.geometry), shown(now.geometry)));
        }
        if (self.train, self.test) != (now.train, now.test) {
            let (was, is) = ((self.train, self.test), (now.train, now.test));
            all.push(format!(
                "it had {} images to train on and {} to test on, and has {} and {}",
                was.0, was.1, is.0, is.1
            ));
        }
        if self.classes != now.classes {
            let shown = |classes: &[String]| match classes.is_empty() {
                true => "none".to_string(),
                false => classes.join(", "),
            };
            all.push(format!("its classes were {} and are {}", shown(&self.classes), shown(&now.classes)));
        }
        if all.is_empty() && self.digest != now.digest {
            all.push(
                "it has as many images as before, but not the same ones, or in another order, or with other labels"
                    .into(),
            );
        }
        (!all.is_empty()).then(|| all.join("; "))
    }

    /// Refuses a set that is not this one.
    ///
    /// # Errors
    /// [`Error::Changed`], with what is different.
    pub fn require(&self, now: &Identity, name: &str) -> Result<(), Error> {
        match self.difference(now) {
            Some(difference) => Err(Error::Changed { name: name.into(), difference }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changed_is_told() {
        let was = Identity {
            train: 9,
            test: 1,
            geometry: [1, 4, 4],
            classes: vec![],
            digest: "a".into(),
            stretched: None,
            counts: vec![],
        };
        assert_eq!(was.difference(&was.clone()), None);
        let told = |now: Identity| was.difference(&now).unwrap();
        let word = told(Identity { train: 10, digest: "b".into(), ..was.clone() });
        assert!(
            word.contains("9 images to train on") && word.contains("has 10 and 1") && !word.contains("order"),
            "{word}"
        );
        assert!(told(Identity { digest: "b".into(), ..was.clone() }).contains("not the same"));
        assert!(told(Identity { classes: vec!["cat".into()], ..was.clone() }).contains("were none and are cat"));
        assert!(told(Identity { geometry: [3, 4, 4], ..was.clone() }).contains("4x4 RGB"));
    }
}
