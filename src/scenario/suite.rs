//! A folder of scenarios run together.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

use super::{Diagnostic, Scenario, Source};

/// The scenarios of some paths, in the order of their names.
#[derive(Clone, Debug)]
pub struct Suite {
    /// The scenarios.
    pub scenarios: Vec<Scenario>,
}

/// A file with mistakes in it.
#[derive(Clone, Debug)]
pub struct Broken {
    /// The file.
    pub source: Source,
    /// Everything that is wrong with it.
    pub diagnostics: Vec<Diagnostic>,
}

/// Why a suite cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SuiteError {
    /// Files have mistakes in them; they were all read, and none is run.
    #[error("{} with mistakes", files(.0.len()))]
    Broken(Vec<Broken>),
    /// There is no scenario at a path.
    #[error("there is no scenario in `{}`: no file in it ends in `.yaml`", .0.display())]
    Empty(PathBuf),
    /// A path leads to a pipe, a socket or a device, which might never end.
    #[error("`{}` is neither a file nor a folder", .0.display())]
    NeitherFileNorFolder(PathBuf),
    /// A path cannot be read.
    #[error("cannot read `{}`", path.display())]
    Unreadable {
        /// The path.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// How deep folders may be nested.
const DEPTH_MAX: usize = 16;

impl Suite {
    /// Reads every scenario at the given files and folders.
    pub fn read(paths: &[PathBuf]) -> Result<Self, SuiteError> {
        let mut files = Vec::new();
        for path in paths {
            let mut walk = Walk { root: path, folders: BTreeSet::new(), files: Vec::new() };
            walk.collect(path, 0)?;
            if walk.files.is_empty() {
                return Err(SuiteError::Empty(path.clone()));
            }
            files.extend(walk.files);
        }
        let mut scenarios: Vec<Scenario> = Vec::new();
        let mut broken = Vec::new();
        let mut known = BTreeSet::new();
        for (id, path) in files {
            // A file that is named twice, in whatever way, is run once.
            if !known.insert(whole(&path)) {
                continue;
            }
            let bytes = read(&path)?;
            let source = Source::from_bytes(shown(&path), &bytes);
            match Scenario::read(&id, &address(&path), source.clone()) {
                Ok(scenario) => scenarios.push(scenario),
                Err(diagnostics) => broken.push(Broken { source, diagnostics }),
            }
        }
        if broken.is_empty() { Ok(Self { scenarios }) } else { Err(SuiteError::Broken(broken)) }
    }
}

/// Reads a file, but never much more than a scenario may have.
fn read(path: &Path) -> Result<Vec<u8>, SuiteError> {
    use io::Read as _;

    let unreadable = |source| SuiteError::Unreadable { path: path.to_owned(), source };
    let limit = u64::try_from(Source::BYTES_MAX + 1).unwrap_or(u64::MAX);
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(unreadable)?;
    file.take(limit).read_to_end(&mut bytes).map_err(unreadable)?;
    Ok(bytes)
}

/// A walk through a folder.
struct Walk<'a> {
    /// Where it began.
    root: &'a Path,
    /// The folders that it has been to: a link may lead back up.
    folders: BTreeSet<PathBuf>,
    /// The scenarios so far, with their ids.
    files: Vec<(String, PathBuf)>,
}

