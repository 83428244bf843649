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

/// The official SDKs' programs that this machine can run, each with what runs it; those it cannot
/// are told, and skipped.
pub(crate) fn sdk_clients() -> Vec<(String, &'static str)> {
    let python = root().join(".venv/bin/python").to_str().unwrap().to_owned();
    let runtimes = [
        (
            python,
            "import openai, anthropic",
            "-c",
            ["tests/clients/openai_chat.py", "tests/clients/anthropic_message.py"],
        ),
        (
            "node".to_owned(),
            "import('openai'); import('@anthropic-ai/sdk')",
            "-e",
            ["tests/clients/openai_chat.mjs", "tests/clients/anthropic_message.mjs"],
        ),
    ];
    let mut clients = Vec::new();
    for (program, imports, flag, files) in runtimes {
        let mut command = Command::new(&program);
        command.args([flag, imports]).current_dir(root().join("tests"));
        if command.output().is_ok_and(|output| output.status.success()) {
            clients.extend(files.map(|file| (program.clone(), file)));
            continue;
        }
        // A machine that promised to have everything does not get to skip.
        assert!(std::env::var_os("CI").is_none(), "`{program}` has no SDKs");
        #[expect(clippy::print_stderr, reason = "a test that did nothing must say so")]
        {
            eprintln!("skipped: `{program}` has no SDKs; `./tests/run` installs them");
        }
    }
    clients
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
