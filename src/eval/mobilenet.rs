//! MobileNetV2 (Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks", CVPR
//! 2018) with weights the user has, as torchvision names them: the mean of its last convolution's
//! 1,280 channels are features of an image.

use super::FigureError;
use crate::files::read_in_memory;
use crate::graph::{Graph, Var};
use crate::ops::ConvSpec;
use crate::train::{Session, SessionError};
use safetensors::{Dtype, SafeTensors};
use sha2::{Digest, Sha256};
use std::path::Path;

/// Features of an image.
pub(super) const FEATURES: usize = 1280;

/// Side of the images that MobileNetV2 was made for.
pub const SIDE: usize = 224;

/// Mean and standard deviation of ImageNet's colours, which torchvision's weights expect to be
/// taken out.
const MEAN: [f32; 3] = [0.485, 0.456, 0.406];
const DEVIATION: [f32; 3] = [0.229, 0.224, 0.225];

/// Expansion, output channels, repetitions and first stride of the blocks: table 2.
const BLOCKS: [[usize; 4]; 7] =
    [[1, 16, 1, 1], [6, 24, 2, 2], [6, 32, 3, 2], [6, 64, 4, 2], [6, 96, 3, 1], [6, 160, 3, 2], [6, 320, 1, 1]];

/// Added to variances in batch normalisation.
const EPS: f64 = 1e-5;

/// A network under construction in a graph, its weights in a session's states.
struct Builder<'a> {
    session: &'a mut Session,
    tensors: &'a SafeTensors<'a>,
    path: &'a Path,
    graph: Graph,
}

/// What a convolution does to its channels.
#[derive(Clone, Copy)]
enum Conv {
    Full { stride: usize },
    Depthwise { stride: usize },
    Pointwise,
}

/// Adds the network to a graph: features [n,1280] of images [n,3,h,w] prepared by [`prepare`], and
/// the start of the file's SHA-256.
///
/// # Errors
/// A sentence about a file that cannot be read, or in which a tensor is missing or has another
/// shape.
pub(super) fn features(
    session: &mut Session,
    graph: &Graph,
    images: &Var,
    path: &Path,
) -> Result<(Var, String), FigureError> {
    let refuse = |why: String| FigureError::Network { path: path.into(), why };
    let bytes = read_in_memory(path).map_err(|e| refuse(format!("it cannot be read: {e}")))?;
    let tensors = SafeTensors::deserialize(&bytes)
        .map_err(|e| refuse(format!("it is no safetensors file limn can read: {e}")))?;
    let mut net = Builder { session, tensors: &tensors, path, graph: graph.clone() };
    let mut x = relu6(&net.conv(images, "features.0.0", "features.0.1", [3, 32], Conv::Full { stride: 2 })?);
    let (mut channels, mut number) = (32, 1);
    for [expansion, out, repetitions, stride] in BLOCKS {
        for repetition in 0..repetitions {
            let stride = if repetition == 0 { stride } else { 1 };
            let y = net.block(&x, number, [channels, channels * expansion, out], stride)?;
            // A shortcut where the block changes nothing of the shape.
            x = if stride == 1 && channels == out { &x + &y } else { y };
            (channels, number) = (out, number + 1);
        }
    }
    let last = net.conv(&x, "features.18.0", "features.18.1", [channels, FEATURES], Conv::Pointwise)?;
    let n = images.shape()[0];
    let digest = crate::words::hex(&Sha256::digest(&bytes)[..6]);
    Ok((relu6(&last).mean_axes(&[2, 3]).reshape(&[n, FEATURES]), digest))
}

fn relu6(x: &Var) -> Var {
    x.clamp(0.0, 6.0)
}

