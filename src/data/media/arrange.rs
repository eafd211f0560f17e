//! What the folders of a set say: which pictures are for training and which for testing, and what
//! class each is of.

use super::labels::Table;
use super::walk::LeftOut;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Most classes that labels of a byte can tell apart.
const MOST: usize = 256;

/// Words beside the name of a split that change nothing about it.
const NEUTRAL: [&str; 12] =
    ["set", "sets", "split", "data", "dataset", "image", "images", "img", "imgs", "pictures", "sounds", "frames"];

/// How deep splits may lie.
const DEEPEST: usize = 4;

/// A split that a folder is named after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Train,
    Test,
    Validation,
}

impl Part {
    /// What `Train`, `test_set`, `val-images` and `train2017` say; none where a folder may be
    /// called so for another reason.
    fn of(folder: &str) -> Option<Part> {
        let lower = folder.to_lowercase();
        let words = lower.split(|c: char| !c.is_alphanumeric()).map(|word| word.trim_end_matches(char::is_numeric));
        let mut found = None;
        for word in words.filter(|word| !word.is_empty() && !NEUTRAL.contains(word)) {
            let stem = word.strip_suffix("set").unwrap_or(word);
            let part = match stem {
                "train" | "training" | "trainval" => Part::Train,
                "test" | "tests" | "testing" => Part::Test,
                "val" | "valid" | "validation" | "dev" | "eval" | "evaluation" => Part::Validation,
                _ => return None,
            };
            if found.replace(part).is_some() {
                return None;
            }
        }
        found
    }
}

/// The files of a set in their places.
#[derive(Debug, Default)]
pub(super) struct Arranged {
    /// The files that are used.
    pub(super) files: Vec<PathBuf>,
    /// Whether each is for testing; empty where the folders do not say.
    pub(super) test: Vec<bool>,
    /// The names of the classes, in the order of their numbers; empty without.
    pub(super) classes: Vec<String>,
    /// The number of each file's class; empty without.
    pub(super) labels: Vec<u8>,
    /// What is worth saying.
    pub(super) remarks: Vec<String>,
}

/// Arranges files below `root`. Folders called train, test and val are these splits, at the top, or
/// deeper if every file lies in one; a `val` is the test split where there is no `test`, and left
/// out where there is. Above or below the splits, or at the top where there are none, a folder for
/// each class makes labels, if every file lies in one and there are at least two. A table of labels
/// wins over folders.
pub(super) fn arrange(root: &Path, files: Vec<PathBuf>, table: Option<&Table>, left_out: &mut LeftOut) -> Arranged {
    let mut arranged = Arranged::default();
    let above: Vec<Vec<String>> = files.iter().map(|file| folders(root, file)).collect();
    let depth = split_depth(&above);
    let parts: Vec<Option<Part>> = above.iter().map(|names| Part::of(names.get(depth)?)).collect();
    let has = |part| parts.contains(&Some(part));
    let by_split = has(Part::Train);
    let test = if has(Part::Test) { Part::Test } else { Part::Validation };
    if !by_split && (1..DEEPEST).any(|depth| is_split(&above, depth)) {
        arranged.remarks.push(
            "folders for training and for testing lie deeper in it, but not every file lies in one: they are not taken \
             for splits; give limn the folder that they are in"
                .into(),
        );
    }
    for (file, part) in std::iter::zip(files, parts) {
        match part {
            _ if !by_split => {}
            Some(part) if part == Part::Train || part == test => arranged.test.push(part != Part::Train),
            Some(_) => {
                left_out.count("validation file");
                continue;
            }
            None => {
                left_out.count("file outside of train and test");
                continue;
            }
        }
        arranged.files.push(file);
    }
    if !arranged.test.contains(&true) {
        arranged.test.clear();
    }
    if !table.is_some_and(|table| arranged.label_by_table(root, table, left_out)) {
        // Classes may be divided into splits, or splits into classes.
        let class = match depth.checked_sub(1) {
            Some(before) if above.iter().any(|names| names[before] != above[0][before]) => before,
            _ => depth + usize::from(by_split),
        };
        arranged.label_by_folders(root, class);
    }
    arranged
}

/// Whether folders at this depth are for training and others for testing.
fn is_split(above: &[Vec<String>], depth: usize) -> bool {
    let part = |names: &Vec<String>| Part::of(names.get(depth)?);
    let has = |wanted: fn(Part) -> bool| above.iter().filter_map(part).any(wanted);
    has(|part| part == Part::Train) && has(|part| part != Part::Train)
}

