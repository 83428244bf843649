//! From evidence to a verdict.

use std::time::Duration;

use mock_server::{
    journal::{Entry, RuleHit},
    plan::{Act, ProviderName},
};

use super::{
    Application, Attempt, Call, Evidence, Exit, Finding, Place, SeenOutcome, SharedThing, Spending,
    Status, Verdict, Violation, calls, house, outcome, waits,
};
use crate::scenario::{Bounds, BuiltIn, Count, Expectation, Factor, Peak, ShareIn};

/// Judges a run.
pub fn judge(evidence: &Evidence<'_>) -> Verdict {
    let (calls, strays) = calls(evidence.entries);
    let run = Run { evidence, calls: &calls, strays: &strays };
    let mut findings = run.built_in();
    match &evidence.scenario.document.expect {
        None => {
            let mut house = house::judge(&calls, evidence.precision);
            for finding in &mut house {
                run.weigh(finding);
            }
            findings.extend(house);
        }
        Some(expectations) => {
            let judged = expectations.iter().enumerate();
            findings.extend(judged.map(|(index, expectation)| run.expectation(index, expectation)));
        }
    }
    let allowed = &evidence.scenario.document.allow;
    for finding in &mut findings {
        finding.allowed = allowed.iter().any(|allowed| allowed.name() == finding.code);
    }
    Verdict {
        findings,
        attempts: run.attempts(),
        calls: count(calls.len()),
        elapsed: run.elapsed(),
        spending: Spending::of(&calls, &strays),
    }
}

/// A run with its calls told apart.
struct Run<'a> {
    evidence: &'a Evidence<'a>,
    calls: &'a [Call<'a>],
    strays: &'a [Attempt<'a>],
}

