//! The files that reports are written to.

use std::{
    fs::OpenOptions,
    io::{self, Write},
    path::PathBuf,
};

use super::CliError;

/// Sees to it that every file can be written, before anything runs; none is given twice.
///
/// It is to be called once nothing is refused any more: a refused command leaves no file behind.
pub(super) fn open(paths: &[&PathBuf]) -> Result<(), CliError> {
    for (index, &path) in paths.iter().enumerate() {
        if paths[..index].contains(&path) {
            return Err(CliError::ReportTwice(path.clone()));
        }
    }
    for &path in paths {
        let opened = OpenOptions::new().create(true).append(true).open(path);
        opened.map_err(|source| CliError::Report { path: path.clone(), source })?;
    }
    Ok(())
}

/// Writes a report at once: whatever its path is, a file or a pipe.
pub(super) fn save(
    path: &PathBuf,
    writer: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), CliError> {
    let failed = |source| CliError::Report { path: path.clone(), source };
    let mut bytes = Vec::new();
    writer(&mut bytes).map_err(failed)?;
    std::fs::write(path, bytes).map_err(failed)
}
