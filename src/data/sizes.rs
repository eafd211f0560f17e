//! The sizes that the pictures of a set have as they are stored, and what becomes of them.

#[cfg(feature = "media")]
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
    /// The least and the largest width.
    #[serde(default)]
    pub widths: [usize; 2],
    /// The least and the largest height.
    #[serde(default)]
    pub heights: [usize; 2],
    /// How many can be seen through in places, where they are laid on white.
    #[serde(default)]
    pub transparent: usize,
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
            widths: [picture.width; 2],
            heights: [picture.height; 2],
            transparent: 0,
            cropped,
            scaled,
            made_grey: usize::from(picture.channels > wanted.channels),
            tripled: usize::from(picture.channels < wanted.channels),
        }
    }

    /// Those of two sets together.
    #[cfg(feature = "media")]
    pub(super) fn join(self, other: Sizes) -> Sizes {
        let span = |[least, most]: [usize; 2], [a, b]: [usize; 2]| [least.min(a), most.max(b)];
        let order = |[width, height]: &[usize; 2]| (width.saturating_mul(*height), *width);
        Sizes {
            count: self.count + other.count,
            smallest: std::cmp::min_by_key(self.smallest, other.smallest, order),
            largest: std::cmp::max_by_key(self.largest, other.largest, order),
            widths: span(self.widths, other.widths),
            heights: span(self.heights, other.heights),
            transparent: self.transparent + other.transparent,
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

    /// "of several sizes, 20 to 640 wide and 30 to 480 high".
    pub fn range(&self) -> String {
        let span = |[least, most]: [usize; 2]| match least == most {
            true => least.to_string(),
            false => format!("{least} to {most}"),
        };
        format!("of several sizes, {} wide and {} high", span(self.widths), span(self.heights))
    }

    /// How many can be seen through, and what becomes of that; none where no picture can.
    pub fn transparency(&self) -> Option<String> {
        let of = match self.transparent {
            0 => return None,
            1 => "1 picture is".to_string(),
            all if all == self.count => format!("all {all} pictures are"),
            some => format!("{some} of {} pictures are", self.count),
        };
        Some(format!("{of} transparent in places, which become white"))
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
        assert_eq!(all.range(), "of several sizes, 20 to 40 wide and 10 to 40 high");
        assert_eq!(picture(3, 20, 20).join(picture(3, 90, 20)).range(), "of several sizes, 20 wide and 20 to 90 high");
        // One that is neither the smallest nor the largest may be the highest.
        let high = [picture(3, 90, 50), picture(3, 60, 80)].into_iter().fold(picture(3, 48, 48), Sizes::join);
        assert_eq!(high.range(), "of several sizes, 48 to 80 wide and 48 to 90 high");
        let clear = Sizes { transparent: 1, ..same };
        assert_eq!(all.join(clear).transparency().unwrap(), "1 picture is transparent in places, which become white");
        assert_eq!((clear.join(clear).transparency().unwrap().starts_with("all 2"), all.transparency()), (true, None));
        assert_eq!(all.made().unwrap(), "2 cropped to the middle, 2 scaled, 1 grey in three channels");
        let grey = Sizes::of(Geometry::new(3, 20, 20), Geometry::new(1, 20, 20));
        assert_eq!(grey.join(grey).made().unwrap(), "all made grey");
        // As many pixels are no one size.
        assert!(picture(3, 20, 30).join(picture(3, 30, 20)).differ());
    }
}