impl Run<'_> {
    /// The findings that nobody has to ask for.
    fn built_in(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        let mut find = |kind, status, place, violation| {
            findings.push(Finding::built_in(kind, status, place, violation));
        };
        let unserved = self.strays.iter().find(|attempt| attempt.claimed.action == "unserved");
        if let Some(attempt) = unserved {
            let claimed = attempt.claimed;
            find(
                BuiltIn::UnservedRequest,
                Status::Fail,
                Place::Scenario,
                Violation::Unserved {
                    attempt: claimed.attempt,
                    method: claimed.method.clone(),
                    path: claimed.path.clone(),
                    provider: claimed.provider,
                },
            );
        }
        let attempts =
            self.calls.iter().flat_map(|call| call.attempts.iter().map(|at| (call.id, at)));
        for (call, attempt) in attempts {
            if let Some(RuleHit { rule, beyond: true, .. }) = attempt.claimed.rule {
                let attempt = attempt.claimed.attempt;
                let violation = Violation::BeyondScript { call, attempt };
                find(BuiltIn::BeyondScript, Status::Fail, Place::Rule(rule), violation);
                break;
            }
        }
        if let Application::Command(end) = self.evidence.application
            && !self.expects_outcome()
            && !matches!(end.exit, Exit::Code(0) | Exit::OverTime)
        {
            let violation = Violation::CommandFailed { exit: end.exit };
            find(BuiltIn::CommandFailed, Status::Fail, Place::Scenario, violation);
        }
        if self.is_over_time() {
            let limit = self.evidence.scenario.time_limit(self.is_command());
            find(BuiltIn::TimeLimit, Status::Fail, Place::Scenario, Violation::OverTime { limit });
        }
        if let Some((why, requests)) = self.evidence.lane_refusals {
            let violation = Violation::LaneRefused { why, requests };
            find(BuiltIn::LaneRefused, Status::Inconclusive, Place::Scenario, violation);
        }
        if self.attempts() == 0 {
            find(BuiltIn::NoRequest, Status::Inconclusive, Place::Scenario, Violation::NoRequest);
            return findings;
        }
        let hits = self.evidence.connection_limit_hits;
        if hits > 0 {
            let most = self.evidence.scenario.plan.limits.connections_max;
            let violation = Violation::ConnectionLimit { most, hits };
            let kind = BuiltIn::ConnectionLimit;
            find(kind, Status::Inconclusive, Place::Scenario, violation);
        }
        if self.evidence.journal_full {
            let entries = self.evidence.entries.len();
            let violation = Violation::JournalFull { entries };
            find(BuiltIn::JournalFull, Status::Inconclusive, Place::Scenario, violation);
        }
        let rules = self.evidence.scenario.plan.rules.iter().zip(self.evidence.rules);
        for (index, (rule, report)) in rules.enumerate() {
            let place = Place::Rule(index);
            if report.acted == 0 {
                let violation = Violation::RuleNeverActed { hits: report.hits };
                find(BuiltIn::RuleNeverActed, Status::Inconclusive, place, violation);
            } else if matches!(rule.act, Act::Script { .. }) && report.completed == 0 {
                let violation = Violation::ScriptUnfinished { acted: report.acted };
                find(BuiltIn::ScriptUnfinished, Status::Inconclusive, place, violation);
            }
        }
        for index in 0..self.evidence.scenario.plan.connections.len() {
            let acted = self
                .evidence
                .entries
                .iter()
                .any(|entry| matches!(entry, Entry::Connection(event) if event.rule == index));
            if !acted {
                let place = Place::Connection(index);
                let violation = Violation::RuleNeverActed { hits: 0 };
                find(BuiltIn::RuleNeverActed, Status::Inconclusive, place, violation);
            }
        }
        findings
    }

    fn expectation(&self, index: usize, expectation: &Expectation) -> Finding {
        let place = Place::Expectation(index);
        let evidence = self.evidence;
        let mut finding = match expectation {
            Expectation::Amplification(asked) => self.amplification(asked.at_most, place),
            Expectation::Attempts(asked) => self.attempts_per_call(*asked, place),
            Expectation::NotRetried(error) => house::not_retried(self.calls, &[*error], place),
            Expectation::Order(asked) => self.order(asked, place),
            Expectation::Outcome(asked) => {
                outcome::judge(*asked, self.calls, evidence.entries, evidence.application, place)
            }
            Expectation::Peak(asked) => self.peak(asked, place),
            Expectation::ServedBy(shares) => {
                let findings = shares.iter().map(|(provider, asked)| {
                    let served = self.served().filter(|(at, _)| asked.contains(*at));
                    let of = SharedThing::ServedBy(*provider);
                    share(
                        served.map(|(_, by)| by == *provider),
                        of,
                        *asked,
                        "served-elsewhere",
                        place,
                    )
                });
                merged("served-elsewhere", place, findings)
            }
            Expectation::Success(asked) => {
                let outcomes = || self.outcomes().filter(|(at, _)| asked.contains(*at));
                let at_best = outcomes()
                    .map(|(_, seen)| !matches!(seen, SeenOutcome::Failure | SeenOutcome::Untrue));
                let at_worst = outcomes().map(|(_, seen)| seen == SeenOutcome::Success);
                let of = SharedThing::Success;
                let best = share(at_best, of, *asked, "calls-failed", place);
                let worst = share(at_worst, of, *asked, "calls-failed", place);
                // What is unknown decides nothing: only if it matters, the finding is open.
                if best.status == Status::Pass && worst.status == Status::Fail {
                    let code = "outcome-unknown";
                    Finding { code, status: Status::Inconclusive, ..worst }
                } else {
                    best
                }
            }
            Expectation::TotalAttempts(asked) => {
                let seen = self.attempts();
                let wrong = !within(seen, *asked);
                let violation = Violation::Attempts { call: None, seen, asked: *asked };
                let exercised = u64::from(seen > 0);
                Finding::of("wrong-attempts", place, exercised, some(wrong, violation))
            }
            Expectation::TotalTime(asked) => self.total_time(*asked, place),
            Expectation::Waits(crate::scenario::Waits::AtLeastRetryAfter) => {
                waits::at_least_retry_after(self.calls, evidence.precision, place)
            }
            Expectation::Waits(crate::scenario::Waits::Backoff(formula)) => {
                waits::backoff(self.calls, *formula, evidence.precision, place)
            }
        };
        self.weigh(&mut finding);
        if finding.exercised == 0 && finding.status == Status::Pass {
            finding.code = BuiltIn::NotExercised.name();
            finding.status = Status::Inconclusive;
            finding.violations = vec![Violation::NotExercised { what: what(expectation) }];
        }
        finding
    }

    /// A finding that rests on attempts which may be different calls' is no more than a suspicion.
    fn weigh(&self, finding: &mut Finding) {
        let certain = |violation: &Violation| match violation.call() {
            Some(id) => self.calls.iter().any(|call| call.id == id && call.is_certain(self.calls)),
            None => true,
        };
        if finding.status == Status::Fail && !finding.violations.iter().any(certain) {
            finding.status = Status::Inconclusive;
            finding.violations.push(Violation::Ambiguous);
        }
    }

    fn amplification(&self, at_most: Factor, place: Place) -> Finding {
        let (attempts, calls) = (self.attempts(), count(self.calls.len()));
        let too_many =
            u128::from(attempts) * 1_000 > u128::from(calls) * u128::from(at_most.millis);
        let violation = Violation::Amplified { attempts, calls, at_most };
        Finding::of("amplified", place, calls, some(too_many, violation))
    }

    fn attempts_per_call(&self, asked: Count, place: Place) -> Finding {
        let counts = self.calls.iter().map(|call| (call.id, count(call.attempts.len())));
        let wrong = counts.filter(|(_, seen)| !within(*seen, asked));
        let violations =
            wrong.map(|(call, seen)| Violation::Attempts { call: Some(call), seen, asked });
        let violations = violations.collect();
        Finding::of("wrong-attempts", place, count(self.calls.len()), violations)
    }

    /// The providers of each call, in the order in which they were first tried, against the order
    /// asked for. Only calls that tried more than the first of it show an order.
    fn order(&self, asked: &[ProviderName], place: Place) -> Finding {
        let mut exercised = 0;
        let mut violations = Vec::new();
        for call in self.calls {
            let mut seen: Vec<ProviderName> = Vec::new();
            for attempt in &call.attempts {
                // Going back to a provider that was left is an order too.
                if seen.last() != Some(&attempt.claimed.provider) {
                    seen.push(attempt.claimed.provider);
                }
            }
            let first_only = seen.len() == 1 && seen.first() == asked.first();
            exercised += u64::from(!first_only);
            if !asked.starts_with(&seen) {
                let asked = asked.to_vec();
                violations.push(Violation::Order { call: call.id, seen, asked });
            }
        }
        Finding::of("wrong-order", place, exercised, violations)
    }

    fn peak(&self, asked: &Peak, place: Place) -> Finding {
        let times: Vec<Duration> =
            self.all().map(|attempt| self.since_start(attempt.claimed.first_byte_at)).collect();
        let second = Duration::from_secs(1);
        let span = times.last().copied().unwrap_or_default().max(second);
        let mean = f64::from(u32::try_from(times.len()).unwrap_or(u32::MAX)) / span.as_secs_f64();
        let end = asked.from.0 + asked.r#for.0;
        let inside: Vec<Duration> =
            times.iter().copied().filter(|&at| asked.from.0 <= at && at < end).collect();
        // A busiest second begins with an attempt; the end of it only moves on.
        let mut busiest = (asked.from.0, 0);
        let mut until = 0;
        for (first, &start) in inside.iter().enumerate() {
            while inside.get(until).is_some_and(|&at| at < start + second) {
                until += 1;
            }
            if count(until - first) > busiest.1 {
                busiest = (start, count(until - first));
            }
        }
        let (at, seen) = busiest;
        let allowed = mean * asked.at_most.0.value();
        // Exact below 2⁵³, and no run has as many attempts in a second.
        let too_busy = f64::from(u32::try_from(seen).unwrap_or(u32::MAX)) > allowed;
        let mean_millis = Duration::from_secs_f64(mean / 1_000.0).as_micros();
        let mean_millis = u64::try_from(mean_millis).unwrap_or(u64::MAX);
        let violation = Violation::Peak { at, seen, mean_millis, asked: asked.at_most };
        Finding::of("stampede", place, seen, some(too_busy, violation))
    }

    fn total_time(&self, asked: Bounds, place: Place) -> Finding {
        let seen = self.elapsed();
        let slack = self.evidence.precision.slack;
        let short =
            asked.at_least.is_some_and(|least| seen + self.evidence.precision.error < least.0);
        let long = asked.at_most.is_some_and(|most| seen > most.0 + slack);
        let violation = Violation::Time { seen, asked, slack };
        let exercised = u64::from(self.attempts() > 0);
        let mut finding =
            Finding::of("wrong-time", place, exercised, some(short || long, violation));
        if long && !short && self.evidence.precision.starved {
            finding.code = BuiltIn::Starved.name();
            finding.status = Status::Inconclusive;
            finding.violations.push(Violation::Starved { slack });
        }
        finding
    }

    /// When each served call began, and who served it.
    fn served(&self) -> impl Iterator<Item = (Duration, ProviderName)> {
        let answered = self.calls.iter().filter(|call| call.last().is_answered());
        answered.map(|call| (self.since_start(call.began_at()), call.last().claimed.provider))
    }

    /// When each call began, and what it came to; the application's word goes before ours.
    fn outcomes(&self) -> impl Iterator<Item = (Duration, SeenOutcome)> {
        let posted = outcome::posted(self.evidence.entries);
        let posted = posted.into_iter().filter_map(|outcome| {
            let seen = if outcome.success { SeenOutcome::Success } else { SeenOutcome::Failure };
            Some((self.since_start(outcome.began?), seen))
        });
        let posted: Vec<_> = posted.collect();
        let seen = outcome::of_calls(self.calls, self.evidence.entries, self.evidence.application);
        let ours =
            self.calls.iter().map(|call| (self.since_start(call.began_at()), seen[&call.id]));
        let all: Vec<_> = if posted.is_empty() { ours.collect() } else { posted };
        all.into_iter()
    }

    fn all(&self) -> impl Iterator<Item = &Attempt<'_>> {
        let mut attempts: Vec<&Attempt<'_>> =
            self.calls.iter().flat_map(|call| &call.attempts).chain(self.strays).collect();
        attempts.sort_by_key(|attempt| attempt.claimed.attempt);
        attempts.into_iter()
    }

    fn attempts(&self) -> u64 {
        count(self.calls.iter().map(|call| call.attempts.len()).sum::<usize>() + self.strays.len())
    }

    /// A time as the scenario counts it: from the first request.
    fn since_start(&self, at: u64) -> Duration {
        let first = self.evidence.entries.iter().find_map(|entry| match entry {
            Entry::Claimed(claimed) => Some(claimed.at),
            _ => None,
        });
        Duration::from_nanos(at.saturating_sub(first.unwrap_or(0)))
    }

    fn elapsed(&self) -> Duration {
        let ends = self.evidence.entries.iter().map(|entry| match entry {
            Entry::Claimed(claimed) => claimed.at,
            Entry::Ended(ended) => ended.at,
            Entry::Outcome(outcome) => outcome.at,
            Entry::Connection(event) => event.at,
        });
        self.since_start(ends.max().unwrap_or(0))
    }

    fn expects_outcome(&self) -> bool {
        let expectations = self.evidence.scenario.document.expect.iter().flatten();
        expectations.into_iter().any(|expectation| matches!(expectation, Expectation::Outcome(_)))
    }

    fn is_command(&self) -> bool {
        matches!(self.evidence.application, Application::Command(_))
    }

    fn is_over_time(&self) -> bool {
        match self.evidence.application {
            Application::BuiltIn { over_time } => *over_time,
            Application::Command(end) => end.exit == Exit::OverTime,
            Application::Unseen => false,
        }
    }
}

