//! The server's side: one script, one round trip, and what may come of it.
//!
//! This file waits; what its answers mean is decided in [`super::member`].

use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, ErrorKind, RedisError, Script, ServerErrorKind};
use thiserror::Error;

use super::member::{Ask, Outcome};
use super::settings::{FleetMistake, FleetSettings};
use super::shape::Shape;

/// A quota on a server.
#[derive(Debug)]
pub(crate) struct Store {
    client: Client,
    script: Script,
    server: String,
    key: String,
    hold_micros: u64,
    keep_millis: u128,
    timeout: Duration,
    fields: Vec<(String, Shape)>,
    /// Here between two round trips.
    connection: Mutex<Option<MultiplexedConnection>>,
}

impl Store {
    /// The quota of `settings`, which were checked, on the server at `url`; connects when it is first asked.
    pub(crate) fn new(url: &str, settings: &FleetSettings) -> Result<Self, FleetMistake> {
        let client = Self::check(url)?;
        let field = |limit: &crate::limiter::Limit| {
            format!("{:?}/{}", limit.dimension, limit.period.as_nanos())
        };
        let fields = settings.quota.limits.iter().map(field).zip(settings.shapes()).collect();
        Ok(Self {
            server: client.get_connection_info().addr().to_string(),
            client,
            script: Script::new(ADMIT),
            // The braces are a hash tag: whatever else a fleet may keep lies on the same node of a cluster.
            key: format!("fleet:{{{}}}", settings.name),
            hold_micros: settings.hold_micros(),
            keep_millis: settings.keep.as_millis(),
            timeout: settings.timeout,
            fields,
            connection: Mutex::new(None),
        })
    }

    /// The address of a server, if `url` is one.
    pub(crate) fn check(url: &str) -> Result<Client, FleetMistake> {
        Client::open(url).map_err(|error| FleetMistake::Url {
            url: without_secrets(url),
            reason: error.to_string(),
        })
    }

    /// Asks, and takes no longer than the timeout.
    ///
    /// A connection that was open before says nothing about a server that has come back since: only a fresh one that fails is a failure.
    /// So an old one has half of the time, and a fresh one the rest.
    pub(crate) async fn ask(&self, ask: &Ask) -> Outcome {
        let old = self.slot().take();
        let asked = async {
            if let Some(connection) = old
                && let Ok(Ok(outcome)) =
                    limit_to(self.timeout / 2, self.ask_through(connection, ask)).await
            {
                return Ok(outcome);
            }
            let config = AsyncConnectionConfig::new()
                .set_connection_timeout(None)
                .set_response_timeout(None);
            let connection = self.client.get_multiplexed_async_connection_with_config(&config);
            self.ask_through(connection.await?, ask).await
        };
        match limit_to(self.timeout, asked).await {
            Err(()) => Outcome::Failed(StoreError::Silent {
                server: self.server.clone(),
                timeout: self.timeout,
            }),
            Ok(Err(error)) => Outcome::Failed(self.explain(error)),
            Ok(Ok(outcome)) => outcome,
        }
    }

    /// What [`Store::ask`] would have said, had it not been stopped by the end of its runtime.
    pub(crate) fn silent(&self) -> StoreError {
        StoreError::Silent { server: self.server.clone(), timeout: self.timeout }
    }

    async fn ask_through(
        &self,
        mut connection: MultiplexedConnection,
        ask: &Ask,
    ) -> Result<Outcome, RedisError> {
        let mut call = self.script.key(&self.key);
        call.arg(self.hold_micros).arg(self.keep_millis.to_string());
        call.arg(ask.known_run.as_deref().unwrap_or_default());
        for (dimension, (field, shape)) in self.fields.iter().enumerate() {
            call.arg(field).arg(shape.unit).arg(shape.rate).arg(shape.full);
            call.arg(ask.need[dimension]).arg(ask.want[dimension]).arg(ask.owed[dimension]);
        }
        let answer: redis::Value = call.invoke_async(&mut connection).await?;
        let outcome = read(&answer, self.fields.len()).unwrap_or_else(|| {
            let answer = format!("{answer:?}");
            Outcome::Failed(StoreError::Answered { server: self.server.clone(), answer })
        });
        *self.slot() = Some(connection);
        Ok(outcome)
    }

    fn explain(&self, error: RedisError) -> StoreError {
        let server = self.server.clone();
        // These pass by themselves: the server starts, is busy, or another takes over.
        let passing = matches!(
            error.kind(),
            ErrorKind::Io
                | ErrorKind::Server(
                    ServerErrorKind::BusyLoading
                        | ServerErrorKind::ClusterDown
                        | ServerErrorKind::MasterDown
                        | ServerErrorKind::ReadOnly
                        | ServerErrorKind::TryAgain,
                )
        ) || matches!(error.code(), Some("BUSY" | "OOM"));
        if passing || error.is_io_error() {
            return StoreError::Unreachable { server, source: Arc::new(error) };
        }
        if matches!(error.code(), Some("WRONGTYPE" | "BADSTATE")) {
            return StoreError::ForeignKey { server, key: self.key.clone() };
        }
        StoreError::Answered { server, answer: error.to_string() }
    }

