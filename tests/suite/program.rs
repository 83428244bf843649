//! Running the program as a person would.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

/// How a run of the program ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// The program with its arguments, in the project's root.
pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_brownout"));
    command.args(arguments).current_dir(root()).stdin(Stdio::null()).env("NO_COLOR", "1");
    command
}

/// Runs the program to its end.
pub(crate) fn brownout(arguments: &[&str]) -> Ran {
    Ran::from(command(arguments).output().unwrap())
}

/// The project's root.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A file in a folder of this test's own, outside of the project.
pub(crate) fn scratch(folder: &str, name: &str, text: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(folder);
    fs::create_dir_all(&folder).unwrap();
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    path
}

/// A Python that has the SDKs, or the reason why the tests that need it are skipped.
pub(crate) fn python_with_sdks() -> Option<PathBuf> {
    let python = root().join(".venv/bin/python");
    let ready = Command::new(&python)
        .args(["-c", "import openai, anthropic"])
        .output()
        .is_ok_and(|output| output.status.success());
    if ready {
        return Some(python);
    }
    // A machine that promised to have everything does not get to skip.
    assert!(std::env::var_os("CI").is_none(), "no Python with SDKs at `{}`", python.display());
    #[expect(clippy::print_stderr, reason = "a test that did nothing must say so")]
    {
        eprintln!("skipped: no Python with SDKs at `{}`; `./tests/run` makes it", python.display());
    }
    None
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}
