//! A folder of scenarios run together.

use std::{
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
    /// A path cannot be read.
    #[error("cannot read `{}`", path.display())]
    Unreadable {
        /// The path.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// How deep folders may be nested; a link that leads back up would otherwise never end.
const DEPTH_MAX: usize = 16;

impl Suite {
    /// Reads every scenario at the given files and folders.
    pub fn read(paths: &[PathBuf]) -> Result<Self, SuiteError> {
        let mut files = Vec::new();
        for path in paths {
            let before = files.len();
            collect(path, path, 0, &mut files)?;
            if files.len() == before {
                return Err(SuiteError::Empty(path.clone()));
            }
        }
        let mut scenarios: Vec<Scenario> = Vec::new();
        let mut broken = Vec::new();
        for (id, path) in files {
            // A file that is named twice is run once.
            if scenarios
                .iter()
                .any(|scenario| scenario.id == id && scenario.source.name() == shown(&path))
            {
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

/// Finds the scenarios at a path, in the order of their names, with their ids.
fn collect(
    root: &Path,
    path: &Path,
    depth: usize,
    files: &mut Vec<(String, PathBuf)>,
) -> Result<(), SuiteError> {
    let unreadable = |source| SuiteError::Unreadable { path: path.to_owned(), source };
    if !fs::metadata(path).map_err(unreadable)?.is_dir() {
        files.push((id(root, path), path.to_owned()));
        return Ok(());
    }
    if depth == DEPTH_MAX {
        let too_deep = io::Error::other(format!("folders are nested more than {DEPTH_MAX} deep"));
        return Err(unreadable(too_deep));
    }
    let entries = fs::read_dir(path).map_err(unreadable)?;
    let entries: Result<Vec<PathBuf>, _> =
        entries.map(|entry| entry.map(|entry| entry.path())).collect();
    let mut entries = entries.map_err(unreadable)?;
    entries.sort();
    for entry in entries {
        let hidden = entry.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        let yaml = entry.extension().is_some_and(|ending| ending == "yaml" || ending == "yml");
        if !hidden && (yaml || entry.is_dir()) {
            collect(root, &entry, depth + 1, files)?;
        }
    }
    Ok(())
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
    let whole = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let folder = whole.parent().and_then(Path::file_name).unwrap_or_default();
    shown(&Path::new(folder).join(whole.file_stem().unwrap_or_default()))
}

fn shown(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn files(count: usize) -> String {
    if count == 1 { "1 file".to_owned() } else { format!("{count} files") }
}
