//! Images as arrays, with the latent vectors that they were made of: files for NumPy and PyTorch.

mod npy;
mod npz;
mod numbers;
mod table;

use crate::files::{NEVER, Target, make_folder_of, read_whole, replace};
use crate::machine::memory_available;
use numbers::Array;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use std::fmt::Display;
use std::path::{Path, PathBuf};

/// A file of arrays that cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum ArrayError {
    /// Nothing was written.
    #[error("cannot write {}: {why}", .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// Nothing of use was read.
    #[error("{}: {why}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and what it should hold.
        why: String,
    },
}

/// The formats of files that arrays are written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArrayFormat {
    /// NumPy's: a ZIP of `.npy` files.
    Npz,
    /// That of checkpoints.
    Safetensors,
}

impl ArrayFormat {
    /// The format that a file's extension stands for.
    pub fn of(path: &Path) -> Option<ArrayFormat> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "npz" => Some(ArrayFormat::Npz),
            "safetensors" => Some(ArrayFormat::Safetensors),
            _ => None,
        }
    }
}

/// Images and what they were made of.
pub struct Arrays<'a> {
    /// `[n,c,h,w]` in [0, 1]: the array `images`.
    pub images: &'a [f32],
    /// Channels, height and width.
    pub geometry: [usize; 3],
    /// `[n,latent]`, of models that have them: the array `latents`.
    pub latents: Option<&'a [f32]>,
    /// `[n]`, of models that have classes, and otherwise empty: the array `labels`.
    pub labels: &'a [u8],
}

/// An array as it is written: its name, what its elements are, extents, elements.
type Named<'a> = (&'static str, Dtype, Vec<usize>, &'a [u8]);

impl Arrays<'_> {
    fn named(&self) -> impl Iterator<Item = Named<'_>> {
        let [c, h, w] = self.geometry;
        let n = self.images.len() / (c * h * w).max(1);
        let images = (IMAGES, Dtype::F32, vec![n, c, h, w], bytemuck::cast_slice(self.images));
        let latents = self.latents.map(|z| (LATENTS, Dtype::F32, vec![n, z.len() / n.max(1)], bytemuck::cast_slice(z)));
        let labels = (!self.labels.is_empty()).then_some((LABELS, Dtype::U8, vec![n], self.labels));
        [Some(images), latents, labels].into_iter().flatten()
    }

    /// The names of the arrays and their extents.
    pub fn shapes(&self) -> Vec<(&'static str, Vec<usize>)> {
        self.named().map(|(name, _, shape, _)| (name, shape)).collect()
    }

    /// Refuses a place that cannot be written to, before any work is done.
    ///
    /// # Errors
    /// A folder, or no name of a file.
    pub fn can_be_at(path: &Path) -> Result<(), ArrayError> {
        Target::of(path).map(drop).map_err(|e| refused(path, e))
    }

    /// Writes the file, whole or not at all, and the folder it lies in.
    ///
    /// # Errors
    /// What the system said.
    pub fn save(&self, format: ArrayFormat, path: &Path) -> Result<(), ArrayError> {
        let all: Vec<Named> = self.named().collect();
        let bytes = match format {
            ArrayFormat::Npz => npz::bytes(&all).map_err(|e| refused(path, e))?,
            ArrayFormat::Safetensors => {
                let view = |(name, dtype, shape, bytes)| Ok((name, TensorView::new(dtype, shape, bytes)?));
                let views = all.into_iter().map(view).collect::<Result<Vec<_>, safetensors::SafeTensorError>>();
                views.and_then(|views| safetensors::serialize(views, None)).map_err(|e| refused(path, e))?
            }
        };
        let written = make_folder_of(path).and_then(|()| replace(path, |file| file.write_all(&bytes)));
        written.map_err(|e| refused(path, e))
    }
}

fn refused(path: &Path, why: impl Display) -> ArrayError {
    ArrayError::Write { path: path.into(), why: why.to_string() }
}

/// Latent vectors that somebody gives.
#[derive(Debug, PartialEq)]
pub struct Latents {
    /// `[n,latent]`.
    pub codes: Vec<f32>,
    /// `[n]`, where the file has labels.
    pub labels: Option<Vec<u8>>,
}

/// Reads latent vectors of so many numbers each from a `.npz`, `.npy`, `.safetensors` or `.csv`
/// file. Of several arrays it is the one called `latents`; whole numbers called `labels` are the
/// classes.
///
/// # Errors
/// A file that cannot be read, and numbers that are no such vectors: what is there and what is
/// wanted.
pub fn read_latents(path: &Path, latent: usize) -> Result<Latents, ArrayError> {
    latents(path, latent).map_err(|why| ArrayError::Read { path: path.into(), why })
}

