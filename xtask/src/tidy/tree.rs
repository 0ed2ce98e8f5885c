//! The files of the project as git sees them: tracked ones and new ones that no ignore rule names.

use crate::process;
use std::fs;
use std::path::Path;

/// One file of text; binary files are left out of the tree.
pub struct File {
    /// Relative to the workspace root, with forward slashes.
    pub path: String,
    /// The whole text.
    pub text: String,
}

impl File {
    /// Whether the name ends in `.rs`, `.md`, ...
    pub fn has_extension(&self, extension: &str) -> bool {
        self.path
            .rsplit_once('.')
            .is_some_and(|(_, end)| end == extension)
    }
}

/// All text files, sorted by path.
pub struct Tree {
    /// The files.
    pub files: Vec<File>,
    /// Every path, text or not, and every folder: what a link may point to.
    pub paths: Vec<String>,
}

impl Tree {
    /// Asks git for the list and reads each file.
    pub fn read(root: &Path) -> Result<Tree, String> {
        let arguments = [
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ];
        let listed = process::output(root, "git", &arguments, &[])?;
        let mut names: Vec<&str> = listed.split('\0').filter(|name| !name.is_empty()).collect();
        names.sort_unstable();
        names.dedup();
        let mut tree = Tree {
            files: Vec::new(),
            paths: Vec::new(),
        };
        for name in names {
            let path = root.join(name);
            // Deleted but not yet committed, or a symlink to nowhere.
            let Ok(bytes) = fs::read(&path) else { continue };
            tree.paths.push(name.to_owned());
            if let Ok(text) = String::from_utf8(bytes) {
                tree.files.push(File {
                    path: name.to_owned(),
                    text,
                });
            }
        }
        for index in 0..tree.paths.len() {
            let mut folder = tree.paths[index].clone();
            while let Some((parent, _)) = folder.rsplit_once('/') {
                folder = parent.to_owned();
                tree.paths.push(folder.clone());
            }
        }
        tree.paths.sort_unstable();
        tree.paths.dedup();
        Ok(tree)
    }

    /// The Rust files.
    pub fn rust(&self) -> impl Iterator<Item = &File> {
        self.files.iter().filter(|file| file.has_extension("rs"))
    }

    /// The file at a path, if the tree has it.
    pub fn get(&self, path: &str) -> Option<&File> {
        self.files.iter().find(|file| file.path == path)
    }

    /// A tree for tests.
    #[cfg(test)]
    pub fn of(files: &[(&str, &str)]) -> Tree {
        let files: Vec<File> = files
            .iter()
            .map(|(path, text)| File {
                path: (*path).to_owned(),
                text: (*text).to_owned(),
            })
            .collect();
        let paths = files.iter().map(|file| file.path.clone()).collect();
        Tree { files, paths }
    }
}
