//! Does the judge convict the guilty, and only them? Literal histories, no server.
//!
//! Each expectation is shown a history that keeps it, one that breaks it, and one that says nothing
//! about it.

use brownout::{
    scenario::{Scenario, Source},
    verdict::{
        Application, CommandEnd, Evidence, Exit, MarkCount, Precision, Status, Verdict, judge,
    },
};
use mock_server::{
    action::{ErrorKind, HintForm},
    bill::Billed,
    engine::RuleReport,
    identity::Evidence as Tie,
    journal::{Claimed, EndKind, Ended, Entry, PostedOutcome},
    plan::{ProviderName, Route},
    request::Fingerprint,
};
use std::time::Duration;

use Fate::{Answer, Cut, Error, Hang};
use ProviderName::{Anthropic, OpenAi};

/// One attempt: its call, when it came in milliseconds, to whom, and what it met.
type Step = (u64, u64, ProviderName, Fate);

#[derive(Clone, Copy)]
enum Fate {
    Answer,
    /// A stream that ended early.
    Cut,
    Error(ErrorKind),
    /// Silence until the client left, after so many milliseconds.
    Hang(u64),
    /// An error that asks for a wait in milliseconds.
    Wait(ErrorKind, u64, HintForm),
}

const LIMITED: Fate = Error(ErrorKind::RateLimited);
const REFUSED: Fate = Error(ErrorKind::Authentication);
const FAILED: Fate = Error(ErrorKind::ServerError);

fn asked(millis: u64) -> Fate {
    Fate::Wait(ErrorKind::RateLimited, millis, HintForm::Seconds)
}

/// A scenario with these expectations, and rules that nobody has to meet.
fn scenario(expect: &str) -> Scenario {
    let rules =
        "rules:\n  - script: [authentication, rate-limited, insufficient-quota, context-length]\n";
    let expect = if expect.is_empty() { String::new() } else { format!("expect:\n  - {expect}\n") };
    let text = format!("brownout: 1\nname: judged\nallow: [rule-never-acted]\n{rules}{expect}");
    Scenario::read("judged", "judged", Source::new("judged.yaml", text)).unwrap()
}

const MILLISECOND: u64 = 1_000_000;

fn journal(steps: &[Step]) -> Vec<Entry> {
    let mut entries = Vec::new();
    for (attempt, &(call, at, provider, fate)) in (1..).zip(steps) {
        let at = at * MILLISECOND;
        let (error, retry_after, action) = match fate {
            Answer => (None, None, "answer"),
            Cut => (None, None, "cut-stream"),
            Error(error) => (Some(error), None, error.name()),
            Hang(_) => (None, None, "hang"),
            Fate::Wait(error, wait, form) => {
                (Some(error), Some((wait * MILLISECOND, form)), error.name())
            }
        };
        entries.push(Entry::Claimed(Box::new(Claimed {
            attempt,
            at,
            first_byte_at: at,
            connection: 1,
            call: Some(call),
            evidence: Some(Tie::Conversation),
            conversation: call,
            call_name: None,
            method: "POST".to_owned(),
            path: "/".to_owned(),
            provider,
            route: Some(Route::OpenAiChat),
            model: "m".to_owned(),
            key: Fingerprint::of(provider.name()),
            streaming: false,
            input_tokens: 100,
            output_tokens_max: None,
            rule: None,
            action: action.to_owned(),
            error,
            retry_after,
            mark: Some(format!("mark{attempt}")),
        })));
        let (stayed, end, status) = match fate {
            Hang(millis) => (millis * MILLISECOND, EndKind::ClientLeft, None),
            Cut => (0, EndKind::Closed, Some(200)),
            Answer => (0, EndKind::Complete, Some(200)),
            Error(_) | Fate::Wait(..) => (0, EndKind::Complete, Some(429)),
        };
        let head_at = status.map(|_| at);
        let at = at + stayed;
        entries.push(Entry::Ended(Ended {
            attempt,
            at,
            head_at,
            status,
            body_bytes: 1,
            events: 0,
            end,
            billed: Billed::default(),
        }));
    }
    entries
}

