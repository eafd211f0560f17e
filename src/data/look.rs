//! A look at somebody's images before they are read: how many there are, how large they are, and
//! whether they are in colour.

use super::{Error, Geometry, Medium, Options, formats, own};

/// What a look at a set of pictures shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// How many there are, as far as their names tell.
    pub count: usize,
    /// The geometry of some of them, evenly spread over all. A picture of three channels that are
    /// all the same counts as grey.
    pub seen: Vec<Geometry>,
}

impl Look {
    /// The size that they all have, if they have one.
    pub fn size(&self) -> Option<[usize; 2]> {
        let size = |seen: &Geometry| [seen.height, seen.width];
        let first = self.seen.first().map(size)?;
        self.seen.iter().all(|seen| size(seen) == first).then_some(first)
    }

    /// 3 where any of them is in colour, else 1.
    pub fn channels(&self) -> usize {
        self.seen.iter().map(|seen| seen.channels).max().unwrap_or(1)
    }
}

/// Looks at the pictures that a path leads to. `None` where `spec` is no path but the name of a set,
/// and where nothing could be looked at: what is wrong there is said by [`super::open`].
///
/// # Errors
/// [`Error::Stopped`].
pub fn look(spec: &str, options: &Options) -> Result<Option<Look>, Error> {
    if own::is_known(spec) {
        return Ok(None);
    }
    match formats::look(spec, Medium::Pictures, options) {
        Err(stopped @ Error::Stopped { .. }) => Err(stopped),
        Ok(look) if !look.seen.is_empty() => Ok(Some(look)),
        _ => Ok(None),
    }
}
