//! Calls as a [`tower`](https://docs.rs/tower) layer: each attempt is a request to the service below.
//!
//! Three closures know what the layer can't: the conversation in a request, the request that one attempt sends, and what an answer means.
//! Everything else (waits, retries, quotas, fallback, the trace) is the [`Client`]'s, which several services may share.
//!
//! ```
//! use resilience_core::tower::ResilienceLayer;
//! use resilience_core::{
//!     Answer, Attempt, Class, Client, Failure, Message, Policy, Provider, Request, Success, Target,
//! };
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?.block_on(async {
//! let target = Target::new(Provider::OpenAi, "gpt-4o-mini");
//! let client = Client::new(Policy::default(), [target], 7)?;
//! let layer = ResilienceLayer::new(
//!     client,
//!     |question: &String| Request::new([Message::user(question.as_str())]),
//!     |question: &String, attempt: &Attempt| format!("{}: {question}", attempt.model()),
//!     |_attempt, answered: Result<String, std::io::Error>| async {
//!         let failure = |error: std::io::Error| Failure::new(Class::Network, &error.to_string());
//!         answered.map(Answer::new).map_err(failure)
//!     },
//! );
//! let provider = service_fn(async |asked: String| Ok(format!("You asked {asked}")));
//! let service = ServiceBuilder::new().layer(layer).service(provider);
//!
//! let success: Success<String> = service.oneshot("Who?".to_owned()).await?;
//! assert_eq!(success.value, "You asked gpt-4o-mini: Who?");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::fmt;
use std::future::poll_fn;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tower_layer::Layer;
use tower_service::Service;

use crate::attempt::Attempt;
use crate::client::Client;
use crate::failure::Failure;
use crate::message::Request;
use crate::outcome::{Answer, CallError, Success};

/// Wraps services in a [`Client`]'s calls; the services it makes share the client.
pub struct ResilienceLayer<A, W, R> {
    ways: Arc<Ways<A, W, R>>,
}

impl<A, W, R> ResilienceLayer<A, W, R> {
    /// A layer over the client.
    ///
    /// - `ask`, from a request to its conversation: `Fn(&Q) -> Request`.
    /// - `write`, from a request and an attempt to what the service below is sent: `Fn(&Q, &Attempt) -> O`.
    ///   It is called for each attempt, and takes messages and model from the attempt, because either may have changed.
    /// - `read`, from what the service below answered to the attempt's result: `Fn(Attempt, Result<S::Response, S::Error>) -> impl Future<Output = Result<Answer<T>, Failure>>`.
    ///   A failed readiness comes here as well, as an error of the attempt that met it.
    pub fn new(client: impl Into<Arc<Client>>, ask: A, write: W, read: R) -> Self {
        Self { ways: Arc::new(Ways { client: client.into(), ask, write, read }) }
    }
}

impl<S, A, W, R> Layer<S> for ResilienceLayer<A, W, R> {
    type Service = ResilienceService<S, A, W, R>;

    fn layer(&self, inner: S) -> Self::Service {
        ResilienceService { inner, ready: false, ways: Arc::clone(&self.ways) }
    }
}

/// A service whose every request is a call: retried, limited, and moved from target to target.
///
/// It is ready when the service below is, so that back-pressure from there reaches the caller.
/// Being ready costs no quota: that is taken when a request has come whose tokens can be counted.
///
/// The first attempt goes to the very instance that was found ready, every other one to a clone that is polled until it is ready itself; that wait is part of the attempt and of its time limit.
/// Dropping the future of a call drops the attempts in flight.
pub struct ResilienceService<S, A, W, R> {
    inner: S,
    /// Whether `inner` was found ready and has not been called since.
    ready: bool,
    ways: Arc<Ways<A, W, R>>,
}

impl<S, A, W, R, Q, O, T, F> Service<Q> for ResilienceService<S, A, W, R>
where
    S: Service<O> + Clone + Send + 'static,
    S::Response: Send,
    S::Error: Send,
    S::Future: Send,
    Q: Send + 'static,
    O: Send + 'static,
    T: Send + 'static,
    A: Fn(&Q) -> Request + Send + Sync + 'static,
    W: Fn(&Q, &Attempt) -> O + Send + Sync + 'static,
    R: Fn(Attempt, Result<S::Response, S::Error>) -> F + Send + Sync + 'static,
    F: Future<Output = Result<Answer<T>, Failure>> + Send + 'static,
{
    type Response = Success<T>;
    type Error = CallError;
    type Future = Pin<Box<dyn Future<Output = Result<Success<T>, CallError>> + Send>>;

    /// Never fails: a service below that cannot become ready fails the attempts that ask it, so that they can be read and retried.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), CallError>> {
        self.inner.poll_ready(cx).map(|readiness| {
            self.ready = readiness.is_ok();
            Ok(())
        })
    }

    fn call(&mut self, request: Q) -> Self::Future {
        let spare = self.inner.clone();
        // A clone knows nothing of the readiness of its original, which therefore is the one to be called.
        let inner = mem::replace(&mut self.inner, spare.clone());
        let mut ready = mem::take(&mut self.ready).then_some(inner);
        let ways = Arc::clone(&self.ways);
        let client = Arc::clone(&ways.client);
        let conversation = (ways.ask)(&request);
        let send = move |attempt: Attempt| {
            let outgoing = (ways.write)(&request, &attempt);
            let ready = ready.take().ok_or_else(|| spare.clone());
            let ways = Arc::clone(&ways);
            async move {
                let answered = exchange(ready, outgoing).await;
                (ways.read)(attempt, answered).await
            }
        };
        Box::pin(async move { client.call(&conversation, send).await })
    }
}

/// Sends to the instance that is ready, or else to the other one once it is.
async fn exchange<S, O>(ready: Result<S, S>, outgoing: O) -> Result<S::Response, S::Error>
where
    S: Service<O>,
{
    let mut service = match ready {
        Ok(ready) => ready,
        Err(mut other) => {
            poll_fn(|cx| other.poll_ready(cx)).await?;
            other
        }
    };
    service.call(outgoing).await
}

/// What the services of a layer share.
struct Ways<A, W, R> {
    client: Arc<Client>,
    ask: A,
    write: W,
    read: R,
}

impl<A, W, R> Clone for ResilienceLayer<A, W, R> {
    fn clone(&self) -> Self {
        Self { ways: Arc::clone(&self.ways) }
    }
}

impl<S: Clone, A, W, R> Clone for ResilienceService<S, A, W, R> {
    /// A clone has to be polled until it is ready, whatever its original was.
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), ready: false, ways: Arc::clone(&self.ways) }
    }
}

impl<A, W, R> fmt::Debug for ResilienceLayer<A, W, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResilienceLayer").field("client", &self.ways.client).finish_non_exhaustive()
    }
}

impl<S: fmt::Debug, A, W, R> fmt::Debug for ResilienceService<S, A, W, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { inner, ready, ways } = self;
        f.debug_struct("ResilienceService")
            .field("inner", inner)
            .field("ready", ready)
            .field("client", &ways.client)
            .finish_non_exhaustive()
    }
}
