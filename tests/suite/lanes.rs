//! Are the lanes of a server worlds of their own? One port in memory, in virtual time.

use std::{sync::Arc, time::Duration};

use axum::Router;
use brownout::{
    harness::{Mode, Record, draws, play},
    scenario::Scenario,
    verdict::{Application, Precision, Status},
};
use mock_server::{
    clock::Clock,
    identity::Evidence,
    journal::{Claimed, Entry},
    lane::Lane,
    lanes::{LaneName, Lanes},
    memory::{self, MemoryConnector, MemoryStream},
    plan::{Limits, Plan},
    server,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::world::scenario;

/// A server with all its lanes.
pub(crate) struct Port {
    pub(crate) connector: MemoryConnector,
    pub(crate) clock: Clock,
    pub(crate) lanes: Lanes,
}

/// What came back: the status line with the headers, and the body.
pub(crate) struct Got {
    pub(crate) head: String,
    pub(crate) body: String,
}

/// Serves a plan as a scenario's, in virtual time.
pub(crate) fn serve<T>(
    scenario: &Scenario,
    plan: Arc<Plan>,
    test: impl AsyncFnOnce(Port) -> T,
) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        let clock = Clock::simulated();
        let lanes = Lanes::new(Lane::new(plan, draws(scenario, 7), clock));
        let (listener, connector) = memory::listen();
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let stopped = async { drop(stopped.await) };
        let server = tokio::spawn(server::run(listener, lanes.clone(), Router::new(), stopped));
        let outcome = test(Port { connector, clock, lanes }).await;
        drop(stop);
        server.await.unwrap().unwrap();
        outcome
    })
}

/// Serves the rest of a scenario.
fn serve_text<T>(rest: &str, test: impl AsyncFnOnce(Port) -> T) -> T {
    let scenario = scenario(&format!("brownout: 1\nname: lanes\n{rest}\n"));
    serve(&scenario, Arc::clone(&scenario.plan), test)
}

impl Port {
    /// Asks over a connection of its own.
    pub(crate) async fn ask(&self, request: &[u8]) -> Got {
        let mut stream = self.connector.connect().unwrap();
        stream.write_all(request).await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        Got { head: head.to_owned(), body: body.to_owned() }
    }

    /// The status of the answer to a chat under a prefix, with headers.
    async fn chat(&self, prefix: &str, headers: &str) -> u16 {
        self.ask(&chat(prefix, headers, "hi")).await.status()
    }

    /// A page of the server itself.
    async fn page(&self, method: &str, path: &str, headers: &str) -> Got {
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: localhost\r\n{headers}connection: close\r\n\r\n"
        );
        self.ask(request.as_bytes()).await
    }

    /// The attempts of a lane.
    fn claims(&self, lane: &str) -> Vec<Claimed> {
        let lane = self.lanes.find(&lane.parse().unwrap()).unwrap();
        let journal = lane.journal();
        let claims = journal.entries().iter().filter_map(|entry| match entry {
            Entry::Claimed(claimed) => Some(claimed.as_ref().clone()),
            _ => None,
        });
        claims.collect()
    }

    /// The names of all lanes.
    fn names(&self) -> Vec<String> {
        self.lanes.all().into_iter().map(|(name, _)| name.to_string()).collect()
    }
}

impl Got {
    pub(crate) fn status(&self) -> u16 {
        self.head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
    }
}

/// A chat on a connection that is closed afterwards.
fn chat(prefix: &str, headers: &str, text: &str) -> Vec<u8> {
    keeping(prefix, &format!("connection: close\r\n{headers}"), text)
}

