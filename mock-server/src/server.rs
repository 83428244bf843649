//! Accepts connections, hands requests to the dialects and the engine, and plays what they say.

use std::{convert::Infallible, future::Future, io, pin::pin, time::Duration};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Extension, Request as HttpRequest, State},
    response::Response,
};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::task::JoinSet;

use crate::{
    action::ErrorKind,
    admin,
    clock::Clock,
    dialect::{self, Exchange, Found, Head, Moment, Reply},
    door::{Door, Stream},
    identity::{CALL_HEADER, Served},
    journal::Claimed,
    lane::{Lane, Recorder, nanos},
    plan::{ProviderName, Route},
    request::{Conversation, Fingerprint, Headers, Request},
    timeline::{self, Timeline},
    wire::{self, Connection},
};

/// Serves a lane until told to stop; every connection is closed before it returns.
///
/// The caller opens the door and says when to stop, so that a test gets a free port, and a tool a
/// signal. `admin` is served under `/_brownout/`, beside health, journal and reset.
pub async fn run(
    door: impl Door,
    lane: Lane,
    admin: Router,
    shutdown: impl Future<Output = ()> + Send,
) -> io::Result<()> {
    let admin = admin::routes(lane.clone()).merge(admin);
    let routes = Router::new()
        .fallback(answer)
        .with_state(lane.clone())
        .nest("/_brownout", admin.layer(axum::middleware::from_fn(admin::guard)));
    let served = accept(door, &lane, routes, shutdown).await;
    lane.stop();
    served
}

/// Accepts until told to stop, refusing while the plan says so.
async fn accept(
    mut door: impl Door,
    lane: &Lane,
    routes: Router,
    shutdown: impl Future<Output = ()> + Send,
) -> io::Result<()> {
    let clock = lane.clock();
    let mut shutdown = pin!(shutdown);
    let mut connections = JoinSet::new();
    let mut refused_by = None;
    loop {
        let waiting = lane.is_waiting();
        let (refusing, until) = lane.refusing();
        door.refuse(refusing.is_some()).await?;
        if let Some(rule) = refusing.filter(|_| refusing != refused_by) {
            lane.refuse(rule);
        }
        refused_by = refusing;
        let room = connections.len() < lane.plan().limits.connections_max;
        // Far enough away to mean never, near enough for every clock.
        let edge = until.unwrap_or(clock.now() + Duration::from_secs(86_400));
        tokio::select! {
            biased;
            () = &mut shutdown => break,
            () = lane.first_request(), if waiting => {}
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            () = clock.sleep_until(edge) => {}
            stream = door.accept(), if room && refusing.is_none() => match stream {
                Ok(stream) => {
                    let (number, delay) = lane.connect();
                    connections.spawn(serve(stream, number, delay, clock, routes.clone()));
                }
                // The connection is gone, the door is not.
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => return Err(error),
            }
        }
    }
    // Told before the connections are dropped, so that their ends say who ended them.
    lane.stop();
    connections.shutdown().await;
    Ok(())
}

/// Serves one connection to its end.
async fn serve<S: Stream>(stream: S, number: u64, delay: Duration, clock: Clock, routes: Router) {
    if !delay.is_zero() {
        clock.sleep_until(clock.now() + delay).await;
    }
    let (stamped, connection, mut takeover) = wire::stamp(stream, number, clock);
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(connection.clone());
        let mut routes = routes.clone();
        async move { tower_service::Service::call(&mut routes, request).await }
    });
    let mut http = http1::Builder::new()
        // Ours, from the clock that rules the run.
        .auto_date_header(false)
        .serve_connection(TokioIo::new(stamped), service);
    let taken = tokio::select! {
        biased;
        taken = takeover.recv() => taken,
        // How a connection ended is in the journal, attempt by attempt.
        _ended = &mut http => None,
    };
    if let Some(taken) = taken {
        taken.play(http.into_parts().io.into_inner()).await;
    }
}

