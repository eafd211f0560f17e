//! Arithmetic with codes, as with words: what makes an image one thing and not another is a
//! direction (Radford et al. 2016, §6.3.2).

use super::space::{ROWS, Space, encodes};
use super::{Error, Images, Shown};
use crate::cli::images::class;
use crate::data::{Dataset, spread};
use crate::kernels::philox::{Domain, Stream};
use crate::sample;
use crate::train::{RunDir, Session};

/// What is added and taken away.
#[derive(clap::Args, Debug)]
pub struct ArithmeticArgs {
    /// Arithmetic: the class whose mean code is taken away
    #[arg(long, value_name = "K|NAME")]
    from: Option<String>,
    /// Arithmetic: the class whose mean code is added
    #[arg(long, value_name = "K|NAME")]
    to: Option<String>,
    /// Arithmetic: the class of the images that are moved; by default that of --from
    #[arg(long, value_name = "K|NAME")]
    plus: Option<String>,
    /// Arithmetic without an encoder: z of A - B + C, each one number or several to be averaged, as
    /// in 3+7+12,5,9: those of the pictures that `limn sample` draws with this --seed, from 0
    #[arg(long, value_name = "A,B,C")]
    z: Option<String>,
}

/// Images of a class whose codes are averaged, at most.
const MOST: usize = 500;
/// The largest number of a picture.
const LAST: usize = 65_535;
/// Results beside the one without noise, and the noise: uniform within this distance (Radford et
/// al. 2016, figure 7).
const NEIGHBOURS: usize = 7;
const NOISE: f32 = 0.25;

impl ArithmeticArgs {
    /// Refuses what other views have no use for.
    pub fn refuse(&self) -> Result<(), Error> {
        let given = [("--from", &self.from), ("--to", &self.to), ("--plus", &self.plus)];
        let given = given.iter().find(|(_, class)| class.is_some()).map(|(name, _)| *name);
        match given.or(self.z.as_ref().map(|_| "--z")) {
            Some(name) => Err(Error::new(format!("{name} is for `limn latent DIR arithmetic` only"))),
            None => Ok(()),
        }
    }
}

impl Space {
    /// Test images of one class, and how they change as the difference of two classes' mean codes
    /// is added; with `--z`, the sum of draws from the prior.
    pub fn arithmetic(
        &self,
        session: &mut Session,
        run: &RunDir,
        images: &Images,
        args: &ArithmeticArgs,
    ) -> Result<Shown, Error> {
        match (args, encodes(session)) {
            (ArithmeticArgs { z: Some(z), from: None, to: None, plus: None }, _) => self.sum_of_draws(session, z),
            (ArithmeticArgs { z: Some(_), .. }, _) => Err(Error::new("--z: give it without --from, --to and --plus")),
            (ArithmeticArgs { from: Some(from), to: Some(to), plus, .. }, true) => {
                let class = |text: &String| -> Result<u8, Error> {
                    let number = class(run, text)?;
                    number.try_into().map_err(|_| Error::new(format!("--class {number}: there is no such class")))
                };
                self.difference(session, images, [class(from)?, class(to)?, class(plus.as_ref().unwrap_or(from))?])
            }
            (_, true) => Err(Error::new("arithmetic takes two classes, as in --from 3 --to 8")),
            (_, false) => Err(Error::new(
                "this model has no encoder to find codes of images; give numbers of pictures of `limn sample` instead, \
                 as in --z 3+7+12,5,9",
            )),
        }
    }

