//! Files that are made together and written together.

use super::ExportError;
use crate::files::{create_folder, make_folder_of, replace};
use std::io;
use std::path::Path;

/// The files of an export: one, or a folder of some.
#[derive(Clone, Debug, Default)]
pub struct Package {
    /// Their names, with `/` between folders, and what is in them.
    pub files: Vec<(String, Vec<u8>)>,
    /// Sentences for whoever asked for it: what was rounded, what was left out.
    pub remarks: Vec<String>,
}

impl Package {
    /// Bytes of all files.
    pub fn len(&self) -> u64 {
        self.files.iter().map(|(_, bytes)| bytes.len() as u64).sum()
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Writes its only file to `path`, whole or not at all.
    ///
    /// # Errors
    /// What the system said.
    pub fn save_file(&self, path: &Path) -> Result<(), ExportError> {
        let failed = |source| ExportError::Write { path: path.into(), source };
        let [(_, bytes)] = self.files.as_slice() else {
            return Err(failed(io::Error::new(io::ErrorKind::InvalidInput, "it takes a folder")));
        };
        replace(path, |file| file.write_all(bytes)).map_err(failed)
    }

    /// Writes its files into the folder `path`. A new folder appears with all of them; in one that
    /// is there each file is replaced whole, and what else is in there stays.
    ///
    /// # Errors
    /// [`ExportError::Foreign`], or what the system said.
    pub fn save_folder(&self, path: &Path) -> Result<(), ExportError> {
        if let Some((name, _)) = self.files.iter().find(|(name, bytes)| is_foreign(&path.join(name), bytes)) {
            return Err(ExportError::Foreign { path: path.into(), name: name.clone() });
        }
        let written = match path.exists() {
            true => self.write_into(path),
            false => create_folder(path, |staged| self.write_into(staged)),
        };
        written.map_err(|source| ExportError::Write { path: path.into(), source })
    }

    fn write_into(&self, folder: &Path) -> io::Result<()> {
        for (name, bytes) in &self.files {
            let path = folder.join(name);
            let made = make_folder_of(&path).and_then(|()| replace(&path, |file| file.write_all(bytes)));
            made.map_err(|e| io::Error::new(e.kind(), format!("{name}: {e}")))?;
        }
        Ok(())
    }
}

/// Whether there is a text of somebody else's where this one is to be: limn's texts name it.
fn is_foreign(path: &Path, text: &[u8]) -> bool {
    let ours = |text: &[u8]| std::str::from_utf8(text).is_ok_and(|text| text.contains("limn"));
    ours(text) && std::fs::read(path).is_ok_and(|there| !there.is_empty() && !ours(&there))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_new_folder_appears_whole_and_in_an_old_one_other_files_stay() {
        let at = tempfile::tempdir().unwrap();
        let files = vec![("a.txt".to_string(), b"one".to_vec()), ("sub/b.txt".to_string(), b"two".to_vec())];
        let package = Package { files, remarks: Vec::new() };
        let folder = at.path().join("new/out");
        package.save_folder(&folder).unwrap();
        assert_eq!(fs::read(folder.join("sub/b.txt")).unwrap(), b"two");
        assert_eq!(fs::read_dir(at.path().join("new")).unwrap().count(), 1);
        fs::write(folder.join("mine.txt"), "kept").unwrap();
        let files = vec![("README.md".to_string(), b"made by limn".to_vec()), ("b.bin".to_string(), vec![1])];
        let readme = Package { files, remarks: Vec::new() };
        fs::write(folder.join("README.md"), "my own").unwrap();
        assert!(matches!(readme.save_folder(&folder), Err(ExportError::Foreign { name, .. }) if name == "README.md"));
        assert!(fs::read(folder.join("README.md")).unwrap() == b"my own" && !folder.join("b.bin").exists());
        fs::write(folder.join("README.md"), "an earlier export of limn's").unwrap();
        readme.save_folder(&folder).unwrap();
        assert_eq!(fs::read(folder.join("README.md")).unwrap(), b"made by limn");
        fs::write(folder.join("a.txt"), "old").unwrap();
        package.save_folder(&folder).unwrap();
        assert_eq!(fs::read(folder.join("a.txt")).unwrap(), b"one");
        assert_eq!(fs::read(folder.join("mine.txt")).unwrap(), b"kept");
        // A file where a folder is to be leaves nothing behind.
        let broken = Package { files: vec![("a".into(), vec![1]), ("a/b".into(), vec![2])], remarks: Vec::new() };
        let told = broken.save_folder(&at.path().join("broken")).unwrap_err().to_string();
        assert!(told.contains("broken: a/b: "), "{told}");
        assert!(fs::read_dir(at.path()).unwrap().all(|entry| entry.unwrap().file_name() == "new"));
        assert!(package.save_file(&at.path().join("one")).is_err());
    }
}
