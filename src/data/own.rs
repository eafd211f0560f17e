//! Sets of images that somebody makes in a program of their own.

use super::{Dataset, Error, Geometry, Medium, Options, Source, split};
use std::sync::{Arc, PoisonError, RwLock};

/// Makes a set of images of a geometry and a medium.
type Open = dyn Fn(Geometry, Medium) -> Result<Dataset, Error> + Send + Sync;

/// The sources that this program has added, by their names.
static ADDED: RwLock<Vec<(String, Arc<Open>)>> = RwLock::new(Vec::new());

/// Makes a source of images known to this program: wherever settings say `data.source = "NAME"`, a
/// run's images are what `open` makes. It is told the geometry and the medium that the model takes,
/// and what it makes is held against the identity of the images that a run was trained on like any
/// other set. A name that is known already is another one's.
///
/// # Errors
/// [`Error::Own`]: the name is taken.
pub fn register(
    name: &str,
    open: impl Fn(Geometry, Medium) -> Result<Dataset, Error> + Send + Sync + 'static,
) -> Result<(), Error> {
    let mut added = ADDED.write().unwrap_or_else(PoisonError::into_inner);
    if super::sets::find(name).is_some() || added.iter().any(|(known, _)| known == name) {
        return Err(Error::Own { name: name.into(), why: "there is a source of this name already".into() });
    }
    added.push((name.into(), Arc::new(open)));
    Ok(())
}

/// The set of a source that this program has added.
pub(super) fn open(name: &str, wanted: Geometry, medium: Medium) -> Option<Result<Dataset, Error>> {
    let added = ADDED.read().unwrap_or_else(PoisonError::into_inner);
    let open = added.iter().find(|(known, _)| known == name).map(|(_, open)| open.clone())?;
    // What it does may add others.
    drop(added);
    Some(open(wanted, medium).and_then(|set| set.require(wanted).map(|()| set)))
}

/// Whether a name is that of a set, and not a path: one that limn knows, or one that this program
/// has added.
pub fn is_known(name: &str) -> bool {
    let added = ADDED.read().unwrap_or_else(PoisonError::into_inner);
    super::sets::find(name).is_some() || added.iter().any(|(known, _)| known == name)
}

impl Dataset {
    /// Images that are in memory, each `[c,h,w]` in bytes, with the class of each if they have
    /// classes. Without images to test on, the last tenth of those to train on (at most 1000) is
    /// held out.
    ///
    /// # Errors
    /// [`Error::Own`] where bytes or labels are of another number than images, [`Error::TooFew`].
    pub fn new(
        name: &str,
        geometry: Geometry,
        train: (Vec<u8>, Option<Vec<u8>>),
        test: Option<(Vec<u8>, Option<Vec<u8>>)>,
    ) -> Result<Dataset, Error> {
        let geometry = geometry.check()?;
        for (images, labels) in std::iter::once(&train).chain(&test) {
            let size = geometry.elements();
            let count = images.len() / size;
            if images.is_empty() || images.len() % size != 0 || labels.as_ref().is_some_and(|l| l.len() != count) {
                let labels = labels.as_ref().map_or(String::new(), |l| format!(" and {} labels", l.len()));
                let why = format!("{} bytes{labels} are not those of some images of {geometry}", images.len());
                return Err(Error::Own { name: name.into(), why });
            }
        }
        let source = Source { train, test, ..Source::new(geometry) };
        split(name, source.opened(name, &Options::default()), None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_in_memory_are_a_set() {
        let geometry = Geometry::new(1, 2, 2);
        let images: Vec<u8> = (0..80).collect();
        let set = Dataset::new("mine", geometry, (images.clone(), None), None).unwrap();
        assert_eq!((set.train.len(), set.test.len()), (18, 2));
        assert_eq!(set.test.image(1)[..], [76, 77, 78, 79]);
        let labelled = Dataset::new("mine", geometry, (images.clone(), Some(vec![1; 20])), None).unwrap();
        assert_ne!(set.identity, labelled.identity);
        for (images, labels) in [(vec![0; 79], None), (vec![], None), (images, Some(vec![0; 3]))] {
            let error = Dataset::new("mine", geometry, (images, labels), None).unwrap_err().to_string();
            assert!(error.contains("mine"), "{error}");
        }
    }

    #[test]
    fn a_source_is_known_by_its_name_from_then_on() {
        let made =
            |geometry: Geometry, _| Dataset::new("waves", geometry, (vec![7; 20 * geometry.elements()], None), None);
        assert!(!is_known("own-waves"));
        register("own-waves", made).unwrap();
        assert!(is_known("own-waves") && register("own-waves", made).is_err() && register("mnist", made).is_err());
        let wanted = Geometry::new(3, 4, 5);
        let set = super::super::open_medium("own-waves", wanted, Medium::Pictures, &Options::default()).unwrap();
        assert_eq!((set.geometry(), set.train.len()), (wanted, 18));
        register("own-small", move |_, medium| made(Geometry::new(1, 2, 2), medium)).unwrap();
        let error = super::super::open_medium("own-small", wanted, Medium::Pictures, &Options::default()).unwrap_err();
        assert!(matches!(error, Error::Mismatch { .. }), "{error}");
    }
}