    /// In each row a test image and decoded codes, from its own to that moved by the whole
    /// difference.
    fn difference(&self, session: &mut Session, images: &Images, classes: [u8; 3]) -> Result<Shown, Error> {
        if session.model.classes() > 0 {
            return Err(Error::new(
                "this model is told the class, so its codes leave it out; `limn sample DIR --class K` draws another",
            ));
        }
        let data = images(session)?;
        let [from, to] = [classes[0], classes[1]].map(|class| -> Result<Vec<f32>, Error> {
            let codes = sample::encode(session, &of_class(&data, class, MOST)?, &[])?;
            Ok(sample::mean(&codes, self.latent))
        });
        let (from, to) = (from?, to?);
        let direction: Vec<f32> = std::iter::zip(&to, &from).map(|(to, from)| to - from).collect();
        let images = of_class(&data, classes[2], ROWS)?;
        let codes = sample::encode(session, &images, &[])?;
        // As a picture the image itself comes first.
        let steps = self.columns() - usize::from(!self.film);
        let moved = sample::decode(session, &sample::moved(&codes, &direction, steps), &[])?;
        if self.film {
            return Ok(Shown::still(moved, steps));
        }
        let size = images.len() * self.latent / codes.len();
        let rows = std::iter::zip(images.chunks(size), moved.chunks(steps * size));
        Ok(Shown::still(rows.flat_map(|(image, row)| [image, row].concat()).collect(), 1 + steps))
    }

    /// A, B, C, the result A - B + C, and results with a little noise.
    fn sum_of_draws(&self, session: &mut Session, text: &str) -> Result<Shown, Error> {
        if self.film {
            return Err(Error::new("--film: sums of --z do not move; leave it away"));
        }
        let terms = terms(text)?;
        let count = 1 + terms.iter().flatten().copied().max().unwrap_or_default();
        let draws = sample::prior(self.prior, count, self.latent, self.seed);
        let terms = terms.map(|numbers| {
            let rows = numbers.iter().flat_map(|i| &draws[i * self.latent..(i + 1) * self.latent]).copied();
            sample::mean(&rows.collect::<Vec<f32>>(), self.latent)
        });
        let [a, b, c] = &terms;
        let sum: Vec<f32> = (0..self.latent).map(|i| a[i] - b[i] + c[i]).collect();
        let noise = Stream { seed: self.seed, domain: Domain::Sample as u32, stream: 1, step: 0, first: 0 };
        let near = (0..NEIGHBOURS * self.latent)
            .map(|i| sum[i % self.latent] + NOISE * (2.0 * noise.uniform(i) - 1.0))
            .collect();
        let z = [terms.concat(), sum, near].concat();
        let columns = z.len() / self.latent;
        let labels = self.labels(session, 1, columns)?;
        Ok(Shown::still(sample::decode(session, &z, &labels)?, columns))
    }
}

/// Three lists of numbers, written `1+2+3,4,5+6`.
fn terms(text: &str) -> Result<[Vec<usize>; 3], Error> {
    let number = |word: &str| word.trim().parse().ok().filter(|n| *n <= LAST);
    let list = |words: &str| words.split('+').map(number).collect::<Option<Vec<usize>>>();
    let lists: Option<Vec<Vec<usize>>> = text.split(',').map(list).collect();
    lists.and_then(|lists| lists.try_into().ok()).ok_or_else(|| {
        Error::new(format!("--z {text}: write three numbers from 0 to {LAST}, or sums of such, as in 3+7+12,5,9"))
    })
}

/// Test images of a class, evenly spread, in [0, 1].
fn of_class(data: &Dataset, class: u8, most: usize) -> Result<Vec<f32>, Error> {
    if data.test.labels.is_none() {
        let name = &data.name;
        return Err(Error::new(format!("the images of {name} have no labels to tell classes by; --z needs none")));
    }
    let is_of = |i: &u32| data.test.label(*i as usize) == Some(class);
    let all: Vec<u32> = (0..data.test.len() as u32).filter(is_of).collect();
    let indices: Vec<u32> = spread(most, all.len()).into_iter().map(|k| all[k]).collect();
    match indices.is_empty() {
        true => Err(Error::new(format!("no test image of {} is of class {class}", data.name))),
        false => Ok(data.test.gather(&indices, 0.0, 1.0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_read_or_refused() {
        assert_eq!(terms("3+7+12, 5,9").unwrap(), [vec![3, 7, 12], vec![5], vec![9]]);
        for bad in ["", "1,2", "1,2,3,4", "1,2,x", "1,,3", "1,2,-3", "1,2,65536", "1+,2,3"] {
            assert!(terms(bad).is_err(), "{bad}");
        }
    }
}
