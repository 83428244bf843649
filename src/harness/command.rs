//! Runs a command in a process group of its own, and leaves none of it behind.

use std::{
    env, io,
    os::unix::process::{CommandExt as _, ExitStatusExt as _},
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _},
    process::{Child, Command},
};

use super::{
    Variable,
    marks::{MarkCounts, MarkScanner},
};
use crate::verdict::{CommandEnd, Exit};

/// A command with its arguments, found before anything runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandLine {
    program: PathBuf,
    arguments: Vec<String>,
    /// What its environment has besides what every command's has.
    variables: Vec<Variable>,
}

/// Why a command cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// No such program.
    #[error("command `{0}` was not found")]
    NotFound(String),
    /// It may not be executed.
    #[error("command `{0}` is not executable")]
    NotExecutable(String),
    /// The system would not start it.
    #[error("cannot start `{program}`")]
    Start {
        /// The program.
        program: String,
        /// Why not.
        source: io::Error,
    },
    /// It was started, and then lost.
    #[error("cannot wait for `{program}`")]
    Wait {
        /// The program.
        program: String,
        /// Why not.
        source: io::Error,
    },
}

/// How long a process group has to end by itself once it is asked to.
const GRACE: Duration = Duration::from_secs(2);

/// How long output may lag behind the end of the process that wrote it: a grandchild that left the
/// group may hold the pipe for ever.
const OUTPUT_GRACE: Duration = Duration::from_millis(500);

impl CommandLine {
    /// Finds the program of a command line, as a shell would.
    pub fn find(words: &[String]) -> Result<Self, CommandError> {
        let Some((program, arguments)) = words.split_first() else {
            return Err(CommandError::NotFound(String::new()));
        };
        let found = if program.contains('/') {
            Some(PathBuf::from(program)).filter(|path| path.is_file())
        } else {
            let folders = env::var_os("PATH").unwrap_or_default();
            let candidates = env::split_paths(&folders).map(|folder| folder.join(program));
            candidates.into_iter().find(|path| path.is_file() && is_executable(path))
        };
        let path = found.ok_or_else(|| CommandError::NotFound(program.clone()))?;
        if !is_executable(&path) {
            return Err(CommandError::NotExecutable(program.clone()));
        }
        Ok(Self { program: path, arguments: arguments.to_vec(), variables: Vec::new() })
    }

    /// The same command, with more in its environment.
    #[must_use]
    pub fn with_variables(self, variables: Vec<Variable>) -> Self {
        Self { variables, ..self }
    }

    /// Runs it to its end or to the time limit; its whole process group is gone when this returns,
    /// and also when the future is dropped.
    pub(super) async fn run(
        &self,
        variables: &[Variable],
        limit: Duration,
    ) -> Result<CommandEnd, CommandError> {
        let program = || self.program.display().to_string();
        let mut command = std::process::Command::new(&self.program);
        command.args(&self.arguments).process_group(0);
        for variable in variables.iter().chain(&self.variables) {
            match &variable.value {
                Some(value) => command.env(&variable.name, value),
                None => command.env_remove(&variable.name),
            };
        }
        let mut child = Command::from(command)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|source| CommandError::Start { program: program(), source })?;
        let group = Group::of(&child);
        let marks = Arc::new(Mutex::new(MarkCounts::default()));
        let output = [
            tokio::spawn(forward(child.stdout.take(), Arc::clone(&marks))),
            tokio::spawn(forward(child.stderr.take(), Arc::clone(&marks))),
        ];
        let exit = match timeout(limit, child.wait()).await {
            Some(Ok(status)) => exit(status),
            Some(Err(source)) => return Err(CommandError::Wait { program: program(), source }),
            None => {
                group.signal(Signal::TERM);
                let _asked = timeout(GRACE, child.wait()).await;
                Exit::OverTime
            }
        };
        drop(group);
        for forwarded in output {
            let abort = forwarded.abort_handle();
            if timeout(OUTPUT_GRACE, forwarded).await.is_none() {
                abort.abort();
            }
        }
        let marks = marks.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(CommandEnd { exit, marks: marks.counts() })
    }
}

/// A process group that is killed when it is dropped.
#[derive(Debug)]
struct Group {
    leader: Option<Pid>,
}

impl Group {
    fn of(child: &Child) -> Self {
        let leader = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        Self { leader }
    }

    fn signal(&self, signal: Signal) {
        if let Some(leader) = self.leader {
            // A group that is already gone is what we want.
            let _gone = kill_process_group(leader, signal).is_err();
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}

/// Copies a command's output to our stderr, and finds the marks in it. What was found is kept even
/// if the copying is never done.
async fn forward(stream: Option<impl AsyncRead + Unpin>, marks: Arc<Mutex<MarkCounts>>) {
    let mut scanner = MarkScanner::default();
    let Some(mut stream) = stream else { return };
    let mut stderr = tokio::io::stderr();
    let mut buffer = vec![0; 16 << 10];
    loop {
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(count) => {
                let found = scanner.feed(&buffer[..count]);
                marks.lock().unwrap_or_else(PoisonError::into_inner).add(found);
                // A closed stderr must not end the run.
                let _closed = stderr.write_all(&buffer[..count]).await.is_err();
                let _closed = stderr.flush().await.is_err();
            }
        }
    }
}

fn exit(status: ExitStatus) -> Exit {
    match (status.code(), status.signal()) {
        (Some(code), _) => Exit::Code(code),
        (None, signal) => Exit::Signal(signal.unwrap_or(0)),
    }
}

fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;

    path.metadata().is_ok_and(|data| data.permissions().mode() & 0o111 != 0)
}

#[expect(clippy::disallowed_methods, reason = "the harness waits for processes by the wall clock")]
async fn timeout<T>(limit: Duration, future: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(limit, future).await.ok()
}