impl Builder<'_> {
    /// An inverted residual: wider by a 1x1 convolution, unless it is as wide already; 3x3 channel
    /// by channel; narrower again, without activation.
    fn block(
        &mut self,
        x: &Var,
        number: usize,
        [ci, hidden, co]: [usize; 3],
        stride: usize,
    ) -> Result<Var, FigureError> {
        let at = format!("features.{number}.conv");
        let mut x = x.clone();
        let mut layer = 0;
        if hidden != ci {
            x = relu6(&self.conv(&x, &format!("{at}.0.0"), &format!("{at}.0.1"), [ci, hidden], Conv::Pointwise)?);
            layer = 1;
        }
        let deep = Conv::Depthwise { stride };
        let (conv, norm) = (format!("{at}.{layer}.0"), format!("{at}.{layer}.1"));
        x = relu6(&self.conv(&x, &conv, &norm, [hidden, hidden], deep)?);
        let (conv, norm) = (format!("{at}.{}", layer + 1), format!("{at}.{}", layer + 2));
        self.conv(&x, &conv, &norm, [hidden, co], Conv::Pointwise)
    }

    /// A convolution without bias and the batch norm behind it, whose given statistics make them
    /// one convolution.
    fn conv(&mut self, x: &Var, conv: &str, norm: &str, [ci, co]: [usize; 2], kind: Conv) -> Result<Var, FigureError> {
        let shape = match kind {
            Conv::Full { .. } => [co, ci, 3, 3],
            Conv::Depthwise { .. } => [co, 1, 3, 3],
            Conv::Pointwise => [co, ci, 1, 1],
        };
        let mut weight = self.tensor(&format!("{conv}.weight"), &shape)?;
        let of = |what: &str| self.tensor(&format!("{norm}.{what}"), &[co]);
        let (gamma, beta, mean, var) = (of("weight")?, of("bias")?, of("running_mean")?, of("running_var")?);
        let mut bias = Vec::with_capacity(co);
        for (k, row) in weight.chunks_mut(shape[1..].iter().product()).enumerate() {
            let scale = f64::from(gamma[k]) / (f64::from(var[k]) + EPS).sqrt();
            row.iter_mut().for_each(|w| *w = (f64::from(*w) * scale) as f32);
            bias.push((f64::from(beta[k]) - f64::from(mean[k]) * scale) as f32);
        }
        let w = self.state(&format!("{conv}.weight"), &weight, &shape)?;
        let b = self.state(&format!("{conv}.bias"), &bias, &[co])?;
        Ok(match kind {
            Conv::Full { stride } => x.conv2d(&w, Some(&b), &ConvSpec::new(stride, 1)),
            Conv::Depthwise { stride } => x.depthwise_conv2d(&w, &b, stride, 1),
            Conv::Pointwise => x.conv2d(&w, Some(&b), &ConvSpec::default()),
        })
    }

    fn state(&mut self, name: &str, values: &[f32], shape: &[usize]) -> Result<Var, FigureError> {
        let name = format!("mobilenet.{name}");
        self.session.store.write(&name, values).map_err(SessionError::from)?;
        Ok(self.graph.state(&name, values.len(), 0, shape))
    }

    fn tensor(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, FigureError> {
        let refuse = |why: String| FigureError::Network {
            path: self.path.into(),
            why: format!("{why}; it must hold torchvision's mobilenet_v2"),
        };
        let tensor = self.tensors.tensor(name).map_err(|_| refuse(format!("it has no tensor {name}")))?;
        if tensor.shape() != shape || tensor.dtype() != Dtype::F32 {
            let has = format!("{name} is {:?} of {:?}", tensor.shape(), tensor.dtype());
            return Err(refuse(format!("{has} and should be {shape:?} of F32")));
        }
        let values: Vec<f32> = bytemuck::pod_collect_to_vec(tensor.data());
        match values.iter().all(|v| v.is_finite()) {
            true => Ok(values),
            false => Err(refuse(format!("{name} is not finite"))),
        }
    }
}

/// One image [c,h,w] in [0, 1] as the network takes it, [3,side,side]: scaled through a triangle
/// filter, grey repeated, ImageNet's colours taken out.
pub(super) fn prepare(image: &[f32], [c, h, w]: [usize; 3], side: usize) -> Vec<f32> {
    let plane = |k: usize| -> Vec<f32> {
        let values = image[k * h * w..(k + 1) * h * w].to_vec();
        if (h, w) == (side, side) {
            return values;
        }
        let plane: Option<image::ImageBuffer<image::Luma<f32>, Vec<f32>>> =
            image::ImageBuffer::from_raw(w as u32, h as u32, values);
        let (side, filter) = (side as u32, image::imageops::FilterType::Triangle);
        plane.map_or(Vec::new(), |plane| image::imageops::resize(&plane, side, side, filter).into_raw())
    };
    let planes: Vec<Vec<f32>> = (0..c).map(plane).collect();
    let colour = |k: usize| planes[k.min(c - 1)].iter().map(move |v| (v - MEAN[k]) / DEVIATION[k]);
    (0..3).flat_map(colour).collect()
}

