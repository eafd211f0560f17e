//! Reading and writing the safetensors files of `limn run`.

use super::super::Error;
use crate::files::{self, Target};
use safetensors::{Dtype, SafeTensorError, SafeTensors, tensor::TensorView};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Bytes a file of tensors may have: a few of the largest.
const MOST: u64 = 16 << 30;

/// A tensor in row-major order.
pub struct Tensor {
    /// What the file holds; `data` stays empty unless this is F32, which only matters where the
    /// tensor is used.
    pub dtype: Dtype,
    /// Extents.
    pub shape: Vec<usize>,
    /// Elements.
    pub data: Vec<f32>,
}

impl Tensor {
    /// A tensor of f32.
    pub fn new(shape: Vec<usize>, data: Vec<f32>) -> Tensor {
        Tensor { dtype: Dtype::F32, shape, data }
    }

    /// Refuses what limn cannot compute with.
    pub fn usable(&self, name: &str) -> Result<(), Error> {
        let shape = &self.shape;
        if self.dtype != Dtype::F32 {
            let dtype = self.dtype;
            return Err(Error::new(format!("{name} is {dtype} and limn takes F32; in PyTorch: {name}.float()")));
        }
        match self.data.len() {
            0 => Err(Error::new(format!("{name} has no elements, its shape is {shape:?}"))),
            n if n > super::MOST => {
                Err(Error::new(format!("{name} is larger than limn run takes, its shape is {shape:?}")))
            }
            _ => Ok(()),
        }
    }
}

/// Every tensor of a file, by name.
pub fn read(path: &Path) -> Result<BTreeMap<String, Tensor>, Error> {
    let at = path.display();
    let bytes = files::read_whole(path, MOST, &files::NEVER);
    let bytes = bytes.map_err(|e| Error::new(format!("cannot read {at}: {e}")))?;
    let file = SafeTensors::deserialize(&bytes).map_err(|e| match e {
        // A file that was cut has a sound header and too little behind it, or not even a header.
        SafeTensorError::MetadataIncompleteBuffer | SafeTensorError::HeaderTooSmall => {
            Error::new(format!("{at} is cut short or has bytes to spare; copy or write it again"))
        }
        SafeTensorError::InvalidHeaderLength | SafeTensorError::HeaderTooLarge => {
            Error::new(format!("{at} is cut short or no safetensors file; copy or write it again"))
        }
        e => Error::new(format!("{at} is no sound safetensors file: {e}")),
    })?;
    let tensor = |view: TensorView<'_>| {
        let data = match view.dtype() {
            Dtype::F32 => bytemuck::pod_collect_to_vec(view.data()),
            _ => Vec::new(),
        };
        Tensor { dtype: view.dtype(), shape: view.shape().to_vec(), data }
    };
    Ok(file.iter().map(|(name, view)| (name.to_string(), tensor(view))).collect())
}

/// Where results go. What was there before stays until the new file is whole.
pub struct Output {
    path: PathBuf,
    target: Target,
}

impl Output {
    /// Refuses a place that cannot be written to, before any work is done.
    pub fn new(path: &Path) -> Result<Output, Error> {
        let wrong = |why: String| Error::new(format!("cannot write {}: {why}", path.display()));
        let target = Target::of(path).map_err(|e| wrong(e.to_string()))?;
        if let Target::File(file) = &target
            && let Some(folder) = file.parent().filter(|p| !p.as_os_str().is_empty() && !p.is_dir())
        {
            return Err(wrong(format!("there is no folder {}", folder.display())));
        }
        Ok(Output { path: path.to_path_buf(), target })
    }

    /// Writes the file whole.
    pub fn write(&self, tensors: &[(String, Tensor)]) -> Result<(), Error> {
        let mut views = Vec::new();
        for (name, t) in tensors {
            views.push((name.as_str(), TensorView::new(Dtype::F32, t.shape.clone(), bytemuck::cast_slice(&t.data))?));
        }
        let all = safetensors::serialize(views, None)?;
        let written = self.target.write(|file| file.write_all(&all));
        written.map_err(|e| Error::new(format!("cannot write {}: {e}", self.path.display())))
    }
}