fn command(code: i32, marks: &[(&str, u64, u64)]) -> Application {
    let marks =
        marks.iter().map(|&(mark, begins, ends)| MarkCount { mark: mark.to_owned(), begins, ends });
    Application::Command(CommandEnd { exit: Exit::Code(code), marks: marks.collect() })
}

fn judged(expect: &str, entries: &[Entry], application: &Application) -> Verdict {
    let scenario = scenario(expect);
    let rules = [RuleReport { hits: 1, acted: 1, completed: 1 }];
    judge(&Evidence {
        scenario: &scenario,
        entries,
        rules: &rules,
        journal_full: false,
        connection_limit_hits: 0,
        lane_refusals: None,
        application,
        precision: Precision {
            error: Duration::from_millis(1),
            slack: Duration::from_millis(75),
            starved: false,
        },
    })
}

/// Checks what the one expectation comes to, and by which name.
#[track_caller]
fn check(expect: &str, steps: &[Step], status: Status, code: &str) {
    let verdict = judged(expect, &journal(steps), &command(0, &[]));
    let finding = verdict.findings.last().unwrap();
    assert_eq!((finding.status, finding.code), (status, code), "{expect}: {finding:?}");
    assert_eq!(verdict.status(), status, "{expect}: {verdict:?}");
}

#[track_caller]
fn holds(expect: &str, code: &str, steps: &[Step]) {
    check(expect, steps, Status::Pass, code);
}

#[track_caller]
fn breaks(expect: &str, code: &str, steps: &[Step]) {
    check(expect, steps, Status::Fail, code);
}

#[track_caller]
fn says_nothing(expect: &str, steps: &[Step]) {
    check(expect, steps, Status::Inconclusive, "not-exercised");
}

#[test]
fn attempts_are_counted_in_each_call() {
    let (expect, code) = ("attempts: { exactly: 2 }", "wrong-attempts");
    holds(
        expect,
        code,
        &[
            (1, 0, OpenAi, FAILED),
            (2, 0, OpenAi, FAILED),
            (1, 9, OpenAi, Answer),
            (2, 9, OpenAi, Answer),
        ],
    );
    breaks(expect, code, &[(1, 0, OpenAi, FAILED), (1, 9, OpenAi, Answer), (2, 0, OpenAi, Answer)]);
    holds("attempts: { at-most: 2 }", code, &[(1, 0, OpenAi, Answer)]);
    breaks("attempts: { at-least: 2 }", code, &[(1, 0, OpenAi, Answer)]);
    holds(
        "total-attempts: { at-least: 2, at-most: 3 }",
        code,
        &[(1, 0, OpenAi, Answer), (2, 0, OpenAi, Answer)],
    );
    breaks(
        "total-attempts: { exactly: 1 }",
        code,
        &[(1, 0, OpenAi, Answer), (2, 0, OpenAi, Answer)],
    );
}

#[test]
fn early_is_early_by_whatever_little() {
    let (expect, code) = ("waits: at-least-retry-after", "early-retry");
    let back_after = |millis| [(1, 0, OpenAi, asked(2_000)), (1, millis, OpenAi, Answer)];
    holds(expect, code, &back_after(2_000));
    // The clock's own error, and not a millisecond more.
    holds(expect, code, &back_after(1_999));
    breaks(expect, code, &back_after(1_998));
    breaks(expect, code, &back_after(1_900));
    says_nothing(expect, &[(1, 0, OpenAi, asked(2_000))]);
    says_nothing(expect, &[(1, 0, OpenAi, FAILED), (1, 1, OpenAi, Answer)]);
    // A wait that OpenAI asks for says nothing to Anthropic, and another call is not this one.
    says_nothing(expect, &[(1, 0, OpenAi, asked(2_000)), (1, 1, Anthropic, Answer)]);
    says_nothing(expect, &[(1, 0, OpenAi, asked(2_000)), (2, 1, OpenAi, Answer)]);
    // A fallback in between does not make coming back early right.
    breaks(
        expect,
        code,
        &[(1, 0, OpenAi, asked(2_000)), (1, 1, Anthropic, FAILED), (1, 2, OpenAi, Answer)],
    );
}

