//! What the folders of a set say: which pictures are for training and which for testing, and what class each is of.

use super::labels::Table;
use super::walk::LeftOut;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Most classes that labels of a byte can tell apart.
const MOST: usize = 256;

/// A split that a folder is named after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Train,
    Test,
    Validation,
}

impl Part {
    fn of(folder: &str) -> Option<Part> {
        Some(match folder.to_ascii_lowercase().as_str() {
            "train" | "training" => Part::Train,
            "test" | "testing" => Part::Test,
            "val" | "valid" | "validation" | "dev" => Part::Validation,
            _ => return None,
        })
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

/// Arranges files below `root`. Folders called train, test and val at the top are these splits; a `val` is the test
/// split where there is no `test`, and left out where there is. Below the top, or below the splits, a folder for each
/// class makes labels, if every file lies in one and there are at least two. A table of labels wins over folders.
pub(super) fn arrange(root: &Path, files: Vec<PathBuf>, table: Option<&Table>, left_out: &mut LeftOut) -> Arranged {
    let mut arranged = Arranged::default();
    let parts: Vec<Option<Part>> = files.iter().map(|file| Part::of(folders(root, file).first()?)).collect();
    let has = |part| parts.contains(&Some(part));
    let by_split = has(Part::Train);
    let test = if has(Part::Test) { Part::Test } else { Part::Validation };
    for (file, part) in std::iter::zip(files, parts) {
        match part {
            _ if !by_split => {}
            Some(part) if part == Part::Train || part == test => arranged.test.push(part != Part::Train),
            Some(_) => {
                left_out.count("validation file");
                continue;
            }
            None => {
                left_out.count("file outside train and test");
                continue;
            }
        }
        arranged.files.push(file);
    }
    if !arranged.test.contains(&true) {
        arranged.test.clear();
    }
    match table {
        Some(table) => arranged.label_by_table(root, table, left_out),
        None => arranged.label_by_folders(root, usize::from(by_split)),
    }
    arranged
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

    /// The class is what the table says; files that it does not name are left out.
    fn label_by_table(&mut self, root: &Path, table: &Table, left_out: &mut LeftOut) {
        let found: Vec<Option<String>> = self.files.iter().map(|file| table.label(root, file)).collect();
        let labels: Vec<String> = found.iter().flatten().cloned().collect();
        let (named, rows, shown) = (labels.len(), table.len(), table.path.display());
        if named == 0 {
            self.remarks.push(format!("{shown} names none of the pictures: no labels"));
            return;
        }
        if named < rows {
            self.remarks.push(format!("{} of the {rows} rows of {shown} name no picture that is there", rows - named));
        }
        left_out.add("file without a label", self.files.len() - named);
        let mut is_named = found.iter().map(Option::is_some);
        self.files.retain(|_| is_named.next().unwrap_or(false));
        let mut is_named = found.iter().map(Option::is_some);
        self.test.retain(|_| is_named.next().unwrap_or(false));
        self.label(&labels);
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
        assert_eq!(left.unwrap(), "1 file outside train and test, 1 validation file");
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
}
