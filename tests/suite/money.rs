//! What is an attempt billed, whoever ends it? Client and provider in virtual time.

use std::{sync::Arc, time::Duration};

use brownout::verdict::{Spending, calls};
use mock_server::{
    bill::Billed,
    journal::{EndKind, Ended, Entry},
    tokens::Tokenizer,
};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::{
    lanes::{Port, serve},
    world::scenario,
};

/// A provider that thinks for half a second, and then says a word every tenth of one.
const PROVIDER: &str = "brownout: 1\nname: money\n\
    provider:\n  latency: { first-token: 500ms, between-tokens: 100ms }\n  \
    prices: { \"gpt-4o-mini*\": { input: $0.15/M, output: $0.60/M } }\n  \
    answers: { text: the answer is careful and clear }\n";

/// The input: 3 + (3 + "user" + "hi"), as OpenAI counts.
const INPUT: u64 = 8;

fn chat(model: &str, streaming: bool) -> Vec<u8> {
    let body = format!(
        r#"{{"model":"{model}","stream":{streaming},"messages":[{{"role":"user","content":"hi"}}]}}"#
    );
    format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer k\r\n\
         connection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// Plays one attempt, which the client leaves after a while, if it says so.
fn attempt(rules: &str, request: &[u8], leave_at: Option<u64>) -> (Ended, String) {
    let scenario = scenario(&format!("{PROVIDER}{rules}\n"));
    serve(&scenario, Arc::clone(&scenario.plan), async |port: Port| {
        let mut stream = port.connector.connect().unwrap();
        stream.write_all(request).await.unwrap();
        let mut bytes = Vec::new();
        match leave_at {
            None => drop(stream.read_to_end(&mut bytes).await),
            Some(millis) => {
                let left = port.clock.sleep_until(Duration::from_millis(millis));
                tokio::select! {
                    biased;
                    () = left => {}
                    _read = stream.read_to_end(&mut bytes) => {}
                }
            }
        }
        drop(stream);
        let now = port.clock.now();
        port.clock.sleep_until(now + Duration::from_millis(1)).await;
        let journal = port.lanes.default_lane().journal();
        let mut ends = journal.entries().iter().rev().filter_map(|entry| match entry {
            Entry::Ended(ended) => Some(*ended),
            _ => None,
        });
        (ends.next().unwrap(), String::from_utf8_lossy(&bytes).into_owned())
    })
}

/// The pieces of a streamed answer.
fn pieces(text: &str) -> Vec<String> {
    let data = text.lines().filter_map(|line| line.strip_prefix("data: {"));
    let chunks = data.map(|rest| serde_json::from_str::<Value>(&format!("{{{rest}")).unwrap());
    let said = chunks
        .filter_map(|chunk| chunk.pointer("/choices/0/delta/content")?.as_str().map(str::to_owned));
    said.filter(|piece| !piece.is_empty()).collect()
}

/// The whole answer's tokens, as its usage tells them, and its pieces.
fn healthy() -> (u64, Vec<String>) {
    let (_, whole) = attempt("", &chat("gpt-4o-mini", false), None);
    let body: Value = serde_json::from_str(whole.split("\r\n\r\n").nth(1).unwrap()).unwrap();
    let (_, streamed) = attempt("", &chat("gpt-4o-mini", true), None);
    let pieces = pieces(&streamed);
    assert_eq!(body["choices"][0]["message"]["content"], pieces.concat());
    (body["usage"]["completion_tokens"].as_u64().unwrap(), pieces)
}

/// The tokens of the first pieces, as text.
fn written(count: usize) -> u64 {
    let (_, pieces) = healthy();
    Tokenizer::of("gpt-4o-mini").count(pieces[..count].concat().trim_end())
}

fn billed(output_tokens: u64) -> Billed {
    // $0.15 and $0.60 for a million tokens are 150,000 and 600,000 picodollars for one.
    let picodollars = 150_000 * INPUT + 600_000 * output_tokens;
    let cost = Some(mock_server::units::Money { picodollars });
    Billed { input_tokens: INPUT, output_tokens, cost }
}

#[test]
fn a_whole_answer_is_billed_as_its_usage_says() {
    let (whole, pieces) = healthy();
    assert_eq!((whole, pieces.len()), (written(8), 8));
    for streaming in [false, true] {
        let (ended, _) = attempt("", &chat("gpt-4o-mini", streaming), None);
        assert_eq!((ended.end, ended.billed), (EndKind::Complete, billed(whole)));
    }
    // Without a price there is no cost, but there are tokens.
    let (ended, _) = attempt("", &chat("gpt-4o", true), None);
    assert_eq!((ended.billed.cost, ended.billed.input_tokens), (None, INPUT));
}

/// The client pays for what was written, and for nothing that would have come later.
#[test]
fn what_was_written_before_the_client_left_is_billed() {
    let (whole, pieces) = healthy();
    let mut seen = Vec::new();
    for streaming in [true, false] {
        for (leave_at, count) in
            [(100, 0), (499, 0), (550, 1), (650, 2), (899, 4), (950, 5), (1_150, 7)]
        {
            let (ended, text) = attempt("", &chat("gpt-4o-mini", streaming), Some(leave_at));
            assert_eq!(ended.end, EndKind::ClientLeft, "{leave_at}");
            assert_eq!(ended.billed, billed(written(count)), "{leave_at}");
            assert!(ended.billed.output_tokens < whole);
            if streaming {
                assert_eq!(self::pieces(&text), pieces[..count], "{leave_at}");
                seen.push(ended.billed.output_tokens);
            } else {
                assert_eq!(text, "");
            }
        }
    }
    // The mark before the text is a word of several tokens, and each word of the text is one.
    let mark = written(1);
    assert_eq!(seen, [0, 0, mark, mark + 1, mark + 3, mark + 4, mark + 6]);
}

#[test]
fn what_was_written_before_a_fault_is_billed() {
    for (fault, streaming, end, output) in [
        ("{ cut-stream: { after: 3 } }", true, EndKind::Closed, written(3)),
        ("{ cut-stream: { after: 3, end: reset } }", true, EndKind::Reset, written(3)),
        ("{ cut-stream: { after: 3, end: quietly } }", true, EndKind::Complete, written(3)),
        ("{ cut-stream: { after: 0 } }", true, EndKind::Closed, 0),
        ("{ stream-error: { after: 2 } }", true, EndKind::Complete, written(2)),
        // All of it was written before the half of it that arrived was sent.
        ("{ truncated: { keep: 50% } }", false, EndKind::Closed, healthy().0),
    ] {
        let (ended, _) =
            attempt(&format!("rules:\n  - fault: {fault}"), &chat("gpt-4o-mini", streaming), None);
        assert_eq!((ended.end, ended.billed), (end, billed(output)), "{fault}");
    }
}

#[test]
fn what_is_refused_or_never_begun_costs_nothing() {
    for fault in ["rate-limited", "authentication", "server-error", "context-length", "reset"] {
        let rules = format!("rules:\n  - fault: {fault}");
        let (ended, _) = attempt(&rules, &chat("gpt-4o-mini", false), None);
        assert!(ended.billed.is_nothing(), "{fault}");
    }
    let (ended, _) = attempt("rules:\n  - fault: hang", &chat("gpt-4o-mini", true), Some(5_000));
    assert!(ended.end == EndKind::ClientLeft && ended.billed.is_nothing());
    for request in ["GET /v1/nothing", "GET /v1/chat/completions"] {
        let request = format!("{request} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        assert!(attempt("", request.as_bytes(), None).0.billed.is_nothing());
    }
}

/// A run's journal tells its spending, also after it has been written and read.
#[test]
fn a_run_is_billed_attempt_by_attempt_and_what_arrived_stands_beside_it() {
    let rules = "rules:\n  - per: lane\n    script:\n      - rate-limited\n      \
                 - cut-stream: { after: 3 }\n";
    let scenario = scenario(&format!("{PROVIDER}{rules}"));
    let entries = serve(&scenario, Arc::clone(&scenario.plan), async |port: Port| {
        for _ in 0..3 {
            port.ask(&chat("gpt-4o-mini", true)).await;
        }
        port.lanes.default_lane().journal().entries().to_vec()
    });
    let written: Vec<String> =
        entries.iter().map(|entry| serde_json::to_string(entry).unwrap()).collect();
    let read: Vec<Entry> = written.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let spending = |entries: &[Entry]| {
        let (calls, strays) = calls(entries);
        Spending::of(&calls, &strays)
    };
    let Spending { billed, delivered } = spending(&entries);
    assert_eq!(spending(&read), Spending { billed, delivered });
    assert_eq!((billed.attempts, delivered.attempts), (3, 1));
    assert_eq!((billed.input_tokens, delivered.input_tokens), (2 * INPUT, INPUT));
    let ends: Vec<Billed> = entries
        .iter()
        .filter_map(|entry| match entry {
            Entry::Ended(ended) => Some(ended.billed),
            _ => None,
        })
        .collect();
    assert_eq!(delivered.output_tokens, ends[2].output_tokens);
    assert_eq!(billed.output_tokens, ends[1].output_tokens + ends[2].output_tokens);
    assert!(0 < ends[1].output_tokens && ends[1].output_tokens < ends[2].output_tokens);
    let cost = billed.cost.unwrap().minus(delivered.cost.unwrap());
    assert_eq!(Some(cost), ends[1].cost);
    // What costs nothing says nothing.
    assert!(written.iter().filter(|line| line.contains("billed")).count() == 2, "{written:?}");
}