#[cfg(test)]
mod tests {
    use super::super::FeatureNet;
    use super::*;
    use crate::kernels::philox::Stream;
    use crate::program::Device;
    use crate::train::Config;
    use safetensors::tensor::TensorView;

    fn session() -> Session {
        let config = Config::preset("vae").unwrap();
        Session::new(&config.model, &config.optimizer(), 3, Device::Cpu).unwrap()
    }

    #[test]
    fn features_are_those_of_pytorch_and_other_files_are_refused() {
        let text = std::fs::read_to_string("assets/fixtures/mobilenet.json").unwrap();
        let fixture: serde_json::Value = serde_json::from_str(&text).unwrap();
        let stream = |stream: usize| Stream { seed: 0, domain: 9, stream: stream as u32, step: 0, first: 0 };
        let drawn = |(i, tensor): (usize, &serde_json::Value)| {
            let name = tensor[0].as_str().unwrap().to_string();
            let shape: Vec<usize> =
                tensor[1].as_array().unwrap().iter().map(|n| n.as_u64().unwrap() as usize).collect();
            let (len, source) = (shape.iter().product::<usize>(), stream(400 + i));
            let fan: usize = shape[1..].iter().product();
            let value = |k: usize| match shape.len() {
                4 => source.normal(k) * (2.0 / fan as f64).sqrt() as f32,
                _ if name.ends_with("running_var") => source.uniform(k) + 0.5,
                _ => 0.1 * source.normal(k) + if name.ends_with("weight") { 1.0 } else { 0.0 },
            };
            let bytes: Vec<u8> = (0..len).flat_map(|k| value(k).to_le_bytes()).collect();
            (name, shape, bytes)
        };
        let tensors: Vec<_> = fixture["tensors"].as_array().unwrap().iter().enumerate().map(drawn).collect();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("weights.safetensors");
        let save = |without: &str| {
            let kept = tensors.iter().filter(|(name, ..)| name != without);
            let mut views = Vec::new();
            for (name, shape, bytes) in kept {
                views.push((name.clone(), TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap()));
            }
            std::fs::write(&path, safetensors::serialize(views, None).unwrap()).unwrap();
        };
        save("");
        let mut session = session();
        let image: Vec<f32> = (0..3 * 32 * 32).map(|i| stream(399).uniform(i)).collect();
        let mut net = FeatureNet::mobilenet(&mut session, &path, 32).unwrap();
        let got = net.features(&image, [3, 32, 32]).unwrap();
        let want: Vec<f64> = fixture["features"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect();
        let largest = want.iter().fold(0.0f64, |a, b| a.max(*b));
        assert!(largest > 0.1 && got.len() == FEATURES);
        for (got, want) in std::iter::zip(got, &want) {
            assert!((f64::from(got) - want).abs() < 1e-4 * largest, "{got} {want}");
        }
        save("features.7.conv.1.0.weight");
        let e = FeatureNet::mobilenet(&mut session, &path, 32).err().unwrap().to_string();
        assert!(e.contains("no tensor features.7.conv.1.0.weight") && e.contains("mobilenet_v2"), "{e}");
        std::fs::write(&path, b"nonsense").unwrap();
        let e = FeatureNet::mobilenet(&mut session, &path, 32).err().unwrap().to_string();
        assert!(e.contains("safetensors"), "{e}");
    }

    #[test]
    fn grey_images_are_scaled_and_become_colours() {
        let image = [0.5; 7 * 7];
        let made = prepare(&image, [1, 7, 7], 9);
        assert_eq!(made.len(), 3 * 81);
        for (k, plane) in made.chunks(81).enumerate() {
            assert!(plane.iter().all(|v| (v - (0.5 - MEAN[k]) / DEVIATION[k]).abs() < 1e-5));
        }
    }
}
