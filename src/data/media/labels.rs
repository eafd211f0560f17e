//! A table of labels beside pictures: a CSV file of names and classes.

use super::Error;
use super::reading::Reading;
use crate::files::NEVER;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// What the table of a folder may be called, in the order of preference; another single .csv file
/// will do.
const NAMES: [&str; 2] = ["labels.csv", "metadata.csv"];

/// What the column of names may be called.
const NAME: [&str; 14] = [
    "name",
    "file",
    "filename",
    "file_name",
    "path",
    "filepath",
    "file_path",
    "image",
    "image_name",
    "image_path",
    "image_id",
    "imageid",
    "img",
    "id",
];

/// What the column of classes may be called.
const LABEL: [&str; 10] = [
    "label",
    "labels",
    "label_id",
    "class",
    "classname",
    "class_name",
    "class_id",
    "category",
    "category_id",
    "target",
];

/// Which picture is of which class.
#[derive(Debug)]
pub(super) struct Table {
    /// The file.
    pub(super) path: PathBuf,
    /// Whether its name or its head says that it is a table of labels.
    pub(super) is_certain: bool,
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

    /// Reads a table: a name and a class in every row, in the columns that its head names so, or in
    /// the first two.
    ///
    /// # Errors
    /// What is wrong with the file, and in which line.
    pub(super) fn read(path: &Path) -> Result<Table, Error> {
        let reading = Reading::new(path, &NEVER);
        let damaged = |why: String| reading.damaged(why);
        let bytes = reading.bytes()?;
        if matches!(bytes[..], [0xff, 0xfe, ..] | [0xfe, 0xff, ..]) {
            return Err(damaged("it is written in UTF-16; save it as UTF-8".into()));
        }
        let text = std::str::from_utf8(&bytes).map_err(|e| {
            let line = 1 + bytes[..e.valid_up_to()].iter().filter(|b| **b == b'\n').count();
            damaged(format!("line {line} is not in UTF-8; save it as UTF-8"))
        })?;
        let text = text.trim_start_matches('\u{feff}');
        let mut rows = csv::ReaderBuilder::new();
        rows.has_headers(false).flexible(true).trim(csv::Trim::All).delimiter(delimiter(text));
        let mut rows = rows.from_reader(text.as_bytes());
        let (mut labels, mut columns, mut last) = (HashMap::new(), (0, 1), String::new());
        let mut is_certain = path.file_name().is_some_and(|name| NAMES.iter().any(|known| name == *known));
        for (i, row) in rows.records().enumerate() {
            let row = row.map_err(|e| damaged(format!("as a table of labels: {e}")))?;
            let line = row.position().map_or(i as u64 + 1, csv::Position::line);
            let column = |known: &[&str]| row.iter().position(|cell| known.contains(&&*cell.to_lowercase()));
            if i == 0
                && let (Some(name), Some(label)) = (column(&NAME), column(&LABEL))
            {
                (columns, is_certain) = ((name, label), true);
                continue;
            }
            let (Some(name), Some(label)) = (row.get(columns.0), row.get(columns.1)) else {
                return Err(damaged(format!("line {line} has no name and label; it wants name,label")));
            };
            if name.contains('\n') || label.contains('\n') {
                return Err(damaged(format!("line {line} has a name or label of several lines; is a quote missing?")));
            }
            if label.is_empty() {
                continue;
            }
            let name = name.trim_start_matches("./").replace('\\', "/");
            last = label.to_string();
            if let Some(before) = labels.insert(name.clone(), last.clone())
                && before != label
            {
                return Err(damaged(format!("it says that {name} is {before} and, in line {line}, {label}")));
            }
        }
        let ended = text.ends_with(['\n', '\r']);
        if !ended && text.matches('"').count() % 2 == 1 {
            return Err(damaged("it is cut short: the last quote in it is never closed".into()));
        }
        // Half a label looks like one more class.
        let longer = |label: &String| label.len() > last.len() && label.starts_with(&last);
        if !ended
            && labels.values().filter(|label| **label == last).count() == 1
            && let Some(label) = labels.values().find(|label| longer(label))
        {
            return Err(damaged(format!(
                "it may be cut short: its last label is \"{last}\", and others are \"{label}\"; end it with a line break \
                 if it is whole"
            )));
        }
        match labels.is_empty() {
            true => Err(damaged("it names no picture".into())),
            false => Ok(Table { path: path.into(), is_certain, labels }),
        }
    }

