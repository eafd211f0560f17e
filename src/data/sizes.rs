//! The sizes that the pictures of a set have as they are stored, and what becomes of them.

use super::Geometry;
use serde::{Deserialize, Serialize};

/// What the pictures of a set are before they are all made alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sizes {
    /// How many pictures there are.
    pub count: usize,
    /// Width and height of one of the smallest.
    pub smallest: [usize; 2],
    /// Width and height of one of the largest.
    pub largest: [usize; 2],
    /// How many lose something at two of their sides.
    pub cropped: usize,
    /// How many are scaled.
    pub scaled: usize,
    /// How many lose their colours.
    pub made_grey: usize,
    /// How many are grey and stand for colours.
    pub tripled: usize,
}

impl Sizes {
    /// Those of one picture that is brought to another geometry.
    #[cfg(feature = "media")]
    pub(super) fn of(picture: Geometry, wanted: Geometry) -> Sizes {
        let size = [picture.width, picture.height];
        let [cropped, scaled] = picture.cut_and_scaled(wanted).map(usize::from);
        Sizes {
            count: 1,
            smallest: size,
            largest: size,
            cropped,
            scaled,
            made_grey: usize::from(picture.channels > wanted.channels),
            tripled: usize::from(picture.channels < wanted.channels),
        }
    }

    /// Those of two sets together.
    #[cfg(feature = "media")]
    pub(super) fn join(self, other: Sizes) -> Sizes {
        let order = |[width, height]: &[usize; 2]| (width.saturating_mul(*height), *width);
        Sizes {
            count: self.count + other.count,
            smallest: std::cmp::min_by_key(self.smallest, other.smallest, order),
            largest: std::cmp::max_by_key(self.largest, other.largest, order),
            cropped: self.cropped + other.cropped,
            scaled: self.scaled + other.scaled,
            made_grey: self.made_grey + other.made_grey,
            tripled: self.tripled + other.tripled,
        }
    }

    /// Whether there is more than one.
    pub fn differ(&self) -> bool {
        self.smallest != self.largest
    }

    /// "of sizes from 20x30 to 640x480".
    pub fn range(&self) -> String {
        let ([w, h], [width, height]) = (self.smallest, self.largest);
        format!("of sizes from {w}x{h} to {width}x{height}")
    }

    /// What is done to how many of them: "40 cropped to the middle, all scaled, 3 made grey"; none
    /// where they stay as they are.
    pub fn made(&self) -> Option<String> {
        let done = [
            (self.cropped, "cropped to the middle"),
            (self.scaled, "scaled"),
            (self.made_grey, "made grey"),
            (self.tripled, "grey in three channels"),
        ];
        let told = |(count, what): (usize, &str)| match count {
            0 => None,
            count if count == self.count => Some(format!("all {what}")),
            count => Some(format!("{count} {what}")),
        };
        let told: Vec<String> = done.into_iter().filter_map(told).collect();
        (!told.is_empty()).then(|| told.join(", "))
    }
}

#[cfg(all(test, feature = "media"))]
mod tests {
    use super::*;

    #[test]
    fn what_becomes_of_how_many_pictures_is_counted() {
        let wanted = Geometry::new(3, 20, 20);
        let picture = |channels, height, width| Sizes::of(Geometry::new(channels, height, width), wanted);
        let same = picture(3, 20, 20);
        assert_eq!((same.made(), same.differ()), (None, false));
        let all = [picture(3, 40, 40), picture(1, 20, 30), picture(3, 10, 40)].into_iter().fold(same, Sizes::join);
        assert_eq!((all.smallest, all.largest, all.count), ([20, 20], [40, 40], 4));
        assert_eq!(all.range(), "of sizes from 20x20 to 40x40");
        assert_eq!(all.made().unwrap(), "2 cropped to the middle, 2 scaled, 1 grey in three channels");
        let grey = Sizes::of(Geometry::new(3, 20, 20), Geometry::new(1, 20, 20));
        assert_eq!(grey.join(grey).made().unwrap(), "all made grey");
        // As many pixels are no one size.
        assert!(picture(3, 20, 30).join(picture(3, 30, 20)).differ());
    }
}
