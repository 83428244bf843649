//! Accepts connections, hands requests to the dialects and the engine, and plays what they say.

use std::{borrow::Cow, future::Future, io, pin::pin, time::Duration};

use axum::{Router, body::Body as Page};
use bytes::Bytes;
use tokio::task::JoinSet;

use crate::{
    action::{Action, ErrorKind},
    admin,
    dialect::{self, Dialect, Exchange, Found, Head, Moment, Pace, Refusal, Reply, ReplyBody},
    door::{Door, Stream},
    identity::{CALL_HEADER, Served},
    intake::{BodyMistake, RequestHead, Stamped},
    journal::Claimed,
    lane::{Lane, Recorder, nanos},
    lanes::{LaneName, LaneRefusal, Lanes},
    plan::{Latency, ProviderName, Route},
    request::{Conversation, Fingerprint, Headers, Request},
    timeline::{self, End, Timeline},
    wire::{self, Manner, Play},
};

/// Serves lanes until told to stop; every connection is closed before it returns.
///
/// A single lane is served as the default one, beside which others are made as they are asked for.
/// What happens to connections before any request is the default lane's affair.
/// The caller opens the door and says when to stop, so that a test gets a free port, and a tool a
/// signal. `admin` is served under `/_brownout/`, beside health, journal and reset; each of its
/// requests carries the [`LaneName`] that it speaks of as an extension.
pub async fn run(
    door: impl Door,
    lanes: impl Into<Lanes>,
    admin: Router,
    shutdown: impl Future<Output = ()> + Send,
) -> io::Result<()> {
    let lanes = lanes.into();
    let admin = admin::router(lanes.clone(), admin);
    let served = accept(door, &lanes, &admin, shutdown).await;
    lanes.stop();
    served
}

/// How long accepting rests when the system has nothing left to accept with. Connections that end
/// meanwhile give back what is missing.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(10);

/// Accepts until told to stop, refusing while the plan says so.
async fn accept(
    mut door: impl Door,
    lanes: &Lanes,
    admin: &Router,
    shutdown: impl Future<Output = ()> + Send,
) -> io::Result<()> {
    let lane = lanes.default_lane();
    let clock = lane.clock();
    let mut shutdown = pin!(shutdown);
    let mut connections = JoinSet::new();
    let mut refused_by = None;
    let mut had_room = true;
    let mut rest_until = None;
    loop {
        let started = lane.started();
        let (refusing, until) = lane.refusing();
        match door.refuse(refusing.is_some()).await {
            Ok(()) => {}
            Err(error) if is_of_the_moment(&error) => {
                rest_until = Some(clock.now() + EXHAUSTED_PAUSE);
            }
            Err(error) => return Err(error),
        }
        if let Some(rule) = refusing.filter(|_| refusing != refused_by) {
            lane.refuse(rule);
        }
        refused_by = refusing;
        let room = connections.len() < lane.plan().limits.connections_max;
        if had_room && !room {
            lane.hit_connection_limit();
        }
        had_room = room;
        let rests = rest_until.is_some();
        // Far enough away to mean never, near enough for every clock.
        let edge = until.unwrap_or(clock.now() + Duration::from_secs(86_400));
        tokio::select! {
            biased;
            () = &mut shutdown => break,
            () = lane.started_anew(started) => {}
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            () = clock.sleep_until(rest_until.unwrap_or(edge).min(edge)) => rest_until = None,
            stream = door.accept(), if room && !rests && refusing.is_none() => match stream {
                // A timer may be late by a millisecond, in which nobody is to be let in.
                Ok(mut stream) if lane.refusing().0.is_some() => stream.reset(),
                Ok(stream) => {
                    let (number, delay) = lane.connect();
                    let (lanes, admin) = (lanes.clone(), admin.clone());
                    connections.spawn(serve(stream, number, delay, lanes, admin));
                }
                // The connection is gone, the door is not.
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) if is_of_the_moment(&error) => {
                    rest_until = Some(clock.now() + EXHAUSTED_PAUSE);
                }
                Err(error) => return Err(error),
            }
        }
    }
    // Told before the connections are dropped, so that their ends say who ended them.
    lanes.stop();
    connections.shutdown().await;
    Ok(())
}