/// How deep the folders lie that are splits: those at the top, unless there are none, and others
/// that all files lie in.
fn split_depth(above: &[Vec<String>]) -> usize {
    let part = |names: &Vec<String>, depth: usize| Part::of(names.get(depth)?);
    if above.iter().any(|names| part(names, 0) == Some(Part::Train)) {
        return 0;
    }
    let all = |depth: usize| above.iter().all(|names| part(names, depth).is_some());
    (1..DEEPEST).find(|depth| is_split(above, *depth) && all(*depth)).unwrap_or(0)
}

impl Arranged {
    /// The class is the folder at this depth, if all files lie in one.
    fn label_by_folders(&mut self, root: &Path, depth: usize) {
        let names: Option<Vec<String>> =
            self.files.iter().map(|file| folders(root, file).into_iter().nth(depth)).collect();
        if let Some(names) = names
            && names.iter().any(|name| *name != names[0])
        {
            self.label(&names);
        }
    }

    /// The class is what the table says; files that it does not name are left out. False where it
    /// says nothing of them.
    fn label_by_table(&mut self, root: &Path, table: &Table, left_out: &mut LeftOut) -> bool {
        let found: Vec<Option<(&str, &str)>> = self.files.iter().map(|file| table.label(root, file)).collect();
        let labels: Vec<String> = found.iter().flatten().map(|(_, label)| (*label).into()).collect();
        let (named, rows, shown) = (labels.len(), table.len(), table.path.display());
        if named == 0 || !table.is_certain && 2 * named <= self.files.len() {
            let which = if named == 0 { "none".into() } else { format!("{named} of {}", self.files.len()) };
            self.remarks.push(format!("{shown} names {which} of the files that are there, and is not used for labels"));
            return named == 0 && table.is_certain;
        }
        let used: BTreeSet<&str> = found.iter().flatten().map(|(name, _)| *name).collect();
        if used.len() < rows {
            let rest = rows - used.len();
            self.remarks.push(format!("{rest} of the {rows} rows of {shown} name no picture that is there"));
        }
        if used.len() < named {
            self.remarks.push(format!(
                "{shown} has {} names for {named} pictures, because some in different folders are called the same; write \
                 folder/name in it to tell them apart",
                used.len()
            ));
        }
        left_out.add("file without a label", self.files.len() - named);
        let mut is_named = found.iter().map(Option::is_some);
        self.files.retain(|_| is_named.next().unwrap_or(false));
        let mut is_named = found.iter().map(Option::is_some);
        self.test.retain(|_| is_named.next().unwrap_or(false));
        self.label(&labels);
        true
    }

    fn label(&mut self, names: &[String]) {
        let mut classes: Vec<String> = names.iter().collect::<BTreeSet<_>>().into_iter().cloned().collect();
        // Numbers in their own order: 10 comes after 9.
        if classes.iter().all(|name| name.parse::<u64>().is_ok()) {
            classes.sort_by_key(|name| name.parse::<u64>().unwrap_or_default());
        }
        if classes.len() > MOST {
            let n = classes.len();
            self.remarks.push(format!("{n} folders or labels are more than the {MOST} classes limn knows: no labels"));
            return;
        }
        let number = |name: &String| classes.iter().position(|class| class == name).unwrap_or_default() as u8;
        self.labels = names.iter().map(number).collect();
        self.classes = classes;
    }
}

