//! How a set is opened.

use super::reading::NEVER;
use super::{Error, Levels, Range};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

/// What opening a set may use, asks, and tells.
#[derive(Clone, Default)]
pub struct Options<'a> {
    /// The cache folder that decoded sets are kept in; without one they are decoded into memory every time.
    pub cache: Option<PathBuf>,
    /// Becomes true when reading shall end, with [`Error::Stopped`].
    pub stop: Option<&'a AtomicBool>,
    /// What the values of the set are taken for.
    pub range: Range,
    /// Is told how many files of how many have been decoded.
    pub progress: Option<&'a (dyn Fn(usize, usize) + Sync)>,
}

impl Options<'_> {
    /// Whether reading shall end.
    pub(super) fn stopped(&self) -> bool {
        self.stop.is_some_and(|stop| stop.load(Ordering::Relaxed))
    }

    /// What a decoder asks whether it shall end.
    pub(super) fn flag(&self) -> &AtomicBool {
        self.stop.unwrap_or(&NEVER)
    }

    pub(super) fn tell(&self, done: usize, all: usize) {
        if let Some(progress) = self.progress {
            progress(done, all);
        }
    }
}

/// What makes a set the same set, wherever it lies: how many images it has, of what geometry, of which classes, and a
/// digest of them all in their order.
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
    /// The smallest and the largest value of the files, where these were stretched to black and white.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stretched: Option<Levels>,
}

impl Identity {
    /// What is different about a set that should be this one, in words; `None` where nothing is.
    pub fn difference(&self, now: &Identity) -> Option<String> {
        let mut all = Vec::new();
        if self.geometry != now.geometry {
            let shown = |[c, h, w]: [usize; 3]| super::Geometry::new(c, h, w).to_string();
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
        let was =
            Identity { train: 9, test: 1, geometry: [1, 4, 4], classes: vec![], digest: "a".into(), stretched: None };
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