/// What an expectation would have needed to be judged.
fn what(expectation: &Expectation) -> &'static str {
    match expectation {
        Expectation::Amplification(_)
        | Expectation::Attempts(_)
        | Expectation::Outcome(_)
        | Expectation::TotalAttempts(_)
        | Expectation::TotalTime(_) => "no call was made",
        Expectation::NotRetried(_) => "no call met this error",
        Expectation::Order(_) => "no call went beyond its first provider",
        Expectation::Peak(_) => "no request came in this window",
        Expectation::ServedBy(_) => "no call that began in this window was served",
        Expectation::Success(_) => "no call began in this window",
        Expectation::Waits(crate::scenario::Waits::AtLeastRetryAfter) => {
            "no call came back after a Retry-After"
        }
        Expectation::Waits(crate::scenario::Waits::Backoff(_)) => {
            "no call came back without having been told when"
        }
    }
}

/// The finding about a share.
fn share(
    hits: impl Iterator<Item = bool>,
    of: SharedThing,
    asked: ShareIn,
    code: &'static str,
    place: Place,
) -> Finding {
    let (seen, all) =
        hits.fold((0_u64, 0_u64), |(seen, all), hit| (seen + u64::from(hit), all + 1));
    let too_few = u128::from(seen) * 1_000_000 < u128::from(all) * u128::from(asked.at_least.ppm);
    Finding::of(code, place, all, some(too_few, Violation::Share { of, seen, all, asked }))
}

/// One finding for several claims of one expectation; it is exercised as often as its least one.
fn merged(code: &'static str, place: Place, findings: impl Iterator<Item = Finding>) -> Finding {
    let mut exercised = None;
    let mut violations = Vec::new();
    for finding in findings {
        exercised = Some(exercised.unwrap_or(u64::MAX).min(finding.exercised));
        violations.extend(finding.violations);
    }
    Finding::of(code, place, exercised.unwrap_or(0), violations)
}

fn within(seen: u64, asked: Count) -> bool {
    asked.exactly.is_none_or(|exactly| seen == exactly)
        && asked.at_least.is_none_or(|least| least <= seen)
        && asked.at_most.is_none_or(|most| seen <= most)
}

fn some(wrong: bool, violation: Violation) -> Vec<Violation> {
    if wrong { vec![violation] } else { Vec::new() }
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