#[test]
fn an_http_date_is_judged_to_a_second() {
    let (expect, code) = ("waits: at-least-retry-after", "early-retry");
    let dated = |back| {
        [
            (1, 0, OpenAi, Fate::Wait(ErrorKind::RateLimited, 3_000, HintForm::Date)),
            (1, back, OpenAi, Answer),
        ]
    };
    holds(expect, code, &dated(2_050));
    breaks(expect, code, &dated(1_950));
}

#[test]
fn a_formula_is_judged_by_envelope_and_by_likelihood() {
    let (expect, code) = ("waits: { backoff: { base: 1s, cap: 4s } }", "off-formula");
    let waits = |waits: &[u64]| {
        let mut at = 0;
        let mut steps = vec![(1, 0, OpenAi, FAILED)];
        steps.extend(waits.iter().map(|wait| {
            at += wait;
            (1, at, OpenAi, FAILED)
        }));
        steps
    };
    holds(expect, code, &waits(&[400, 1_300, 900, 3_100, 2_000, 600]));
    // The third wait may take four seconds, the first only one.
    breaks(expect, code, &waits(&[1_500, 500, 900, 3_100, 2_000]));
    // Each within its envelope, and together next to impossible.
    breaks(expect, code, &waits(&[1, 2, 1, 3, 2, 1, 2]));
    let longest = [[999, 1_999].as_slice(), &[3_999; 12]].concat();
    breaks(expect, code, &waits(&longest));
    says_nothing(expect, &[(1, 0, OpenAi, asked(500)), (1, 500, OpenAi, Answer)]);
    // Too few to tell one formula from another.
    check(expect, &waits(&[400, 1_300]), Status::Inconclusive, code);
    let exact = "waits: { backoff: { base: 1s, cap: 4s, jitter: none } }";
    holds(exact, code, &waits(&[1_000, 2_010, 4_000]));
    breaks(exact, code, &waits(&[1_000, 1_900, 4_000]));
}

#[test]
fn a_final_error_is_not_answered_by_the_same_request() {
    let (expect, code) = ("not-retried: authentication", "retried-final");
    holds(expect, code, &[(1, 0, OpenAi, REFUSED)]);
    holds(expect, code, &[(1, 0, OpenAi, REFUSED), (1, 1, Anthropic, Answer)]);
    holds(expect, code, &[(1, 0, OpenAi, REFUSED), (2, 1, OpenAi, REFUSED)]);
    breaks(expect, code, &[(1, 0, OpenAi, REFUSED), (1, 1, OpenAi, REFUSED)]);
    breaks(
        expect,
        code,
        &[(1, 0, OpenAi, REFUSED), (1, 1, Anthropic, FAILED), (1, 2, OpenAi, Answer)],
    );
    says_nothing(expect, &[(1, 0, OpenAi, Answer)]);
    // What is not final may be named too.
    breaks("not-retried: rate-limited", code, &[(1, 0, OpenAi, LIMITED), (1, 1, OpenAi, Answer)]);
}

#[test]
fn targets_are_tried_in_their_order() {
    let (expect, code) = ("order: [openai, anthropic]", "wrong-order");
    holds(
        expect,
        code,
        &[(1, 0, OpenAi, FAILED), (1, 1, OpenAi, FAILED), (1, 2, Anthropic, Answer)],
    );
    breaks(expect, code, &[(1, 0, Anthropic, FAILED), (1, 1, OpenAi, Answer)]);
    breaks(expect, code, &[(1, 0, Anthropic, Answer)]);
    breaks(
        expect,
        code,
        &[(1, 0, OpenAi, FAILED), (1, 1, Anthropic, FAILED), (1, 2, OpenAi, Answer)],
    );
    says_nothing(expect, &[(1, 0, OpenAi, Answer)]);
}