/// A chat on a connection that stays.
fn keeping(prefix: &str, headers: &str, text: &str) -> Vec<u8> {
    let key = if headers.contains("authorization") { "" } else { "authorization: Bearer k\r\n" };
    let body =
        format!(r#"{{"model":"gpt-4o-mini","messages":[{{"role":"user","content":"{text}"}}]}}"#);
    format!(
        "POST {prefix}/v1/chat/completions HTTP/1.1\r\nhost: x\r\n{key}{headers}content-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// Reads an answer that has a length.
async fn read(stream: &mut MemoryStream) -> String {
    let mut text = String::new();
    while !text.ends_with("\r\n\r\n") {
        text.push(char::from(stream.read_u8().await.unwrap()));
    }
    let length = text.split("content-length: ").nth(1).unwrap().lines().next().unwrap();
    let mut body = vec![0; length.parse().unwrap()];
    stream.read_exact(&mut body).await.unwrap();
    text
}

#[test]
fn each_lane_has_its_own_script_quota_calls_and_journal() {
    let text = "provider: { quota: { requests: 1/min } }\n\
                rules:\n  - per: lane\n    script: [server-error]";
    serve_text(text, async |port| {
        for expected in [500, 200, 429] {
            for (prefix, headers) in
                [("", ""), ("/lane/a", ""), ("", "x-brownout-lane: b\r\n"), ("//lane//c/", "")]
            {
                assert_eq!(port.chat(prefix, headers).await, expected, "{prefix}{headers}");
            }
        }
        assert_eq!(port.names(), ["default", "a", "b", "c"]);
        for name in port.names() {
            let claims = port.claims(&name);
            let numbers: Vec<_> =
                claims.iter().map(|claimed| (claimed.attempt, claimed.call)).collect();
            assert_eq!(numbers, [(1, Some(1)), (2, Some(1)), (3, Some(2))], "{name}");
            assert!(claims.iter().all(|claimed| claimed.path == "/v1/chat/completions"));
        }
    });
}

#[test]
fn a_lanes_time_begins_with_its_own_first_request() {
    let text = "rules:\n  - when: { from: 10s }\n    fault: server-error";
    serve_text(text, async |port| {
        for (at, prefix, expected) in [
            (0, "", 200),
            (60, "/lane/late", 200),
            (65, "/lane/late", 200),
            (65, "", 500),
            (70, "/lane/late", 500),
        ] {
            port.clock.sleep_until(Duration::from_secs(at)).await;
            assert_eq!(port.chat(prefix, "").await, expected, "{prefix} at {at}s");
        }
    });
}

/// Same seed and name, same bytes: whatever other lanes do, and in whatever order they are made.
#[test]
fn a_lane_is_the_same_whenever_it_is_made() {
    let play = |order: [&'static str; 3]| {
        serve_text("rules:\n  - chance: 50%\n    fault: server-error", async |port| {
            let mut seen = Vec::new();
            for name in order {
                let prefix = format!("/lane/{name}");
                let mut answers = String::new();
                for turn in 0..8 {
                    let got = port.ask(&chat(&prefix, "", &format!("turn {turn}"))).await;
                    answers += &(got.head + &got.body);
                }
                seen.push((name, answers));
            }
            seen.sort_unstable();
            seen
        })
    };
    let seen = play(["a", "b", "c"]);
    assert_eq!(seen, play(["c", "a", "b"]));
    assert_ne!(seen[0].1, seen[1].1);
}

#[test]
fn each_key_can_have_a_lane_of_its_own() {
    let text = "lanes: by-key\nrules:\n  - per: lane\n    script: [server-error]";
    serve_text(text, async |port| {
        let (one, two) = ("authorization: Bearer sk-1\r\n", "authorization: Bearer sk-2\r\n");
        for (headers, expected) in [(one, 500), (two, 500), (one, 200), (two, 200)] {
            assert_eq!(port.chat("", headers).await, expected);
        }
        let names = port.names();
        assert!(names.len() == 3 && names.iter().all(|name| !name.contains("sk-")), "{names:?}");
        // Whoever has the key sees its lane, and so does whoever knows the lane's name.
        let journal = port.page("GET", "/_brownout/journal", one).await;
        assert_eq!(journal.body.matches("\"entry\":\"claimed\"").count(), 2);
        let path = format!("/lane/{}/_brownout/journal", port.claims(&names[1])[0].key);
        assert_eq!(port.page("GET", &path, "").await.body.lines().count(), 4);
        assert_eq!(port.page("GET", "/_brownout/journal", "").await.body, "");
    });
}

#[test]
fn a_lane_is_seen_and_reset_by_itself() {
    serve_text("rules:\n  - per: lane\n    script: [server-error]", async |port| {
        for prefix in ["", "/lane/a"] {
            assert_eq!(port.chat(prefix, "").await, 500);
        }
        let list = port.page("GET", "/lane/a/_brownout/lanes", "").await.body;
        let list: serde_json::Value = serde_json::from_str(&list).unwrap();
        let count = |lane: &str| serde_json::json!({ "lane": lane, "attempts": 1, "entries": 2, "journal-full": false });
        assert_eq!(list["lanes"], serde_json::json!([count("default"), count("a")]));
        assert_eq!(port.page("POST", "/lane/a/_brownout/reset", "").await.status(), 204);
        assert_eq!((port.chat("/lane/a", "").await, port.chat("", "").await), (500, 200));
        let outcome = "POST /lane/b/_brownout/outcome HTTP/1.1\r\nhost: localhost\r\n\
                       content-type: application/json\r\nconnection: close\r\n\
                       content-length: 16\r\n\r\n{\"success\":true}";
        assert_eq!(port.ask(outcome.as_bytes()).await.status(), 204);
        let journal = port.page("GET", "/_brownout/journal", "x-brownout-lane: b\r\n").await;
        assert!(journal.body.starts_with("{\"entry\":\"outcome\""), "{}", journal.body);
        for (path, status) in [
            ("/lane/nobody/_brownout/journal", 404),
            ("/lane/nobody/_brownout/health", 200),
            ("/lane/a/_brownout/nothing", 404),
            ("/lane/not%20a%20name/_brownout/health", 400),
        ] {
            assert_eq!(port.page("GET", path, "").await.status(), status, "{path}");
        }
        // A page of another site is refused, and has made nothing.
        let evil = "GET /lane/evil/_brownout/journal HTTP/1.1\r\nhost: evil.example\r\n\
                    connection: close\r\n\r\n";
        assert_eq!(port.ask(evil.as_bytes()).await.status(), 403);
        assert_eq!(port.names(), ["default", "a", "b"]);
    });
}

/// Nobody is served in a lane that is not its own, and nobody's SDK takes the refusal for its
/// provider's.
#[test]
fn a_lane_that_cannot_be_had_is_refused_and_told() {
    let scenario = scenario("brownout: 1\nname: lanes\n");
    let limits = Limits { lanes_max: 2, ..Limits::default() };
    let plan = Arc::new(Plan { limits, ..(*scenario.plan).clone() });
    serve(&scenario, plan, async |port| {
        assert_eq!((port.chat("", "").await, port.chat("/lane/a", "").await), (200, 200));
        let full = port.ask(&chat("/lane/b", "", "hi")).await;
        assert_eq!(full.status(), 503);
        assert!(full.head.contains("content-type: text/plain"), "{}", full.head);
        assert!(full.head.contains("x-should-retry: false"), "{}", full.head);
        let message = "there are 2 lanes (`lanes-max`), and no room for one more\n";
        assert_eq!(full.body, message);
        let long = format!("/lane/{}", "x".repeat(65));
        for prefix in [long.as_str(), "/lane/a%2Fb", "/lane/a+b"] {
            assert_eq!(port.chat(prefix, "").await, 400, "{prefix}");
        }
        assert_eq!(port.chat("", "x-brownout-lane: a b\r\n").await, 400);
        assert_eq!(port.chat("", "x-brownout-lane: \u{e4}\r\n").await, 400);
        // Lanes that are there are as good as before.
        assert_eq!((port.chat("/lane/a", "").await, port.names().len()), (200, 2));
        let precision = Precision { error: Duration::ZERO, slack: Duration::ZERO, starved: false };
        let lane = port.lanes.default_lane();
        let record = Record::of(
            LaneName::default(),
            lane,
            7,
            Application::Unseen,
            precision,
            Duration::ZERO,
        );
        let verdict = record.judge(&scenario);
        let refused = verdict.findings.iter().find(|finding| finding.code == "lane-refused");
        let told = refused.unwrap().violations[0].to_string();
        assert!(told.starts_with("6 requests got no lane: a lane's name has"), "{told}");
    });
}

#[test]
fn a_port_with_connection_rules_has_no_other_lane() {
    let text = "connections:\n  - when: { nth: 9 }\n    fault: { accept-late: { after: 1s } }";
    serve_text(text, async |port| {
        let refused = port.ask(&chat("/lane/a", "", "hi")).await;
        assert_eq!(refused.status(), 421);
        assert!(refused.body.contains("`connections`"), "{}", refused.body);
        assert_eq!((port.chat("", "").await, port.chat("/lane/default", "").await), (200, 200));
    });
}

/// A client may use one connection for several lanes; each of them knows whether it is open.
#[test]
fn lanes_share_a_connection_and_tell_their_calls_apart() {
    for closed in [false, true] {
        serve_text("rules:\n  - per: lane\n    script: [server-error]", async |port| {
            let mut stream = port.connector.connect().unwrap();
            for prefix in ["/lane/a", "/lane/b", "/lane/a"] {
                let text = if prefix == "/lane/b" { "other" } else { "hi" };
                stream.write_all(&keeping(prefix, "", text)).await.unwrap();
                read(&mut stream).await;
            }
            if closed {
                drop(stream);
                // The server hears of it before it hears of the next request.
                port.clock.sleep_until(Duration::from_millis(1)).await;
            }
            assert_eq!(port.ask(&chat("/lane/b", "", "other")).await.status(), 200);
            let seen = |lane| {
                let claims = port.claims(lane);
                let seen = claims.iter().map(|claimed| (claimed.connection, claimed.evidence));
                seen.collect::<Vec<_>>()
            };
            let first = (1, Some(Evidence::First));
            assert_eq!(seen("a"), [first, (1, Some(Evidence::Conversation))]);
            let tie = if closed { Evidence::Conversation } else { Evidence::Ambiguous };
            assert_eq!(seen("b"), [first, (2, Some(tie))]);
        });
    }
}

/// Two programs with a key each: what one does is not held against the other.
#[test]
fn each_lane_of_a_run_is_judged_by_itself() {
    let scenario = scenario(
        "brownout: 1\nname: lanes\nlanes: by-key\nrules:\n  - script: [server-error]\n\
         client: { calls: 2, targets: [openai/gpt-4o-mini, anthropic/claude-haiku-4-5] }\n\
         expect:\n  - attempts: { exactly: 2 }\n  - outcome: success\n",
    );
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let records = runtime.block_on(play(&scenario, &Mode::BuiltInVirtual, 7)).unwrap();
    // Every call goes to the first target, and so all of them to its key's lane.
    assert_eq!(records.len(), 1);
    assert_ne!(records[0].lane, LaneName::default());
    let verdict = records[0].judge(&scenario);
    assert_eq!((verdict.status(), verdict.attempts), (Status::Pass, 4), "{verdict:?}");
}

#[test]
fn limits_hold_in_every_lane() {
    serve_text("", async |port| {
        let announced = "POST /lane/a/v1/chat/completions HTTP/1.1\r\nhost: x\r\n\
                         authorization: Bearer k\r\ncontent-length: 40000000\r\n\r\n";
        let mut stream = port.connector.connect().unwrap();
        stream.write_all(announced.as_bytes()).await.unwrap();
        assert!(read(&mut stream).await.starts_with("HTTP/1.1 413"));
        assert_eq!(port.claims("a").len(), 1);
    });
}
