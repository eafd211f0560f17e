//! How images stand in memory: by planes, `[n, channels, plane]`, or with their channels last,
//! `[n, plane, channels]`.

use super::conv::{Conv, End};
use super::gather::Role;
use crate::kernels::Images;
use std::borrow::Cow;

/// Images with an order of their elements.
#[derive(Clone, Copy, Debug)]
pub(super) struct Standing {
    pub end: End,
    /// Whether channels are last.
    pub last: bool,
}

impl Standing {
    /// Where element `at` of what stands by planes is.
    fn of_planes(&self, at: usize) -> usize {
        let End { channels, plane } = self.end;
        let (image, channel, pixel) = (at / (channels * plane), at / plane % channels, at % plane);
        (image * plane + pixel) * channels + channel
    }

    /// Which element of what stands by planes is at `at`.
    pub(super) fn plane_of(&self, at: usize) -> usize {
        let End { channels, plane } = self.end;
        let turned = Standing { end: End { channels: plane, plane: channels }, ..*self };
        if self.last { turned.of_planes(at) } else { at }
    }

    /// The same images by planes.
    pub(super) fn planes<'a>(&self, data: &'a [f32]) -> Cow<'a, [f32]> {
        match self.last {
            false => Cow::Borrowed(data),
            true => (0..data.len()).map(|at| data[self.of_planes(at)]).collect(),
        }
    }

    /// Writes images that stand by planes as these do.
    pub(super) fn write(&self, planes: &[f32], to: &mut [f32]) {
        for (at, to) in to.iter_mut().enumerate() {
            *to = planes[self.plane_of(at)];
        }
    }
}

impl Conv {
    /// How x and y stand.
    pub(super) fn standing(&self) -> [Standing; 2] {
        let [x, y] = self.ends(Role::Conv);
        [Standing { end: x, last: self.x_last != 0 }, Standing { end: y, last: self.y_last != 0 }]
    }

    /// Whether both stand by planes.
    pub(super) fn by_planes(&self) -> bool {
        [self.x_last, self.y_last] == [0, 0]
    }

    /// The same with both by planes.
    pub(super) fn in_planes(&self) -> Conv {
        Conv { x_last: 0, y_last: 0, ..*self }
    }

    /// Whether x, and y, can have their channels last as it is asked: in fours. A matrix product has no
    /// pixels to put in front of the channels.
    pub(super) fn can_stand(&self, asked: [Option<Images>; 2]) -> [bool; 2] {
        let ends = self.ends(Role::Conv);
        [0, 1].map(|i| {
            let End { channels, plane } = ends[i];
            let own = Images { channels: channels as u32, plane: plane as u32 };
            asked[i] == Some(own) && channels.is_multiple_of(4) && !self.is_product()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_go_to_their_places_and_back() {
        for (channels, plane, last) in [(12, 5, true), (4, 1, true), (3, 4, false)] {
            let standing = Standing { end: End { channels, plane }, last };
            let planes: Vec<f32> = (0..2 * channels * plane).map(|v| v as f32).collect();
            let mut own = vec![0.0; planes.len()];
            standing.write(&planes, &mut own);
            assert_eq!(*standing.planes(&own), planes);
        }
        let turned = Standing { end: End { channels: 2, plane: 3 }, last: true };
        assert_eq!([0, 1, 2, 3, 4, 5].map(|at| turned.plane_of(at)), [0, 3, 1, 4, 2, 5]);
    }
}