#[test]
fn load_is_measured_against_what_was_asked_for() {
    holds(
        "amplification: { at-most: 2x }",
        "amplified",
        &[(1, 0, OpenAi, FAILED), (1, 1, OpenAi, Answer)],
    );
    breaks(
        "amplification: { at-most: 1.9x }",
        "amplified",
        &[(1, 0, OpenAi, FAILED), (1, 1, OpenAi, Answer)],
    );
    let steady: Vec<Step> = (1..=20).map(|call| (call, call * 500, OpenAi, Answer)).collect();
    let mut herd = steady.clone();
    herd.extend((21..=30).map(|call| (call, 10_000 + call, OpenAi, Answer)));
    let peak = "peak: { from: 5s, for: 10s, at-most: 1.5x mean }";
    holds(peak, "stampede", &steady);
    breaks(peak, "stampede", &herd);
    says_nothing("peak: { from: 60s, for: 10s, at-most: 1.5x mean }", &steady);
}

#[test]
fn shares_count_the_calls_that_began_in_their_window() {
    let steps = [
        (1, 0, OpenAi, Answer),
        (2, 5_000, OpenAi, FAILED),
        (2, 5_001, Anthropic, Answer),
        (3, 6_000, OpenAi, FAILED),
    ];
    holds("success: { at-least: 60% }", "calls-failed", &steps);
    breaks("success: { at-least: 70% }", "calls-failed", &steps);
    holds("success: { from: 0s, until: 6s, at-least: 100% }", "calls-failed", &steps);
    says_nothing("success: { from: 7s, at-least: 1% }", &steps);
    holds("served-by: { anthropic: { from: 5s, at-least: 100% } }", "served-elsewhere", &steps);
    breaks("served-by: { anthropic: { at-least: 51% } }", "served-elsewhere", &steps);
}

#[test]
fn the_whole_run_is_timed() {
    let steps = [(1, 500, OpenAi, FAILED), (1, 2_500, OpenAi, Answer)];
    holds("total-time: { at-least: 2s, at-most: 2s }", "wrong-time", &steps);
    breaks("total-time: { at-least: 2100ms }", "wrong-time", &steps);
    breaks("total-time: { at-most: 1900ms }", "wrong-time", &steps);
}

#[test]
fn the_outcome_is_what_the_application_saw() {
    let success = |steps: &[Step], application: &Application| {
        let verdict = judged("outcome: success", &journal(steps), application);
        let finding = verdict.findings.last().unwrap().clone();
        (finding.status, finding.code)
    };
    let whole = [(1, 0, OpenAi, Answer)];
    let cut = [(1, 0, OpenAi, Cut)];
    let wrong = (Status::Fail, "wrong-outcome");
    let held = (Status::Pass, "wrong-outcome");
    assert_eq!(success(&whole, &command(0, &[])), held);
    assert_eq!(success(&whole, &command(1, &[])), wrong);
    assert_eq!(success(&[(1, 0, OpenAi, FAILED)], &command(0, &[])), wrong);
    assert_eq!(success(&[(1, 0, OpenAi, Hang(5))], &command(0, &[])), wrong);
    // A cut answer, an exit code of 0, and silence: nobody can know.
    assert_eq!(success(&cut, &command(0, &[])), (Status::Inconclusive, "outcome-unknown"));
    // Its first word in the output, and not its last: it was taken for a whole answer.
    assert_eq!(success(&cut, &command(0, &[("mark1", 1, 0)])), wrong);
    // The same answer, told of and begun anew.
    let again = [(1, 0, OpenAi, Cut), (1, 5, OpenAi, Answer)];
    assert_eq!(success(&again, &command(0, &[("mark1", 1, 0), ("mark2", 1, 1)])), held);
    // What the application says itself counts most.
    let mut told = journal(&cut);
    told.push(Entry::Outcome(PostedOutcome { at: 9, call: None, began: None, success: false }));
    let verdict = judged("outcome: failure", &told, &command(0, &[]));
    assert_eq!(verdict.findings.last().unwrap().status, Status::Pass);
    let failure = |steps: &[Step], code| {
        judged("outcome: failure", &journal(steps), &command(code, &[])).status()
    };
    assert_eq!(failure(&[(1, 0, OpenAi, REFUSED)], 1), Status::Pass);
    assert_eq!(failure(&[(1, 0, OpenAi, REFUSED)], 0), Status::Pass);
    assert_eq!(failure(&whole, 0), Status::Fail);
}

