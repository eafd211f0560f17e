//! A set made of many files: its splits, its labels, and what is to be said of it.

use super::arrange::Arranged;
use super::gather::Gathered;
use super::values::peak_warning;
use super::walk::LeftOut;
use super::{Error, Geometry, Opened, Split, to_hold_out};
use std::path::Path;

/// Files of which something is to be said and that are named one by one; the others are only
/// counted.
const NAMED: usize = 20;

/// What was found in a folder and decoded.
pub(super) struct FromFiles<'a> {
    /// The folder.
    pub(super) folder: &'a Path,
    /// Every image's geometry.
    pub(super) geometry: Geometry,
    /// That of the first, as it is stored.
    pub(super) native: Geometry,
    /// The files and what their folders say.
    pub(super) arranged: Arranged,
    /// Their images.
    pub(super) gathered: Gathered,
    /// What is not among the files.
    pub(super) left_out: LeftOut,
    /// What a file is: "picture", "film", "sound".
    pub(super) noun: &'static str,
}

impl FromFiles<'_> {
    /// The set. Without folders for training and testing a tenth of the files (at most 1000) is for
    /// testing, or of the images where there is one file only.
    pub(super) fn opened(self) -> Result<Opened, Error> {
        let FromFiles { folder, geometry, native, arranged, gathered, left_out, noun } = self;
        let good: Vec<usize> = (0..gathered.counts.len()).filter(|i| gathered.counts[*i] > 0).collect();
        if good.is_empty() {
            let first = gathered.remarks.first().map(|(_, why)| why.clone()).unwrap_or_default();
            return Err(Error::AllUnreadable { folder: folder.into(), count: gathered.counts.len(), first });
        }
        let name = folder.display().to_string();
        let held_out = arranged.test.is_empty();
        let (train, test) = match held_out {
            false => good.iter().partition(|i| !arranged.test[**i]),
            true => spread(&good),
        };
        let is_used = |(i, _): &(usize, String)| gathered.counts[*i] > 0;
        let (taken, skipped): (Vec<_>, Vec<_>) = gathered.remarks.iter().cloned().partition(is_used);
        let too_few = || {
            let mut left_out = left_out.clone();
            left_out.add(format!("unreadable {noun}"), skipped.len());
            let rest = left_out.words().map_or(String::new(), |words| format!(" that can be used (left out: {words})"));
            Error::TooFew { name: name.clone(), rest }
        };
        let (train, test) = match (&good[..], train.is_empty() || test.is_empty()) {
            ([one], _) => single(gathered.counts[*one]).ok_or_else(too_few)?,
            (_, true) => return Err(too_few()),
            _ => (images(&train, &gathered.counts), images(&test, &gathered.counts)),
        };
        let owner: Vec<usize> = gathered.counts.iter().enumerate().flat_map(|(i, n)| vec![i; *n]).collect();
        let split = |list: &[u32]| {
            let label = |i: &u32| arranged.labels[owner[*i as usize]];
            let labels = (!arranged.labels.is_empty()).then(|| list.iter().map(label).collect());
            Split::listed(geometry, gathered.pixels.clone(), list, labels)
        };
        let (train, test) = (split(&train), split(&test));
        let mut warnings = Vec::new();
        let tried = gathered.counts.len();
        match &skipped[..] {
            [] => {}
            [(_, why)] => warnings.push(format!("skipped 1 of {tried} {noun}s: {why}")),
            several => {
                warnings.push(format!("skipped {} of {tried} {noun}s in {}", several.len(), folder.display()));
                warnings.extend(named("skipped", several));
            }
        }
        warnings.extend(named("used", &taken));
        warnings.extend(arranged.remarks);
        let folders = arranged.files.iter().filter_map(|file| file.parent()).collect::<std::collections::HashSet<_>>();
        warnings.push(summary(noun, good.len(), folders.len(), (&left_out, skipped.is_empty())));
        warnings.extend(class_counts(&arranged.classes, &train, &test));
        let levels = gathered.levels;
        warnings.extend(match (gathered.stretched, noun) {
            (true, "sound") => {
                Some(format!("the loudest sample, {:.3} of full scale, was made full scale", levels.peak()))
            }
            (true, _) => {
                Some(format!("values of {:.3} to {:.3} were stretched to black and white", levels.low, levels.high))
            }
            (false, "sound") => peak_warning(levels.peak(), &name),
            (false, _) => levels.warning(&name),
        });
        Ok(Opened {
            native,
            sizes: gathered.sizes,
            train,
            test: Some(test),
            held_out,
            classes: arranged.classes,
            digest: Some(gathered.digest),
            stretched: gathered.stretched.then_some(levels),
            warnings,
        })
    }
}