/// The folders between `root` and a file.
fn folders(root: &Path, file: &Path) -> Vec<String> {
    let inside = file.parent().and_then(|folder| folder.strip_prefix(root).ok()).unwrap_or(Path::new(""));
    inside.components().map(|part| part.as_os_str().to_string_lossy().into_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arranged(names: &[&str]) -> (Arranged, Option<String>) {
        let root = Path::new("/set");
        let mut left_out = LeftOut::default();
        let files = names.iter().map(|name| root.join(name)).collect();
        let all = arrange(root, files, None, &mut left_out);
        (all, left_out.words())
    }

    #[test]
    fn folders_of_splits_are_splits() {
        let (all, left) = arranged(&["test/a.png", "train/b.png", "train/deep/c.png", "val/d.png", "e.png"]);
        assert_eq!((all.files.len(), all.test), (3, vec![true, false, false]));
        assert_eq!(left.unwrap(), "1 file outside of train and test, 1 validation file");
        assert!(all.classes.is_empty());
        let (all, left) = arranged(&["Training/a.png", "valid/b.png"]);
        assert_eq!((all.test, left), (vec![false, true], None));
        // Without folders for testing there is no split to keep, and `test` alone may be anything.
        assert!(arranged(&["train/a.png", "train/b.png"]).0.test.is_empty());
        assert!(arranged(&["test/a.png", "b.png"]).0.test.is_empty());
    }

    #[test]
    fn folders_of_classes_are_labels_also_inside_splits() {
        let (all, _) = arranged(&["cat/a.png", "cat/x/b.png", "dog/c.png"]);
        assert_eq!((all.classes, all.labels), (vec!["cat".to_string(), "dog".into()], vec![0, 0, 1]));
        let (all, _) = arranged(&["test/dog/a.png", "train/cat/b.png", "train/dog/c.png"]);
        assert_eq!((all.classes.len(), all.labels, all.test), (2, vec![1, 0, 1], vec![true, false, false]));
        let (all, _) = arranged(&["10/a.png", "2/b.png", "9/c.png"]);
        assert_eq!((all.classes, all.labels), (["2", "9", "10"].map(String::from).to_vec(), vec![2, 0, 1]));
        for heap in [&["a.png", "cat/b.png", "dog/c.png"][..], &["cat/a.png", "cat/b.png"]] {
            assert!(arranged(heap).0.labels.is_empty());
        }
        let many: Vec<String> = (0..300).map(|i| format!("c{i}/a.png")).collect();
        let (all, _) = arranged(&many.iter().map(String::as_str).collect::<Vec<_>>());
        assert!(all.labels.is_empty() && all.remarks[0].contains("300"));
    }

    #[test]
    fn splits_by_other_names_and_deeper_are_splits_too() {
        for (train, test) in [
            ("training_set", "test_set"),
            ("train-images", "test-images"),
            ("train2017", "val2017"),
            ("Trainset", "TestSet"),
            ("train ", "eval"),
        ] {
            let (all, left) = arranged(&[&format!("{test}/a.png"), &format!("{train}/b.png")]);
            assert_eq!((all.test, all.classes.len(), left), (vec![true, false], 0, None), "{train}");
        }
        for class in ["dog", "train_station", "testarossa", "train_test", "dataset", "7", "valve"] {
            assert_eq!(Part::of(class), None, "{class}");
        }
        // A folder around all of it.
        let (all, _) = arranged(&["set/test/a.png", "set/train/b.png", "set/train/c.png"]);
        assert_eq!((all.test, all.classes.len()), (vec![true, false, false], 0));
        let (all, _) = arranged(&["x/set/test/cat/a.png", "x/set/train/cat/b.png", "x/set/train/dog/c.png"]);
        assert_eq!((all.test, all.classes, all.labels), (vec![true, false, false], cats(), vec![0, 0, 1]));
        // Classes that are divided into splits.
        let (all, left) = arranged(&["cat/test/a.png", "cat/train/b.png", "dog/train/c.png", "dog/val/d.png"]);
        assert_eq!((all.test, all.classes, all.labels), (vec![true, false, false], cats(), vec![0, 0, 1]));
        assert_eq!(left.unwrap(), "1 validation file");
        // Where not all files lie in a split, it is said.
        let (all, _) = arranged(&["a.png", "set/test/b.png", "set/train/c.png"]);
        assert!(all.test.is_empty() && all.remarks[0].contains("not taken for splits"), "{:?}", all.remarks);
        let (all, _) = arranged(&["vehicles/car/a.png", "vehicles/train/b.png"]);
        assert!(all.test.is_empty() && all.remarks.is_empty());
    }

    fn cats() -> Vec<String> {
        vec!["cat".into(), "dog".into()]
    }

    #[test]
    fn what_a_table_cannot_tell_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        let by_table = |name: &str, text: &str, names: &[&str]| {
            std::fs::write(root.join(name), text).unwrap();
            let table = Table::beside(root).unwrap();
            std::fs::remove_file(root.join(name)).unwrap();
            let (mut left_out, files) = (LeftOut::default(), names.iter().map(|name| root.join(name)).collect());
            let all = arrange(root, files, table.as_ref(), &mut left_out);
            (all, left_out.words())
        };
        // One name, two pictures.
        let (all, left) = by_table("labels.csv", "a.png,x\nb.png,y\n", &["p/a.png", "p/b.png", "q/a.png"]);
        assert_eq!((all.labels, left), (vec![0, 1, 0], None));
        assert!(all.remarks[0].contains("2 names for 3 pictures"), "{:?}", all.remarks);
        // An empty label is none.
        let (all, left) = by_table("labels.csv", "a.png,x\nb.png,\nc.png,y\n", &["a.png", "b.png", "c.png", "d.png"]);
        assert_eq!((all.classes.len(), left.as_deref()), (2, Some("2 files without a label")));
        // A table of something else names few of the pictures by chance.
        let numbers = ["0.png", "1.png", "2.png", "3.png"];
        let (all, left) = by_table("growth.csv", "1,2.5\n3,4.5\n", &numbers);
        assert_eq!((all.files.len(), all.classes.len(), left), (4, 0, None));
        assert!(all.remarks[0].contains("2 of 4"), "{:?}", all.remarks);
        let (all, _) = by_table("growth.csv", "1,x\n3,y\n2,x\n0,x\n", &numbers);
        assert_eq!((all.classes.len(), all.labels), (2, vec![0, 0, 0, 1]));
    }
}