/// Serves one connection to its end.
async fn serve<S: Stream>(stream: S, number: u64, delay: Duration, lanes: Lanes, admin: Router) {
    let clock = lanes.default_lane().clock();
    if !delay.is_zero() {
        clock.sleep_until(clock.now() + delay).await;
    }
    let _open = Open { lanes: lanes.clone(), number };
    let mut connection = Connection { number, lanes, admin, stamped: Stamped::new(stream, clock) };
    loop {
        let head = match connection.stamped.head().await {
            Ok(Some(head)) => head,
            Ok(None) => return,
            Err(status) => return wire::refuse(status, &mut connection.stamped).await,
        };
        if !connection.respond(head).await {
            return;
        }
    }
}

/// A connection, and what is served over it.
struct Connection<S> {
    /// Counted from 1 in its lane.
    number: u64,
    lanes: Lanes,
    admin: Router,
    stamped: Stamped<S>,
}

impl<S: Stream> Connection<S> {
    /// Answers a request, of whatever kind and lane, and tells whether another one may follow.
    async fn respond(&mut self, head: RequestHead) -> bool {
        let uri = head.uri.clone();
        let query = uri.query().unwrap_or_default();
        // A slash too many does not make a request to a provider of one that is meant for us.
        let path = tidy(uri.path());
        let lanes = self.lanes.clone();
        let play = match lanes.address(&path, query, &head.headers) {
            Ok(address) => match admin::own(address.path, query) {
                Some(uri) => return self.own(address.lane, uri, head).await,
                None => match lanes.open(&address.lane) {
                    Ok(lane) => self.answer(&lane, address.path, head).await,
                    Err(refusal) => self.refuse_lane(refusal, &head),
                },
            },
            Err(refusal) => self.refuse_lane(refusal, &head),
        };
        play.over(&mut self.stamped).await
    }

    /// Answers a request to the server itself, which is no attempt.
    async fn own(&mut self, lane: LaneName, uri: http::Uri, head: RequestHead) -> bool {
        let manner = Manner::of(&head);
        let most = self.lanes.default_lane().plan().limits.body_bytes_max;
        let body = match self.stamped.body(&head, most).await {
            Ok(body) => body,
            Err(mistake) => {
                return Self::refuse_body(mistake, manner).over(&mut self.stamped).await;
            }
        };
        let page = Page::from(Bytes::copy_from_slice(self.stamped.bytes(&body)));
        self.stamped.used(&body);
        let mut request = http::Request::new(page);
        (*request.method_mut(), *request.uri_mut()) = (head.method, uri);
        for (name, value) in head.headers.iter() {
            if let (Ok(name), Ok(value)) = (http::HeaderName::try_from(name), value.try_into()) {
                request.headers_mut().append(name, value);
            }
        }
        request.extensions_mut().insert(lane);
        let Ok(response) = tower_service::Service::call(&mut self.admin, request).await;
        let (head, body) = response.into_parts();
        match axum::body::to_bytes(body, usize::MAX).await {
            Ok(body) => wire::page(&head, &body, manner, &mut self.stamped).await,
            Err(_) => false,
        }
    }

    /// Answers a request that gets no lane, without reading more of it than its head.
    fn refuse_lane(&self, refusal: LaneRefusal, head: &RequestHead) -> Play {
        self.lanes.default_lane().refuse_lane(refusal);
        let timeline = Timeline::reply(
            plain(refusal.status(), &refusal.to_string()),
            // No provider would say this, so no client is judged by what it makes of it.
            Served::Broken,
        );
        Play { timeline, recorder: None, manner: Manner::of(head).closing() }
    }

    /// Answers a request whose body cannot be read: nobody asked for anything, so that there is no
    /// attempt to speak of.
    fn refuse_body(mistake: BodyMistake, manner: Manner) -> Play {
        let timeline = match mistake {
            BodyMistake::Left => Timeline::silent(End::Close),
            BodyMistake::Malformed => Timeline::reply(plain(400, "Bad Request"), Served::Broken),
            BodyMistake::TooLong => {
                Timeline::reply(plain(413, "Payload Too Large"), Served::Broken)
            }
        };
        Play { timeline, recorder: None, manner: manner.closing() }
    }