/// Splits the usable files into those to train on and those to test on. A tenth (at most 1000) is
/// held out, taken evenly from all of them: the last files of a folder sorted by name are often all
/// of one class.
fn spread(good: &[usize]) -> (Vec<usize>, Vec<usize>) {
    let (n, held) = (good.len(), to_hold_out(good.len()));
    // File k is held out where floor(k * held / n) steps up.
    let (test, train): (Vec<_>, Vec<_>) = (0..n).partition(|k| (k + 1) * held / n > k * held / n);
    let pick = |ks: Vec<usize>| ks.into_iter().map(|k| good[k]).collect();
    (pick(train), pick(test))
}

/// The images of a single file: its last ones are for testing.
fn single(n: usize) -> Option<(Vec<u32>, Vec<u32>)> {
    let at = n.checked_sub(to_hold_out(n)).filter(|at| *at > 0)? as u32;
    Some(((0..at).collect(), (at..n as u32).collect()))
}

/// The numbers of all images of some files.
fn images(files: &[usize], counts: &[usize]) -> Vec<u32> {
    let mut first = vec![0u32];
    counts.iter().for_each(|n| first.push(first[first.len() - 1] + *n as u32));
    files.iter().flat_map(|i| first[*i]..first[*i + 1]).collect()
}

/// What is to be said of some files, the first of them by name.
fn named(what: &str, remarks: &[(usize, String)]) -> Vec<String> {
    let rest = remarks.len().saturating_sub(NAMED);
    let first = remarks.iter().take(NAMED).map(|(_, remark)| format!("{what}: {remark}"));
    first.chain((rest > 0).then(|| format!("{what}: and {rest} more"))).collect()
}

/// How many files of how many folders, and what was left out; not `all` where some have been told
/// of before.
fn summary(noun: &str, files: usize, folders: usize, (left_out, all): (&LeftOut, bool)) -> String {
    let several = |n: usize, noun: &str| format!("{n} {noun}{}", if n == 1 { "" } else { "s" });
    let nothing = if all { "nothing left out" } else { "nothing else left out" };
    let rest = left_out.words().map_or(nothing.into(), |words| format!("left out: {words}"));
    format!("{} in {}; {rest}", several(files, noun), several(folders, "folder"))
}

/// The classes with how many images of each there are to train and to test on.
fn class_counts(classes: &[String], train: &Split, test: &Split) -> Option<String> {
    let counts = |split: &Split| {
        let mut counts = vec![0usize; classes.len()];
        split.labels.iter().flatten().for_each(|label| counts[usize::from(*label)] += 1);
        counts
    };
    let (train, test) = (counts(train), counts(test));
    let one = |(i, name): (usize, &String)| format!("{name} ({} + {})", train[i], test[i]);
    let all: Vec<String> = classes.iter().enumerate().map(one).collect();
    let noun = if all.len() == 1 { "class" } else { "classes" };
    (!all.is_empty()).then(|| format!("{} {noun} (to train + to test on): {}", all.len(), all.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn held_out_files_are_spread_evenly() {
        let (train, test) = spread(&(100..140).collect::<Vec<_>>());
        assert_eq!(test, [109, 119, 129, 139]);
        assert_eq!(train.len(), 36);
        assert_eq!(spread(&[4, 9]), (vec![4], vec![9]));
    }

    #[test]
    fn images_of_files_have_numbers_in_a_row() {
        assert_eq!(images(&[0, 2, 3], &[2, 3, 0, 1]), [0, 1, 5]);
        assert_eq!(single(20), Some(((0..18).collect(), vec![18, 19])));
        assert_eq!((single(1), single(0)), (None, None));
    }
}