    /// How many pictures it names.
    pub(super) fn len(&self) -> usize {
        self.labels.len()
    }

    /// The class of a file below `root`, by its path, its name, or its name without the extension;
    /// and which of these the table has.
    pub(super) fn label(&self, root: &Path, file: &Path) -> Option<(&str, &str)> {
        let inside = file.strip_prefix(root).unwrap_or(file);
        let words = |path: &Path| path.to_string_lossy().replace('\\', "/");
        let forms =
            [words(inside), words(&inside.with_extension("")), name(inside)?, name(&inside.with_extension(""))?];
        let (name, label) = forms.iter().find_map(|form| self.labels.get_key_value(form))?;
        Some((name, label))
    }
}

/// What stands between the columns: a comma, or what programs write where that is the decimal mark,
/// or a tabulator.
fn delimiter(text: &str) -> u8 {
    let head = text.lines().next().unwrap_or_default();
    let count = |delimiter: u8| head.bytes().filter(|b| *b == delimiter).count();
    // Of several with the same count the last is taken.
    [b'\t', b';', b','].into_iter().max_by_key(|delimiter| count(*delimiter)).unwrap_or(b',')
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
        let label = |file: &str| {
            let table = Table::beside(root).unwrap().unwrap();
            table.label(root, &root.join(file)).map(|(_, label)| label.to_string())
        };
        fs::write(&path, "\u{feff}label,file\ncat,a.png\n\"dog, big\", b \n").unwrap();
        assert_eq!(label("a.png").unwrap(), "cat");
        assert_eq!(label("deep/b.jpg").unwrap(), "dog, big");
        assert_eq!(label("c.png"), None);
        fs::write(&path, "x/1.png,red\nx\\2.png,blue\n").unwrap();
        assert_eq!((label("x/1.png").unwrap(), label("x/2.png").unwrap()), ("red".into(), "blue".into()));
        for text in ["\u{feff}\"Filename\";\"Label\"\r\n\"a.png\";\"cat, big\"\r\n", "image_id\tclass\na\tcat, big\n"] {
            fs::write(&path, text).unwrap();
            assert_eq!(label("a.png").unwrap(), "cat, big", "{text}");
        }
        fs::write(&path, "x/1.png,red\n").unwrap();
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
        for (text, word) in [
            ("", "empty"),
            ("name,label\n", "no picture"),
            ("a.png\n", "line 1"),
            ("a,x\nb,x\na,y\n", "line 3"),
            ("a,x\n\"b,x\nc,y\n", "line 2"),
            ("a,x\nb,\"x\nc,y\n", "is a quote missing"),
        ] {
            fs::write(&path, text).unwrap();
            let error = Table::read(&path).unwrap_err().to_string();
            assert!(error.contains(word) && error.contains("labels.csv"), "{error}");
        }
        for bytes in [&b"a,x\nb,\xff\xfe\n"[..], b"\xff\xfea\0,\0x\0\n\0"] {
            fs::write(&path, bytes).unwrap();
            assert!(Table::read(&path).unwrap_err().to_string().contains("save it as UTF-8"));
        }
    }

    #[test]
    fn a_table_cut_anywhere_says_nothing_that_the_whole_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("labels.csv");
        let text = "name,label\n\"1.png\",\"cat, big\"\n2.png,cat\n3.png,dog\n4.png,\"dog\"\r\n5.png,cat\n6.png,\"cat, big\"\n7.png,dog\n8.png,cat\n";
        fs::write(&path, text).unwrap();
        let whole = Table::read(&path).unwrap();
        assert_eq!(whole.len(), 8);
        let mut refused = 0;
        // Half of a label that no line before has cannot be told from a whole one.
        for n in text.find("4.png").unwrap()..text.len() {
            fs::write(&path, &text[..n]).unwrap();
            match Table::read(&path) {
                Ok(part) => {
                    let lines = text[..n].lines().count() - 1;
                    assert!(part.len() <= lines && part.len() + 1 >= lines, "{n}: {part:?}");
                    for (name, label) in &part.labels {
                        assert_eq!(whole.labels.get(name), Some(label), "{n}");
                    }
                }
                Err(e) => {
                    refused += 1;
                    assert!(e.to_string().contains("labels.csv"), "{e}");
                }
            }
        }
        assert!(refused > text.len() / 4, "{refused}");
    }
}
