//! Images of models that have classes.

use crate::models::Model;
use crate::train::{Session, SessionError};

/// The class of each of `n` images: `class`, or without one all of the model's in turn. Empty for
/// models without classes.
///
/// # Errors
/// A class that the model does not have.
pub fn labels(model: &dyn Model, n: usize, class: Option<usize>) -> Result<Vec<u8>, SessionError> {
    match (model.classes(), class) {
        (0, None) => Ok(Vec::new()),
        (classes, Some(class)) if class >= classes => Err(SessionError::NoClass { class, classes }),
        (_, Some(class)) => Ok(vec![class as u8; n]),
        (classes, None) => Ok((0..n).map(|i| (i % classes) as u8).collect()),
    }
}

/// Rows [n,classes] with a one in the column of each label.
pub(crate) fn one_hot(labels: &[u8], classes: usize) -> Vec<f32> {
    let mut rows = vec![0.0; labels.len() * classes];
    for (row, label) in std::iter::zip(rows.chunks_exact_mut(classes.max(1)), labels) {
        row[usize::from(*label)] = 1.0;
    }
    rows
}

/// Refuses labels that are not those of `n` images of the model.
pub(super) fn fit(model: &dyn Model, labels: &[u8], n: usize) -> Result<(), SessionError> {
    let wanted = if model.classes() > 0 { n } else { 0 };
    if labels.len() != wanted {
        let has = labels.len();
        return Err(SessionError::Config(format!(
            "{n} images of this model take {wanted} labels, and there are {has}"
        )));
    }
    match labels.iter().max().filter(|largest| usize::from(**largest) >= model.classes()) {
        Some(largest) => {
            let classes = model.classes();
            Err(SessionError::Config(format!(
                "an image is of class {largest}, and the model's are 0 to {}",
                classes - 1
            )))
        }
        None => Ok(()),
    }
}

/// What `draw` makes of some images of one class, for images [n,...] of all classes: class by
/// class, in the order they came. `rows` are [n,...] each, of which `draw` gets those of the class
/// and a seed of its own.
pub(super) fn by_class(
    session: &mut Session,
    rows: [&[f32]; 2],
    labels: &[u8],
    seed: u64,
    mut draw: impl FnMut(&mut Session, [&[f32]; 2], Option<u8>, u64) -> Result<Vec<f32>, SessionError>,
) -> Result<Vec<f32>, SessionError> {
    if labels.is_empty() {
        return draw(session, rows, None, seed);
    }
    let [images, _] = rows;
    let width = |all: &[f32]| all.len() / labels.len();
    let mut drawn = vec![0.0; images.len()];
    for class in 0..=u8::MAX {
        let of: Vec<usize> = (0..labels.len()).filter(|i| labels[*i] == class).collect();
        if of.is_empty() {
            continue;
        }
        let part = rows.map(|all| -> Vec<f32> {
            of.iter().flat_map(|i| all[i * width(all)..(i + 1) * width(all)].iter().copied()).collect()
        });
        // Classes have seeds of their own, far apart, as further images of a class count theirs up.
        let seed = seed.wrapping_add(u64::from(class) << 32);
        let new = draw(session, [&part[0], &part[1]], Some(class), seed)?;
        for (i, image) in std::iter::zip(of, new.chunks_exact(width(images))) {
            drawn[i * width(images)..(i + 1) * width(images)].copy_from_slice(image);
        }
    }
    Ok(drawn)
}