    /// Answers a request to the provider; the path is that of the provider.
    async fn answer(&mut self, lane: &Lane, path: &str, mut asked: RequestHead) -> Play {
        let query = asked.uri.query().unwrap_or_default();
        if query.is_empty() {
            asked.headers.push(Headers::TARGET, path);
        } else {
            asked.headers.push(Headers::TARGET, &format!("{path}?{query}"));
        }
        let head = Head { method: asked.method.as_str(), path, query, headers: &asked.headers };
        let manner = Manner::of(&asked);
        let most = lane.plan().limits.body_bytes_max;
        let (body, manner) = match self.stamped.body(&asked, most).await {
            Ok(body) => (Some(body), manner),
            // The rest of it is still to come, so that no further request can be told from it.
            Err(BodyMistake::TooLong) => (None, manner.closing()),
            Err(mistake) => return Self::refuse_body(mistake, manner),
        };
        let arrival = Arrival {
            first_byte_at: self.stamped.first_byte_at().unwrap_or_else(|| lane.clock().now()),
            connection: self.number,
        };
        let bytes = body.as_ref().map(|body| self.stamped.bytes(body));
        let (timeline, recorder) = claim(lane, &head, bytes, &arrival);
        if let Some(body) = &body {
            self.stamped.used(body);
        }
        Play { timeline, recorder: Some(recorder), manner }
    }
}

/// A connection; all lanes are told when it is closed, however that comes about.
struct Open {
    lanes: Lanes,
    number: u64,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.lanes.disconnect(self.number);
    }
}

/// Decides and words what happens to a request to the provider; none has a body that was too long.
fn claim(
    lane: &Lane,
    head: &Head<'_>,
    body: Option<&[u8]>,
    arrival: &Arrival,
) -> (Timeline, Recorder) {
    match dialect::find(head) {
        Found::Unserved(dialect) => lane.claim_unserved(
            |attempt, now| {
                let reply = dialect::not_found(dialect, head, &moment(lane, attempt, now));
                Timeline::reply(reply, Served::Error(ErrorKind::NotFound))
            },
            |attempt, _, now| arrival.unserved(attempt, head, dialect.name(), None, now),
        ),
        Found::Served(dialect, route) => {
            let read = match body {
                Some(body) => dialect.read(route, head, body),
                None => Err(Refusal::new(ErrorKind::RequestTooLarge, "body")),
            };
            match read {
                Err(refusal) => {
                    let body = body.unwrap_or_default();
                    refuse(lane, dialect, &refusal, arrival, head, body, route)
                }
                Ok(mut request) => {
                    request.connection = arrival.connection;
                    lane.claim(
                        &request,
                        |decision, now| {
                            let moment = moment(lane, decision.attempt, now);
                            let provider = &lane.plan().provider;
                            let slow = match &decision.action {
                                Action::Slow(slow) => Some(slow),
                                _ => None,
                            };
                            let pace =
                                Pace::new(provider.latency, slow, moment.draws, decision.attempt);
                            let (request, words) = (&request, &[][..]);
                            let exchange = Exchange { request, decision, moment, words, pace };
                            timeline::compose(dialect, &exchange, provider)
                        },
                        |decision, timeline, now| Claimed {
                            call: Some(decision.call),
                            evidence: Some(decision.evidence),
                            conversation: request.conversation.anchor(),
                            call_name: head.headers.get(CALL_HEADER).map(str::to_owned),
                            model: request.model.clone(),
                            key: Fingerprint::of(&request.key),
                            streaming: request.streaming,
                            input_tokens: request.input_tokens,
                            output_tokens_max: request.output_tokens_max,
                            rule: decision.rule,
                            action: decision.action.name().to_owned(),
                            error: timeline.served.error(),
                            retry_after: timeline
                                .announced
                                .map(|(after, form)| (after.nanos(), form)),
                            mark: timeline.mark.as_ref().map(ToString::to_string),
                            ..arrival.unserved(
                                decision.attempt,
                                head,
                                route.provider(),
                                Some(route),
                                now,
                            )
                        },
                    )
                }
            }
        }
    }
}

/// An answer of our own, in no provider's shape; nobody is to come back for another one.
fn plain(status: u16, message: &str) -> Reply {
    let headers = vec![
        ("content-type", "text/plain; charset=utf-8".into()),
        // The SDKs generated by Stainless obey it.
        ("x-should-retry", "false".into()),
    ];
    Reply { status, headers, body: ReplyBody::Whole(Bytes::from(format!("{message}\n"))) }
}

