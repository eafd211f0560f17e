//! A table of labels beside pictures: a CSV file of names and classes.

use super::Error;
use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};

/// What the table of a folder may be called, in the order of preference; another single .csv file will do.
const NAMES: [&str; 2] = ["labels.csv", "metadata.csv"];

/// What the column of names may be called.
const NAME: [&str; 7] = ["name", "file", "filename", "file_name", "path", "image", "id"];

/// What the column of classes may be called.
const LABEL: [&str; 5] = ["label", "class", "category", "target", "classname"];

/// Bytes of the longest table that is read.
const MOST: u64 = 1 << 30;

/// Which picture is of which class.
#[derive(Debug)]
pub(super) struct Table {
    /// The file.
    pub(super) path: PathBuf,
    labels: HashMap<String, String>,
}

impl Table {
    /// The table of labels in a folder, if there is one.
    ///
    /// # Errors
    /// One that is there and cannot be read.
    pub(super) fn beside(folder: &Path) -> Result<Option<Table>, Error> {
        if let Some(path) = NAMES.iter().map(|name| folder.join(name)).find(|path| path.is_file()) {
            return Table::read(&path).map(Some);
        }
        let entries = std::fs::read_dir(folder).map_err(Error::io("read", folder))?;
        let is_table = |path: &PathBuf| {
            let is_csv = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("csv"));
            is_csv && path.is_file() && !path.file_name().unwrap_or_default().as_encoded_bytes().starts_with(b".")
        };
        let mut tables = entries.filter_map(|entry| Some(entry.ok()?.path())).filter(is_table);
        match (tables.next(), tables.next()) {
            // It may be about anything.
            (Some(path), None) => Ok(Table::read(&path).ok()),
            _ => Ok(None),
        }
    }

    /// Reads a table: a name and a class in every row, in the columns that its head names so, or in the first two.
    ///
    /// # Errors
    /// What is wrong with the file, and in which line.
    pub(super) fn read(path: &Path) -> Result<Table, Error> {
        let file = File::open(path).map_err(Error::io("open", path))?;
        let damaged = |why: String| Error::Damaged { path: path.into(), why };
        if file.metadata().map_err(Error::io("read", path))?.len() > MOST {
            return Err(damaged("it is too long for a table of labels".into()));
        }
        let mut rows =
            csv::ReaderBuilder::new().has_headers(false).flexible(true).trim(csv::Trim::All).from_reader(file);
        let (mut labels, mut columns) = (HashMap::new(), (0, 1));
        for (i, row) in rows.records().enumerate() {
            let row = row.map_err(|e| damaged(format!("as a table of labels: {e}")))?;
            let column = |known: &[&str]| {
                row.iter().position(|cell| known.contains(&cell.trim_start_matches('\u{feff}').to_lowercase().as_str()))
            };
            if i == 0
                && let (Some(name), Some(label)) = (column(&NAME), column(&LABEL))
            {
                columns = (name, label);
                continue;
            }
            let (Some(name), Some(label)) = (row.get(columns.0), row.get(columns.1)) else {
                return Err(damaged(format!("line {} has no name and label; it wants name,label", i + 1)));
            };
            let name = name.trim_start_matches('\u{feff}').trim_start_matches("./").replace('\\', "/");
            if let Some(before) = labels.insert(name.clone(), label.to_string())
                && before != label
            {
                return Err(damaged(format!("it says that {name} is {before} and, in line {}, {label}", i + 1)));
            }
        }
        match labels.is_empty() {
            true => Err(damaged("it names no picture".into())),
            false => Ok(Table { path: path.into(), labels }),
        }
    }

    /// How many pictures it names.
    pub(super) fn len(&self) -> usize {
        self.labels.len()
    }

    /// The class of a file below `root`, by its path, its name, or its name without the extension.
    pub(super) fn label(&self, root: &Path, file: &Path) -> Option<String> {
        let inside = file.strip_prefix(root).unwrap_or(file);
        let words = |path: &Path| path.to_string_lossy().replace('\\', "/");
        let forms =
            [words(inside), words(&inside.with_extension("")), name(inside)?, name(&inside.with_extension(""))?];
        forms.iter().find_map(|form| self.labels.get(form)).cloned()
    }
}

fn name(path: &Path) -> Option<String> {
    Some(path.file_name()?.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn names_find_their_labels_with_or_without_folder_extension_and_head() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        assert!(Table::beside(root).unwrap().is_none());
        let path = root.join("labels.csv");
        let label = |file: &str| Table::beside(root).unwrap().unwrap().label(root, &root.join(file));
        fs::write(&path, "\u{feff}label,file\ncat,a.png\n\"dog, big\", b \n").unwrap();
        assert_eq!(label("a.png").unwrap(), "cat");
        assert_eq!(label("deep/b.jpg").unwrap(), "dog, big");
        assert_eq!(label("c.png"), None);
        fs::write(&path, "x/1.png,red\nx\\2.png,blue\n").unwrap();
        assert_eq!((label("x/1.png").unwrap(), label("x/2.png").unwrap()), ("red".into(), "blue".into()));
        assert_eq!(label("y/1.png"), None);
        // Two tables of other names say nothing.
        fs::remove_file(&path).unwrap();
        fs::write(root.join("a.csv"), "a,b\n").unwrap();
        assert_eq!(Table::beside(root).unwrap().unwrap().len(), 1);
        fs::write(root.join("b.csv"), "a,b\n").unwrap();
        assert!(Table::beside(root).unwrap().is_none());
    }

    #[test]
    fn tables_that_say_nothing_or_two_things_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("labels.csv");
        for (text, word) in [("", "no picture"), ("a.png\n", "line 1"), ("a,x\nb,x\na,y\n", "line 3")] {
            fs::write(&path, text).unwrap();
            let error = Table::read(&path).unwrap_err().to_string();
            assert!(error.contains(word) && error.contains("labels.csv"), "{error}");
        }
        fs::write(&path, b"a,\xff\xfe\n").unwrap();
        assert!(Table::read(&path).is_err());
    }
}