/// The findings of the house rules alone, by code.
fn house(steps: &[Step]) -> Vec<(&'static str, Status)> {
    let verdict = judged("", &journal(steps), &command(0, &[]));
    verdict.findings.iter().map(|finding| (finding.code, finding.status)).collect()
}

#[test]
fn the_house_rules_hold_for_any_program() {
    let polite = [(1, 0, OpenAi, asked(100)), (1, 110, OpenAi, FAILED), (1, 700, OpenAi, Answer)];
    assert!(
        house(&polite).iter().all(|(_, status)| *status == Status::Pass),
        "{:?}",
        house(&polite)
    );
    let early = [(1, 0, OpenAi, asked(1_000)), (1, 10, OpenAi, Answer)];
    assert!(house(&early).contains(&("early-retry", Status::Fail)));
    let stubborn = [(1, 0, OpenAi, REFUSED), (1, 500, OpenAi, REFUSED)];
    assert!(house(&stubborn).contains(&("retried-final", Status::Fail)));
    let storm: Vec<Step> = (0..6).map(|n| (1, n * 3, OpenAi, FAILED)).collect();
    assert!(house(&storm).contains(&("no-backoff", Status::Fail)));
    let metronome: Vec<Step> = (0..6).map(|n| (1, n * 1_000, OpenAi, FAILED)).collect();
    assert!(house(&metronome).contains(&("no-backoff", Status::Fail)));
    let endless: Vec<Step> = (0..13).map(|n| (1, n * n * 100, OpenAi, FAILED)).collect();
    assert!(house(&endless).contains(&("unbounded-attempts", Status::Fail)));
    // Growing without jitter, as many SDKs do, and jitter without growth, are both right.
    let growing = [0, 500, 1_500, 3_500, 7_500].map(|at| (1, at, OpenAi, FAILED));
    assert!(!house(&growing).contains(&("no-backoff", Status::Fail)));
    let jittered = [0, 300, 500, 600, 1_500].map(|at| (1, at, OpenAi, FAILED));
    assert!(!house(&jittered).contains(&("no-backoff", Status::Fail)));
    // A client that gives up on silence is paced by its own timeout.
    let patient: Vec<Step> = (0..6).map(|n| (1, n * 1_000, OpenAi, Hang(1_000))).collect();
    assert!(!house(&patient).contains(&("no-backoff", Status::Fail)));
    // A provider that is left after twelve attempts was left.
    let moved: Vec<Step> =
        (0..14).map(|n| (1, n * n * 100, if n < 7 { OpenAi } else { Anthropic }, FAILED)).collect();
    assert!(!house(&moved).contains(&("unbounded-attempts", Status::Fail)));
}