/// Records and words a refusal by the provider of a request that no rule ever sees.
fn refuse(
    lane: &Lane,
    dialect: &dyn Dialect,
    refusal: &Refusal,
    arrival: &Arrival,
    head: &Head<'_>,
    body: &[u8],
    route: Route,
) -> (Timeline, Recorder) {
    // Nothing in it can be relied on, so its conversation is the body as it came.
    let said = String::from_utf8_lossy(body).into_owned();
    let request = Request {
        conversation: Conversation::new([("user", said)]),
        connection: arrival.connection,
        ..Request::unknown(route, head.headers.clone())
    };
    let mut words = refusal.words.clone();
    words.extend([("method", head.method.to_owned()), ("path", head.path.to_owned())]);
    lane.claim_refused(
        &request,
        |decision, now| {
            let moment = moment(lane, decision.attempt, now);
            let pace = Pace::new(Latency::default(), None, moment.draws, decision.attempt);
            let exchange = Exchange { request: &request, decision, moment, words: &words, pace };
            timeline::refused(dialect, &exchange, refusal.kind, Some(refusal.case))
        },
        |decision, timeline, now| Claimed {
            call: Some(decision.call),
            evidence: Some(decision.evidence),
            conversation: request.conversation.anchor(),
            key: Fingerprint::of(&request.key),
            error: timeline.served.error(),
            action: "refused".to_owned(),
            ..arrival.unserved(decision.attempt, head, route.provider(), Some(route), now)
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
            conversation: 0,
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
fn tidy(path: &str) -> Cow<'_, str> {
    let is_tidy = path.starts_with('/') && !path.ends_with('/') && !path.contains("//");
    if is_tidy {
        return path.into();
    }
    let segments = path.split('/').filter(|segment| !segment.is_empty());
    segments.fold(String::new(), |path, segment| path + "/" + segment).into()
}

/// Whether an accept error belongs to the connection that was to be accepted; see
/// [accept(2)](https://man7.org/linux/man-pages/man2/accept.2.html), error handling.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::Interrupted
            | io::ErrorKind::NetworkDown
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::PermissionDenied
    )
}

/// Whether an error says that the system has run out of something that it gets back.
fn is_of_the_moment(error: &io::Error) -> bool {
    let no_buffers = if cfg!(target_os = "linux") { 105 } else { 55 };
    // `ENOMEM`, `ENFILE`, `EMFILE` and `ENOBUFS`, most of which have no name in `io::ErrorKind`.
    error.raw_os_error().is_some_and(|code| [12, 23, 24, no_buffers].contains(&code))
}