/// Decodes the array of a name.
type Decode = Box<dyn Fn(&str) -> Result<Array, String>>;

/// The arrays of a file by their names, which are decoded when they are asked for.
struct File {
    names: Vec<String>,
    read: Decode,
}

fn latents(path: &Path, latent: usize) -> Result<Latents, String> {
    let extension = path.extension().map(|e| e.to_string_lossy().to_lowercase()).unwrap_or_default();
    if !["npz", "npy", "safetensors", "csv"].contains(&extension.as_str()) {
        return Err("latent vectors are read from .npz, .npy, .safetensors and .csv files".into());
    }
    let bytes = read_whole(path, memory_available(), &NEVER).map_err(|e| e.to_string())?;
    let file = match extension.as_str() {
        "npz" => npz::open(bytes)?,
        "npy" => single(npy::read(&bytes)?),
        "csv" => single(table::read(&bytes)?),
        _ => of_tensors(bytes)?,
    };
    let is_one = |name: &&String| *name != LABELS && *name != IMAGES;
    let mut others = file.names.iter().filter(is_one);
    let only = others.next().filter(|_| others.next().is_none());
    let Some(name) = file.names.iter().find(|name| *name == LATENTS).or(only) else {
        let has = if file.names.is_empty() { "none".into() } else { file.names.join(", ") };
        return Err(format!("it has no array called {LATENTS}; its arrays: {has}"));
    };
    let codes = (file.read)(name)?;
    let n = rows(&codes, latent)?;
    if let Some(at) = codes.values.iter().position(|v| !v.is_finite()) {
        return Err(format!("the latent vector number {} (from 0) holds {}", at / latent, codes.values[at]));
    }
    let labels = match file.names.iter().find(|name| *name == LABELS) {
        Some(labels) => Some(classes((file.read)(labels)?, n)?),
        None => None,
    };
    Ok(Latents { codes: codes.values, labels })
}

const IMAGES: &str = "images";
const LATENTS: &str = "latents";
const LABELS: &str = "labels";

/// How many vectors of so many numbers an array holds: `[n,latent]`, perhaps with axes of one
/// behind, or a single vector.
fn rows(codes: &Array, latent: usize) -> Result<usize, String> {
    let shape = &codes.shape;
    match shape[..] {
        [0, ..] => Err("it holds no latent vector".into()),
        [length] if length == latent => Ok(1),
        [n] if latent == 1 => Ok(n),
        [n, width, ref more @ ..] if width == latent && more.iter().all(|extent| *extent == 1) => Ok(n),
        _ => Err(format!(
            "its latent vectors have the shape {shape:?}, and this model takes [n, {latent}]: n vectors of {latent} \
             numbers"
        )),
    }
}

/// The classes of so many images.
fn classes(labels: Array, n: usize) -> Result<Vec<u8>, String> {
    if labels.values.len() != n {
        return Err(format!("it has {n} latent vectors and {} labels", labels.values.len()));
    }
    let class = |v: &f32| match *v {
        v if v.fract() == 0.0 && (0.0..=255.0).contains(&v) => Ok(v as u8),
        v => Err(format!("{v} among its labels is no class")),
    };
    labels.values.iter().map(class).collect()
}

/// A file of one array, without a name.
fn single(array: Array) -> File {
    File { names: vec![LATENTS.into()], read: Box::new(move |_| Ok(array.clone())) }
}

/// A file of tensors.
fn of_tensors(bytes: Vec<u8>) -> Result<File, String> {
    let wrong = |e: safetensors::SafeTensorError| format!("it is no sound safetensors file ({e})");
    let names = SafeTensors::deserialize(&bytes).map_err(wrong)?.names().into_iter().map(String::from).collect();
    let read = move |name: &str| {
        let all = SafeTensors::deserialize(&bytes).map_err(wrong)?;
        let tensor = all.tensor(name).map_err(wrong)?;
        let kind = numbers::Kind::of_tensor(tensor.dtype());
        let kind = kind.ok_or_else(|| format!("{name} is {}; save it as F32", tensor.dtype()))?;
        Array::new(tensor.shape().to_vec(), kind, false, tensor.data())
    };
    Ok(File { names, read: Box::new(read) })
}

#[cfg(test)]
mod tests;