#[test]
fn another_model_of_the_same_provider_is_another_target() {
    let mut entries = journal(&[(1, 0, OpenAi, asked(2_000)), (1, 10, OpenAi, Answer)]);
    let Entry::Claimed(claimed) = &mut entries[2] else { panic!("a claim") };
    claimed.model = "a larger one".to_owned();
    let verdict = judged("", &entries, &command(0, &[]));
    assert_eq!(verdict.status(), Status::Pass, "{verdict:?}");
    // A refused key is refused whatever it is used for.
    let mut entries = journal(&[(1, 0, OpenAi, REFUSED), (1, 10, OpenAi, REFUSED)]);
    let Entry::Claimed(claimed) = &mut entries[2] else { panic!("a claim") };
    claimed.model = "a larger one".to_owned();
    assert_eq!(judged("", &entries, &command(0, &[])).status(), Status::Fail);
}

#[test]
fn a_request_that_asks_for_less_room_is_another_one() {
    let long = Error(ErrorKind::ContextLength);
    let mut entries = journal(&[(1, 0, OpenAi, long), (1, 10, OpenAi, Answer)]);
    assert_eq!(judged("", &entries, &command(0, &[])).status(), Status::Fail);
    for (index, tokens) in [(0, 4_000), (2, 500)] {
        let Entry::Claimed(claimed) = &mut entries[index] else { panic!("a claim") };
        claimed.output_tokens_max = Some(tokens);
    }
    assert_eq!(judged("", &entries, &command(0, &[])).status(), Status::Pass);
    // Shortened step by step, each time at once: nobody has to wait before that.
    let mut steps = vec![(1, 0, OpenAi, long); 6];
    steps.push((1, 1, OpenAi, Answer));
    let mut entries = journal(&steps);
    for (attempt, entry) in (0..).zip(entries.iter_mut().step_by(2)) {
        let Entry::Claimed(claimed) = entry else { panic!("a claim") };
        claimed.input_tokens = 1_000 - attempt;
    }
    assert_eq!(judged("", &entries, &command(0, &[])).status(), Status::Pass);
}

/// Where several calls may have asked the same, nobody is convicted.
#[test]
fn an_ambiguous_call_is_no_evidence() {
    let ambiguous = |steps: &[Step]| {
        let mut entries = journal(steps);
        for entry in entries.iter_mut().skip(2) {
            if let Entry::Claimed(claimed) = entry {
                claimed.evidence = Some(Tie::Ambiguous);
            }
        }
        entries
    };
    let early = ambiguous(&[(1, 0, OpenAi, asked(2_000)), (1, 10, OpenAi, Answer)]);
    for expect in ["", "waits: at-least-retry-after", "attempts: { exactly: 1 }"] {
        let verdict = judged(expect, &early, &command(0, &[]));
        assert_eq!(verdict.status(), Status::Inconclusive, "{expect}: {verdict:?}");
    }
    // Threads that ask the same: what looked like an early retry was another one's first attempt.
    let mut threads = journal(&[
        (1, 0, OpenAi, asked(2_000)),
        (1, 700, OpenAi, Answer),
        (2, 2_010, OpenAi, Answer),
    ]);
    assert_eq!(judged("", &threads, &command(0, &[])).status(), Status::Fail);
    for entry in &mut threads {
        if let Entry::Claimed(claimed) = entry {
            claimed.conversation = 7;
        }
    }
    assert_eq!(judged("", &threads, &command(0, &[])).status(), Status::Inconclusive);
    let patient = ambiguous(&[(1, 0, OpenAi, asked(2_000)), (1, 2_010, OpenAi, Answer)]);
    assert_eq!(judged("", &patient, &command(0, &[])).status(), Status::Pass);
}

#[test]
fn what_cannot_be_measured_or_known_decides_nothing() {
    let date = Fate::Wait(ErrorKind::RateLimited, 1_000, HintForm::Date);
    says_nothing("waits: at-least-retry-after", &[(1, 0, OpenAi, date), (1, 1, OpenAi, Answer)]);
    let half_known = [(1, 0, OpenAi, Cut), (2, 0, OpenAi, Answer)];
    check("success: { at-least: 80% }", &half_known, Status::Inconclusive, "outcome-unknown");
    holds("success: { at-least: 50% }", "calls-failed", &half_known);
    let half_failed = [(1, 0, OpenAi, FAILED), (2, 0, OpenAi, Answer)];
    breaks("success: { at-least: 80% }", "calls-failed", &half_failed);
}

