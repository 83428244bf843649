//! What a run over sockets comes to: the same figures as of a simulated one, from its journal.

use std::{collections::BTreeMap, time::Duration};

use mock_server::{
    action::ErrorKind,
    bill::Billed,
    journal::{Entry, PostedOutcome},
};
use resilience_core::Usage;

use super::{World, metric::Figures, statistics::number, tally::Tally};
use crate::verdict::{Attempt, calls};

/// The figures of a run in a world, from the journals of its lanes; none if no call was made.
///
/// Calls are those of the journal, and begin with the first byte of their first attempt.
/// Where an application has posted how a call ended and when it began, that is believed, but a success only if an answer was sent whole; a call that it kept to itself counts, too.
/// Which client made a call stands in no journal, and so they have no [fairness](super::metric::Metric::Fairness).
pub fn figures<'a>(world: &World, lanes: impl IntoIterator<Item = &'a [Entry]>) -> Option<Figures> {
    let mut made: Vec<Made<'_>> = lanes.into_iter().flat_map(made).collect();
    if made.is_empty() {
        return None;
    }
    // The first call is where a run's time begins.
    made.sort_by_key(|call| call.began);
    let mut tally = Tally::new(1);
    for call in &made {
        tally.call(0, Duration::from_nanos(call.began));
    }
    for call in &made {
        call.count(&mut tally);
    }
    let span = world.scenario().document.client.arrivals.map(|arrivals| arrivals.r#for.0);
    Some(tally.figures(span, world.outages()))
}

/// One call.
struct Made<'a> {
    /// In nanoseconds.
    began: u64,
    attempts: Vec<Attempt<'a>>,
    /// What its application said of it.
    posted: Option<&'a PostedOutcome>,
}

impl Made<'_> {
    /// Counts everything of it but that it came.
    fn count(&self, tally: &mut Tally) {
        let missed = self.posted.is_some_and(|posted| !posted.success);
        let answers = self.attempts.iter().filter(|attempt| attempt.is_answered() && !missed);
        let answers = answers.filter_map(|attempt| Some((attempt.ended?.at, attempt)));
        let answer = answers.min_by_key(|(at, _)| *at);
        for attempt in &self.attempts {
            let at = Duration::from_nanos(attempt.claimed.at);
            tally.attempt(at);
            if attempt.claimed.error == Some(ErrorKind::RateLimited) {
                tally.limited(at);
            }
            let was_used =
                answer.is_some_and(|(_, answer)| std::ptr::eq(answer.claimed, attempt.claimed));
            let billed = attempt.ended.map(|ended| ended.billed).unwrap_or_default();
            if !was_used && !billed.is_nothing() {
                waste(tally, billed);
            }
        }
        if let Some((at, _)) = answer {
            tally.success(0, Duration::from_nanos(self.began), Duration::from_nanos(at));
        }
    }
}

fn waste(tally: &mut Tally, billed: Billed) {
    let usage = Usage { input: billed.input_tokens, output: billed.output_tokens };
    tally.waste(usage, billed.cost.map(|cost| number(cost.picodollars) / 1e12));
}

/// The calls of a lane.
fn made(entries: &[Entry]) -> Vec<Made<'_>> {
    let posted = entries.iter().filter_map(|entry| match entry {
        Entry::Outcome(posted) => Some((posted.call.as_deref()?, posted)),
        Entry::Claimed(_) | Entry::Connection(_) | Entry::Ended(_) => None,
    });
    let mut posted: BTreeMap<&str, &PostedOutcome> = posted.collect();
    let (calls, _strays) = calls(entries);
    let heard = calls.into_iter().map(|call| {
        let name = call.attempts.iter().find_map(|attempt| attempt.claimed.call_name.as_deref());
        let posted = name.and_then(|name| posted.remove(name));
        let began = posted.and_then(|posted| posted.began).unwrap_or(call.began_at());
        Made { began, attempts: call.attempts, posted }
    });
    let mut made: Vec<Made<'_>> = heard.collect();
    // Their clients had reasons of their own to send nothing.
    made.extend(posted.into_values().map(|posted| {
        let began = posted.began.unwrap_or(posted.at);
        Made { began, attempts: Vec::new(), posted: Some(posted) }
    }));
    made
}

#[cfg(test)]
mod tests {
    use mock_server::{
        journal::{Claimed, EndKind, Ended},
        plan::ProviderName,
        request::Fingerprint,
        units::Money,
    };

    use super::*;
    use crate::{
        lab::metric::Metric,
        scenario::{Factor, Scenario, Source},
    };

    fn world(rules: &str) -> World {
        let text = format!(
            "brownout: 1\nname: ten seconds\n{rules}\nclient: {{ arrivals: {{ rate: 1/s, for: 10s }} }}\n"
        );
        let source = Source::from_bytes("world.yaml".to_owned(), text.as_bytes());
        let scenario = Scenario::read("world", "world", source).unwrap();
        World::new(&scenario, Factor { millis: 1_000 }).unwrap()
    }

    const MILLIS: u64 = 1_000_000;

    /// A journal under construction; times are in milliseconds.
    #[derive(Default)]
    struct Lane {
        entries: Vec<Entry>,
        attempts: u64,
    }

    impl Lane {
        /// An attempt of a call from one time to another.
        fn attempt(&mut self, call: u64, (from, until): (u64, u64), error: Option<ErrorKind>) {
            let end = if error.is_some() { (429, 0) } else { (200, 10) };
            self.ended(call, (from, until), error, (end.0, EndKind::Complete, end.1));
        }