impl Walk<'_> {
    /// Finds the scenarios at a path, in the order of their names.
    fn collect(&mut self, path: &Path, depth: usize) -> Result<(), SuiteError> {
        let unreadable = |source| SuiteError::Unreadable { path: path.to_owned(), source };
        let metadata = fs::metadata(path).map_err(unreadable)?;
        if metadata.is_file() {
            self.files.push((id(self.root, path), path.to_owned()));
            return Ok(());
        }
        if !metadata.is_dir() {
            // To open a pipe waits for somebody who writes to it.
            return Err(SuiteError::NeitherFileNorFolder(path.to_owned()));
        }
        if !self.folders.insert(whole(path)) {
            return Ok(());
        }
        if depth == DEPTH_MAX {
            let message = format!("folders are nested more than {DEPTH_MAX} deep");
            return Err(unreadable(io::Error::other(message)));
        }
        let entries = fs::read_dir(path).map_err(unreadable)?;
        let entries: Result<Vec<PathBuf>, _> =
            entries.map(|entry| entry.map(|entry| entry.path())).collect();
        let mut entries = entries.map_err(unreadable)?;
        entries.sort();
        for entry in entries {
            let name = entry.file_name().unwrap_or_default().to_string_lossy();
            let yaml = entry.extension().is_some_and(|ending| ending == "yaml" || ending == "yml");
            if !name.starts_with('.') && (yaml || entry.is_dir()) {
                self.collect(&entry, depth + 1)?;
            }
        }
        Ok(())
    }
}

/// The path inside the suite without the extension; a file named by itself keeps its folder.
fn id(root: &Path, path: &Path) -> String {
    let inside = path.strip_prefix(root).ok().filter(|inside| !inside.as_os_str().is_empty());
    let inside = inside.map_or_else(
        || {
            let folder = path.parent().and_then(Path::file_name);
            let name = path.file_name().unwrap_or_default();
            folder.map_or_else(|| PathBuf::from(name), |folder| Path::new(folder).join(name))
        },
        Path::to_owned,
    );
    shown(&inside.with_extension(""))
}

/// The folder and the file name, without the extension, however the file was named.
fn address(path: &Path) -> String {
    let whole = whole(path);
    let folder = whole.parent().and_then(Path::file_name).unwrap_or_default();
    shown(&Path::new(folder).join(whole.file_stem().unwrap_or_default()))
}

/// The path without links and relative parts, so that there is one for each file and folder.
fn whole(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

fn shown(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn files(count: usize) -> String {
    if count == 1 { "1 file".to_owned() } else { format!("{count} files") }
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::os::unix::{fs::symlink, net::UnixListener};

    use super::*;

    /// A folder of its own for one test, removed when it is over.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("brownout-{name}-{}", std::process::id()));
            fs::create_dir_all(path.join("inner")).unwrap();
            for (file, name) in [("a.yaml", "one"), ("inner/b.yaml", "two")] {
                fs::write(path.join(file), format!("brownout: 1\nname: {name}\n")).unwrap();
            }
            Self(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _removed = fs::remove_dir_all(&self.0).is_ok();
        }
    }

    fn ids(paths: &[PathBuf]) -> Vec<String> {
        let suite = Suite::read(paths).unwrap();
        suite.scenarios.into_iter().map(|scenario| scenario.id).collect()
    }

    #[test]
    fn a_link_that_leads_back_up_is_not_followed_again() {
        let folder = Folder::new("loop");
        symlink(&folder.0, folder.0.join("inner/up")).unwrap();
        symlink(folder.0.join("inner"), folder.0.join("other")).unwrap();
        assert_eq!(ids(std::slice::from_ref(&folder.0)), ["a", "inner/b"]);
    }

    #[test]
    fn a_file_is_run_once_however_often_and_however_it_is_named() {
        let folder = Folder::new("twice");
        let paths = [".", "inner", "inner/../a.yaml", "inner/b.yaml", "."];
        assert_eq!(ids(&paths.map(|path| folder.0.join(path))), ["a", "inner/b"]);
    }

    #[test]
    fn what_might_never_end_is_not_opened() {
        let folder = Folder::new("socket");
        let path = folder.0.join("c.yaml");
        let _listener = UnixListener::bind(&path).unwrap();
        for named in [&path, &folder.0, Path::new("/dev/null")].map(Path::to_owned) {
            let error = Suite::read(&[named]).unwrap_err();
            assert!(matches!(error, SuiteError::NeitherFileNorFolder(_)), "{error:?}");
            assert!(error.to_string().ends_with("` is neither a file nor a folder"), "{error}");
        }
    }
}