/// A herd does not mind where a second begins.
#[test]
fn a_stampede_is_seen_across_a_whole_second() {
    let mut steps: Vec<Step> = (1..=20).map(|call| (call, call * 500, OpenAi, Answer)).collect();
    steps.extend((21..=24).map(|call| (call, 11_980 + call, OpenAi, Answer)));
    steps.extend((25..=28).map(|call| (call, 12_010 + call, OpenAi, Answer)));
    // 28 in 12 s are 2.3 a second: 8 at once are more than three times as many, 4 are not.
    breaks("peak: { from: 11s, for: 5s, at-most: 3x mean }", "stampede", &steps);
}

#[test]
fn an_application_that_says_it_failed_took_nothing_for_an_answer() {
    let mut told = journal(&[(1, 0, OpenAi, Cut)]);
    told.push(Entry::Outcome(PostedOutcome { at: 9, call: None, began: None, success: false }));
    let shown = command(0, &[("mark1", 1, 0)]);
    assert_eq!(judged("outcome: failure", &told, &shown).status(), Status::Pass);
    // A failure that is told of a call nobody saw counts too.
    let mut told = journal(&[(1, 0, OpenAi, Answer)]);
    let call = Some("refused before it began".to_owned());
    told.push(Entry::Outcome(PostedOutcome { at: 9, call, began: None, success: false }));
    assert_eq!(judged("outcome: success", &told, &command(0, &[])).status(), Status::Fail);
}

#[test]
fn nothing_is_held_by_a_run_without_a_request() {
    let verdict = judged("attempts: { at-most: 3 }", &[], &command(0, &[]));
    assert_eq!(verdict.status(), Status::Inconclusive);
    assert!(verdict.findings.iter().any(|finding| finding.code == "no-request"));
}

/// A limit that was reached is named, and nothing is held by a run that reached it.
#[test]
fn a_limit_that_was_reached_leaves_the_run_open() {
    let scenario = scenario("");
    let entries = journal(&[(1, 0, OpenAi, Answer)]);
    let application = command(0, &[]);
    let rules = [RuleReport { hits: 1, acted: 1, completed: 1 }];
    let reached = |journal_full, connection_limit_hits| {
        let precision = Precision { error: Duration::ZERO, slack: Duration::ZERO, starved: false };
        let (scenario, entries, application) = (&scenario, &entries, &application);
        let verdict = judge(&Evidence {
            scenario,
            entries,
            rules: &rules,
            journal_full,
            connection_limit_hits,
            lane_refusals: None,
            application,
            precision,
        });
        (verdict.status(), verdict.findings[0].code)
    };
    assert_eq!(reached(true, 0), (Status::Inconclusive, "journal-full"));
    assert_eq!(reached(false, 3), (Status::Inconclusive, "connection-limit"));
}

#[test]
fn an_allowed_finding_is_told_and_counts_for_nothing() {
    let text = "brownout: 1\nname: judged\nallow: [command-failed]\n";
    let scenario = Scenario::read("a", "a", Source::new("a.yaml", text)).unwrap();
    let entries = journal(&[(1, 0, OpenAi, Answer)]);
    let verdict = judge(&Evidence {
        scenario: &scenario,
        entries: &entries,
        rules: &[],
        journal_full: false,
        connection_limit_hits: 0,
        lane_refusals: None,
        application: &command(7, &[]),
        precision: Precision { error: Duration::ZERO, slack: Duration::ZERO, starved: false },
    });
    assert_eq!(verdict.findings[0].code, "command-failed");
    assert!(verdict.findings[0].allowed);
    assert_eq!(verdict.status(), Status::Pass);
}