/// Answers a request to the provider.
async fn answer(
    State(lane): State<Lane>,
    Extension(connection): Extension<Connection>,
    request: HttpRequest,
) -> Result<Response, Infallible> {
    let (parts, body) = request.into_parts();
    let headers = parts.headers.iter().map(|(name, value)| {
        (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    });
    let headers = Headers(headers.collect());
    let path = tidy(parts.uri.path());
    let head = Head { method: parts.method.as_str(), path: &path, headers: &headers };
    let body = to_bytes(body, lane.plan().limits.body_bytes_max).await;
    let read_at = lane.clock().now();
    let arrival =
        Arrival { first_byte_at: connection.request_read(read_at), connection: connection.number };
    let (timeline, recorder) = match dialect::find(&head) {
        Found::Unserved(provider) => lane.claim_unserved(
            |attempt, now| {
                let reply = provider.not_found(&head, &moment(&lane, attempt, now));
                Timeline::reply(reply, Served::Error(ErrorKind::BadRequest))
            },
            |attempt, _, now| arrival.unserved(attempt, &head, provider.name(), None, now),
        ),
        Found::Served(dialect, route) => {
            let read = |moment: &Moment| match &body {
                Ok(body) => dialect.read(route, &head, body, moment),
                Err(_) => Err(dialect.too_large(moment)),
            };
            // Reading takes time and is done without the lock. A refusal is worded again under it,
            // because only there the attempt has its number, and with it ids of its own.
            match read(&moment(&lane, 0, read_at)) {
                Err(refusal) => {
                    let word =
                        |attempt, now| read(&moment(&lane, attempt, now)).err().unwrap_or(refusal);
                    let body = body.as_deref().unwrap_or_default();
                    refuse(&lane, word, &arrival, &head, body, route)
                }
                Ok(request) => lane.claim(
                    &request,
                    |decision, now| {
                        let moment = moment(&lane, decision.attempt, now);
                        let exchange = Exchange { request: &request, decision, moment };
                        timeline::compose(dialect, &exchange, &lane.plan().provider)
                    },
                    |decision, timeline, now| Claimed {
                        call: Some(decision.call),
                        evidence: Some(decision.evidence),
                        call_name: headers.get(CALL_HEADER).map(str::to_owned),
                        model: request.model.clone(),
                        key: Fingerprint::of(&request.key),
                        streaming: request.streaming,
                        input_tokens: request.input_tokens,
                        output_tokens_max: request.output_tokens_max,
                        rule: decision.rule,
                        action: decision.action.name().to_owned(),
                        error: timeline.served.error(),
                        retry_after: decision
                            .action
                            .hint()
                            .map(|(after, form)| (after.nanos(), form)),
                        mark: timeline.mark.as_ref().map(ToString::to_string),
                        ..arrival.unserved(
                            decision.attempt,
                            &head,
                            route.provider(),
                            Some(route),
                            now,
                        )
                    },
                ),
            }
        }
    };
    Ok(connection.play(timeline, recorder).await)
}

/// Records and words a refusal by the provider of a request that no rule ever sees.
fn refuse(
    lane: &Lane,
    word: impl FnOnce(u64, Duration) -> Reply,
    arrival: &Arrival,
    head: &Head<'_>,
    body: &[u8],
    route: Route,
) -> (Timeline, Recorder) {
    let key = ["authorization", "x-api-key"].iter().find_map(|name| head.headers.get(name));
    // Nothing in it can be relied on, so its conversation is the body as it came.
    let said = String::from_utf8_lossy(body).into_owned();
    let request = Request {
        route,
        model: String::new(),
        key: key.unwrap_or_default().to_owned(),
        headers: head.headers.clone(),
        body: serde_json::Value::Null,
        streaming: false,
        conversation: Conversation::new([("user", said)]),
        input_tokens: 0,
        output_tokens_max: None,
    };
    lane.claim_refused(
        &request,
        |attempt, now| {
            let reply = word(attempt, now);
            let kind = match reply.status {
                401 => ErrorKind::Authentication,
                _ => ErrorKind::BadRequest,
            };
            Timeline::reply(reply, Served::Error(kind))
        },
        |attempt, timeline, now| Claimed {
            key: Fingerprint::of(&request.key),
            error: timeline.served.error(),
            action: "refused".to_owned(),
            ..arrival.unserved(attempt, head, route.provider(), Some(route), now)
        },
    )
}

/// Where and when a request came in.
struct Arrival {
    first_byte_at: Duration,
    connection: u64,
}

impl Arrival {
    /// The claim of a request of which nothing else is known.
    fn unserved(
        &self,
        attempt: u64,
        head: &Head<'_>,
        provider: ProviderName,
        route: Option<Route>,
        now: Duration,
    ) -> Claimed {
        Claimed {
            attempt,
            at: nanos(now),
            first_byte_at: nanos(self.first_byte_at),
            connection: self.connection,
            call: None,
            evidence: None,
            call_name: None,
            method: head.method.to_owned(),
            path: head.path.to_owned(),
            provider,
            route,
            model: String::new(),
            key: Fingerprint::of(""),
            streaming: false,
            input_tokens: 0,
            output_tokens_max: None,
            rule: None,
            action: "unserved".to_owned(),
            error: None,
            retry_after: None,
            mark: None,
        }
    }
}

fn moment(lane: &Lane, attempt: u64, now: Duration) -> Moment {
    Moment { attempt, draws: lane.draws(), wall: lane.clock().wall(now) }
}

/// A path without empty segments: SDKs join a base URL and a route with one slash too many.
fn tidy(path: &str) -> String {
    let segments = path.split('/').filter(|segment| !segment.is_empty());
    segments.fold(String::new(), |path, segment| path + "/" + segment)
}

/// Whether an accept error belongs to the connection that was to be accepted.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    )
}