        fn ended(
            &mut self,
            call: u64,
            (from, until): (u64, u64),
            error: Option<ErrorKind>,
            (status, end, tokens): (u16, EndKind, u64),
        ) {
            self.attempts += 1;
            let attempt = self.attempts;
            let action = error.map_or("answer", ErrorKind::name);
            self.entries.push(Entry::Claimed(Box::new(Claimed {
                attempt,
                at: from * MILLIS,
                first_byte_at: from * MILLIS,
                connection: 1,
                call: Some(call),
                evidence: None,
                conversation: call,
                call_name: Some(call.to_string()),
                method: "POST".to_owned(),
                path: "/v1/chat/completions".to_owned(),
                provider: ProviderName::OpenAi,
                route: None,
                model: "gpt-4o-mini".to_owned(),
                key: Fingerprint::Key(7),
                streaming: false,
                input_tokens: tokens,
                output_tokens_max: None,
                rule: None,
                action: action.to_owned(),
                error,
                retry_after: None,
                mark: None,
            })));
            let billed = Billed {
                input_tokens: tokens,
                output_tokens: tokens,
                cost: (tokens > 0).then_some(Money { picodollars: tokens * 1_000_000 }),
            };
            self.entries.push(Entry::Ended(Ended {
                attempt,
                at: until * MILLIS,
                head_at: Some(until * MILLIS),
                status: Some(status),
                body_bytes: 100,
                events: 0,
                end,
                billed,
            }));
        }

        fn posted(&mut self, call: u64, began: u64, success: bool) {
            let call = Some(call.to_string());
            let began = Some(began * MILLIS);
            self.entries.push(Entry::Outcome(PostedOutcome { at: 0, call, began, success }));
        }

        #[track_caller]
        fn shows(&self, world: &World, expected: &[(Metric, f64)]) {
            let figures = figures(world, [self.entries.as_slice()]).unwrap();
            for (metric, value) in expected {
                let ours = figures.get(*metric).unwrap();
                assert!((ours - value).abs() < 1e-3, "{metric} is {ours}, and not {value}");
            }
            assert_eq!(figures.get(Metric::Fairness), None);
        }
    }

    const LIMITED: Option<ErrorKind> = Some(ErrorKind::RateLimited);

    #[test]
    fn attempts_are_counted_by_call_and_latencies_from_the_first_of_them() {
        let mut lane = Lane::default();
        lane.attempt(1, (5_000, 5_200), None);
        lane.attempt(2, (6_000, 6_000), LIMITED);
        lane.attempt(2, (6_500, 6_500), LIMITED);
        lane.attempt(2, (7_000, 7_400), None);
        lane.attempt(3, (8_000, 8_000), Some(ErrorKind::Unavailable));
        lane.shows(
            &world(""),
            &[
                (Metric::Amplification, 5.0 / 3.0),
                (Metric::Success, 2.0 / 3.0),
                (Metric::Limited, 2.0 / 5.0),
                (Metric::Goodput, 0.2),
                (Metric::P50, 0.2),
                (Metric::P99, 1.4),
                (Metric::WastedTokens, 0.0),
            ],
        );
    }

    #[test]
    fn what_was_billed_and_reached_nobody_is_wasted() {
        let mut lane = Lane::default();
        lane.ended(1, (0, 900), None, (200, EndKind::ClientLeft, 30));
        lane.attempt(1, (1_000, 1_200), None);
        // A second answer of a call that had its answer, and one that came too late for its call.
        lane.attempt(1, (1_000, 1_300), None);
        lane.attempt(2, (2_000, 2_100), None);
        lane.posted(2, 2_000, false);
        lane.shows(
            &world(""),
            &[
                (Metric::Success, 0.5),
                (Metric::P50, 1.2),
                (Metric::WastedTokens, 2.0 * (30.0 + 10.0 + 10.0) / 2.0),
                (Metric::WastedCost, 50e-6 / 2.0),
            ],
        );
    }

    #[test]
    fn an_application_is_believed_when_its_calls_began_and_what_it_never_sent() {
        let mut lane = Lane::default();
        lane.attempt(1, (700, 900), None);
        lane.posted(1, 100, true);
        lane.posted(2, 200, false);
        // A success without an answer is none.
        lane.attempt(3, (300, 300), LIMITED);
        lane.posted(3, 300, true);
        lane.shows(
            &world(""),
            &[(Metric::Amplification, 2.0 / 3.0), (Metric::Success, 1.0 / 3.0), (Metric::P50, 0.8)],
        );
    }

    #[test]
    fn an_outage_counts_from_the_first_call() {
        let mut lane = Lane::default();
        for call in 0..20 {
            let at = 9_500 + call * 1_000;
            let down = (2..4).contains(&call);
            lane.attempt(call, (at, at + 10), down.then_some(ErrorKind::Unavailable));
            if down {
                lane.attempt(
                    call,
                    (at + 2_000, at + 2_010),
                    (call == 2).then_some(ErrorKind::Unavailable),
                );
            }
        }
        let world = world("rules: [{ when: { from: 2s, until: 4s }, fault: unavailable }]");
        lane.shows(
            &world,
            &[(Metric::SuccessInOutage, 0.5), (Metric::Recovery, 0.0), (Metric::Peak, 2.0)],
        );
    }

    #[test]
    fn a_run_without_calls_has_no_figures() {
        assert_eq!(figures(&world(""), [[].as_slice()]), None);
    }
}