    fn slot(&self) -> std::sync::MutexGuard<'_, Option<MultiplexedConnection>> {
        // Nothing panics while it is held.
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why the server gave no answer that counts.
#[derive(Clone, Debug, Error)]
pub enum StoreError {
    /// The server refuses the script: a wrong password, a missing permission, a version that is too old.
    #[error("`{server}` answered `{answer}`")]
    Answered {
        /// Host and port.
        server: String,
        /// The server's words.
        answer: String,
    },
    /// The key has something in it that no fleet has written.
    #[error(
        "the key `{key}` at `{server}` holds something else; delete it, or give the fleet another name"
    )]
    ForeignKey {
        /// Host and port.
        server: String,
        /// The key.
        key: String,
    },
    /// No answer in time.
    #[error("`{server}` did not answer within {timeout:?}")]
    Silent {
        /// Host and port.
        server: String,
        /// How long it had.
        timeout: Duration,
    },
    /// No connection, or one that broke.
    #[error("`{server}` cannot be reached")]
    Unreachable {
        /// Host and port.
        server: String,
        /// What the connection says.
        #[source]
        source: Arc<dyn Error + Send + Sync>,
    },
}

impl StoreError {
    /// Whether the server is there and refuses, which waiting does not change.
    pub(crate) fn is_refusal(&self) -> bool {
        matches!(self, Self::Answered { .. } | Self::ForeignKey { .. })
    }
}

/// The script's answer, or `None` if it is nothing that the script could say.
fn read(answer: &redis::Value, dimensions: usize) -> Option<Outcome> {
    let redis::Value::Array(parts) = answer else { return None };
    let [redis::Value::Int(granted), redis::Value::BulkString(run), rest @ ..] = parts.as_slice()
    else {
        return None;
    };
    let run = String::from_utf8(run.clone()).ok()?;
    let number = |part: &redis::Value| match part {
        redis::Value::Int(number) => u64::try_from(*number).ok(),
        _ => None,
    };
    let numbers: Vec<_> = rest.iter().map(number).collect::<Option<_>>()?;
    match (granted, numbers.as_slice()) {
        (1, tokens) if tokens.len() == dimensions => {
            Some(Outcome::Granted { run, tokens: numbers })
        }
        // A wait of nothing would be asked about again for ever.
        (0, &[wait, _dimension]) if wait > 0 => {
            Some(Outcome::Refused { run, wait: Duration::from_micros(wait) })
        }
        _ => None,
    }
}

/// The address without what stands between `//` and `@`.
fn without_secrets(url: &str) -> String {
    match (url.split_once("//"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, address))) => format!("{scheme}//…@{address}"),
        (None, Some((_, address))) => format!("…@{address}"),
        (_, None) => url.to_owned(),
    }
}

async fn limit_to<T>(most: Duration, work: impl Future<Output = T>) -> Result<T, ()> {
    #[expect(clippy::disallowed_methods, reason = "no round trip may hang")]
    tokio::time::timeout(most, work).await.map_err(|_elapsed| ())
}

/// The script, whose head says what goes in and out.
const ADMIT: &str = include_str!("admit.lua");

#[cfg(test)]
mod tests {
    use redis::Value;

    use super::*;

    #[test]
    fn a_password_is_not_repeated() {
        assert_eq!(without_secrets("redis://me:secret@host:1"), "redis://…@host:1");
        assert_eq!(without_secrets("me:secret@host"), "…@host");
        assert_eq!(without_secrets("host:1"), "host:1");
    }

    #[test]
    fn only_the_scripts_own_answers_are_read() {
        let run = || Value::BulkString(b"abc".to_vec());
        let array = |parts: Vec<Value>| Value::Array(parts);
        let granted = array(vec![Value::Int(1), run(), Value::Int(5), Value::Int(0)]);
        let told = |answer: &Value| format!("{:?}", read(answer, 2));
        assert_eq!(told(&granted), "Some(Granted { run: \"abc\", tokens: [5, 0] })");
        let refused = array(vec![Value::Int(0), run(), Value::Int(7), Value::Int(1)]);
        assert_eq!(told(&refused), "Some(Refused { run: \"abc\", wait: 7µs })");
        for nonsense in [
            Value::Nil,
            array(vec![]),
            array(vec![Value::Int(1), run(), Value::Int(5)]),
            array(vec![Value::Int(1), run(), Value::Int(-5), Value::Int(0)]),
            array(vec![Value::Int(0), run(), Value::Int(0), Value::Int(1)]),
            array(vec![Value::Int(2), run(), Value::Int(7), Value::Int(1)]),
        ] {
            assert_eq!(told(&nonsense), "None", "{nonsense:?}");
        }
    }
}