#[cfg(test)]
mod tests {
    use std::{collections::VecDeque, sync::Arc};

    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        sync::oneshot,
        task::JoinHandle,
    };

    use super::*;
    use crate::{
        clock::Clock,
        draw::Draws,
        journal::Entry,
        memory::{self, MemoryConnector, MemoryListener, MemoryStream},
        plan::{ConnectionAct, ConnectionRule, Limits, Plan},
    };

    /// A door at which accepting fails before it succeeds.
    struct Failing {
        door: MemoryListener,
        errors: VecDeque<io::Error>,
    }

    impl Door for Failing {
        type Stream = MemoryStream;

        async fn accept(&mut self) -> io::Result<MemoryStream> {
            match self.errors.pop_front() {
                Some(error) => Err(error),
                None => Door::accept(&mut self.door).await,
            }
        }

        async fn refuse(&mut self, refusing: bool) -> io::Result<()> {
            Door::refuse(&mut self.door, refusing).await
        }
    }

    /// A server in memory, told to stop by dropping the sender.
    fn start(
        plan: Plan,
        errors: Vec<io::Error>,
    ) -> (MemoryConnector, Lane, oneshot::Sender<()>, JoinHandle<io::Result<()>>) {
        let (door, connector) = memory::listen();
        let door = Failing { door, errors: errors.into() };
        let lane = Lane::new(Arc::new(plan), Draws::new(1), Clock::simulated());
        let (stop, stopped) = oneshot::channel();
        let stopped = async { drop(stopped.await) };
        let server = tokio::spawn(run(door, lane.clone(), Router::new(), stopped));
        (connector, lane, stop, server)
    }

    async fn ask(mut stream: MemoryStream) -> io::Result<String> {
        stream.write_all(b"GET /v1/x HTTP/1.1\r\nconnection: close\r\n\r\n").await?;
        let mut text = String::new();
        stream.read_to_string(&mut text).await?;
        Ok(text)
    }

    fn refusal(from: Option<Duration>, until: Option<Duration>) -> Plan {
        let rule = ConnectionRule { from, until, nth: None, act: ConnectionAct::Refuse };
        Plan { connections: vec![rule], ..Plan::default() }
    }

    #[tokio::test(start_paused = true)]
    async fn running_out_of_descriptors_does_not_end_the_server() {
        let errors = [23, 24, 12, 24].map(io::Error::from_raw_os_error).into();
        let (connector, lane, stop, server) = start(Plan::default(), errors);
        let text = ask(connector.connect().unwrap()).await.unwrap();
        assert!(text.starts_with("HTTP/1.1 404"), "{text}");
        // It rested each time, and did not spin.
        assert!(lane.clock().now() >= EXHAUSTED_PAUSE * 4);
        drop(stop);
        server.await.unwrap().unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_door_that_is_broken_ends_the_server() {
        let broken = io::Error::from(io::ErrorKind::InvalidInput);
        let (_connector, _lane, _stop, server) = start(Plan::default(), vec![broken]);
        assert_eq!(server.await.unwrap().unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }

    /// The timer that begins the window is late by up to a millisecond.
    #[tokio::test(start_paused = true)]
    async fn nobody_is_let_in_while_the_refusal_is_late() {
        let plan = refusal(Some(Duration::from_micros(1_500)), None);
        let (connector, lane, stop, server) = start(plan, Vec::new());
        ask(connector.connect().unwrap()).await.unwrap();
        // The first connection is over for the server too, and wakes it no more.
        lane.clock().sleep_until(Duration::from_millis(1)).await;
        tokio::time::advance(Duration::from_micros(600)).await;
        let refused = ask(connector.connect().unwrap()).await.unwrap_err().kind();
        assert_eq!(refused, io::ErrorKind::ConnectionReset);
        drop(stop);
        server.await.unwrap().unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_reset_lane_refuses_again_from_its_next_first_request_on() {
        let second = Duration::from_secs(1);
        let (connector, lane, stop, server) =
            start(refusal(Some(second), Some(second * 2)), Vec::new());
        let clock = lane.clock();
        // Over one connection, so that nothing but the request itself can wake the door.
        let mut stream = connector.connect().unwrap();
        for _ in 0..2 {
            stream.write_all(b"GET /v1/x HTTP/1.1\r\n\r\n").await.unwrap();
            assert_ne!(stream.read(&mut [0; 4_096]).await.unwrap(), 0);
            clock.sleep_until(clock.now() + second * 3 / 2).await;
            let refused = connector.connect().unwrap_err().kind();
            assert_eq!(refused, io::ErrorKind::ConnectionRefused);
            clock.sleep_until(clock.now() + second * 60).await;
            lane.reset();
            // Without a first request there is no time, and nothing to refuse.
            clock.sleep_until(clock.now() + second * 60).await;
        }
        drop(stop);
        server.await.unwrap().unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_never_ends_is_given_up_and_an_idle_connection_is_not() {
        let (connector, lane, stop, server) = start(Plan::default(), Vec::new());
        let clock = lane.clock();
        let mut idle = connector.connect().unwrap();
        clock.sleep_until(Duration::from_secs(3_600)).await;
        idle.write_all(b"GET /v1/x HTTP/1.1\r\n\r\n").await.unwrap();
        assert_ne!(idle.read(&mut [0; 4_096]).await.unwrap(), 0);
        clock.sleep_until(Duration::from_secs(7_200)).await;
        idle.write_all(b"GET /v1/x HTTP/1.1\r\n").await.unwrap();
        let mut text = String::new();
        idle.read_to_string(&mut text).await.unwrap();
        assert_eq!((text.as_str(), clock.now()), ("", Duration::from_secs(7_230)));
        drop(stop);
        server.await.unwrap().unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_limit_of_connections_makes_the_next_one_wait_and_is_reported() {
        let limits = Limits { connections_max: 1, ..Limits::default() };
        let plan = Plan { limits, ..Plan::default() };
        let (connector, lane, stop, server) = start(plan, Vec::new());
        let first = connector.connect().unwrap();
        let second = tokio::spawn(ask(connector.connect().unwrap()));
        lane.clock().sleep_until(Duration::from_secs(5)).await;
        assert_eq!(lane.connection_limit_hits(), 1);
        assert!(!second.is_finished());
        drop(first);
        assert!(second.await.unwrap().unwrap().starts_with("HTTP/1.1 404"));
        let journal = lane.journal();
        let claims = journal.entries().iter().filter(|entry| matches!(entry, Entry::Claimed(_)));
        assert_eq!(claims.count(), 1);
        drop(stop);
        server.await.unwrap().unwrap();
    }
}
