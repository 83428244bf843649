//! The report that a person reads.

use std::{io, ops::Range, time::Duration};

use mock_server::{identity::Evidence, journal::EndKind};

use super::{
    ScenarioReport, SuiteReport,
    words::{counted, finding as in_words, seconds, spent, status, times},
};
use crate::{
    harness::Mode,
    scenario::{Scenario, Source},
    verdict::{Attempt, Call, Finding, Place, Status, Verdict, Violation, calls},
};

/// Writes a report as a run goes on.
#[derive(Debug)]
pub struct Terminal<'a> {
    /// The width of the scenario column.
    width: usize,
    /// What to write behind `--` to replay.
    command: &'a [String],
}

/// How many attempts of a call are shown.
const ATTEMPTS_MAX: usize = 12;

/// How many calls of a finding are shown.
const CALLS_MAX: usize = 2;

impl<'a> Terminal<'a> {
    /// A report on these scenarios.
    pub fn new<'s>(ids: impl Iterator<Item = &'s str>, command: &'a [String]) -> Self {
        let longest = ids.map(str::len).max().unwrap_or(0);
        Self { width: longest.clamp(20, 60), command }
    }

    /// The line before anything runs: version, seed, what is played.
    pub fn begin(
        &self,
        scenarios: usize,
        seed: u64,
        mode: &Mode,
        out: &mut dyn io::Write,
    ) -> io::Result<()> {
        let scenarios = counted(u64::try_from(scenarios).unwrap_or(u64::MAX), "scenario");
        let how = match mode {
            Mode::BuiltInVirtual => "virtual time, in memory",
            Mode::BuiltInRealTime | Mode::Command(_) => "real time, http/1.1",
        };
        writeln!(
            out,
            "brownout {}  seed {seed:#x}  {scenarios}  {how}\n",
            env!("CARGO_PKG_VERSION")
        )
    }

    /// The line of a scenario that has ended.
    pub fn line(&self, report: &ScenarioReport, out: &mut dyn io::Write) -> io::Result<()> {
        let (style, reset) = colour(report.status());
        let state = status(report.status());
        let id = report.title();
        write!(out, "  {style}{state}{reset}  {id:<width$}", width = self.width)?;
        let Some((_, verdict)) = &report.judged else {
            return writeln!(out, "  it judges the built-in client's own settings");
        };
        let attempts = counted(verdict.attempts, "attempt") + ",";
        let calls = counted(verdict.calls, "call");
        write!(out, "  {attempts:<15} {calls:<10} {:>8}", seconds(verdict.elapsed))?;
        let codes: Vec<&str> = bad(verdict).map(|finding| finding.code).collect();
        if codes.is_empty() {
            writeln!(out)
        } else {
            writeln!(out, "   {}", unique(codes).join(", "))
        }
    }

    /// The evidence for everything that did not hold, and the sum.
    pub fn end(&self, report: &SuiteReport, out: &mut dyn io::Write) -> io::Result<()> {
        for scenario in &report.scenarios {
            if let Some((record, verdict)) = &scenario.judged {
                let calls = calls(&record.entries).0;
                for finding in bad(verdict) {
                    self.finding(scenario, verdict, finding, &calls, out)?;
                }
            }
        }
        let summary = report.summary();
        let parts = [
            (summary.failed, "failed"),
            (summary.inconclusive, "inconclusive"),
            (summary.passed, "passed"),
            (summary.skipped, "not applicable"),
        ];
        let parts = parts.into_iter().filter(|(count, _)| *count > 0);
        let parts: Vec<String> = parts.map(|(count, what)| format!("{count} {what}")).collect();
        write!(out, "\n{} in {}", parts.join(", "), seconds(report.took))?;
        let played: Duration = report
            .scenarios
            .iter()
            .filter_map(|scenario| scenario.judged.as_ref())
            .map(|(_, verdict)| verdict.elapsed)
            .sum();
        if matches!(report.mode, Mode::BuiltInVirtual) {
            write!(out, " ({} of virtual time)", seconds(played))?;
        }
        writeln!(out)?;
        let spending = report.spending();
        if !spending.is_nothing() {
            writeln!(out, "{}", spent(&spending))?;
        }
        let mut told = None;
        for scenario in &report.scenarios {
            // One line replays all lanes of a scenario.
            if let Some((record, verdict)) = &scenario.judged
                && verdict.status() != Status::Pass
                && told.replace(scenario.scenario.source.name())
                    != Some(scenario.scenario.source.name())
            {
                self.replay(&scenario.scenario, record.seed, report, out)?;
            }
        }
        Ok(())
    }

    /// One finding: where it is claimed, what was seen, and what still holds.
    fn finding(
        &self,
        report: &ScenarioReport,
        verdict: &Verdict,
        finding: &Finding,
        calls: &[Call<'_>],
        out: &mut dyn io::Write,
    ) -> io::Result<()> {
        let (style, reset) = colour(Some(finding.status));
        let state = status(Some(finding.status));
        let width = (self.width + 30).saturating_sub(state.len());
        let (id, scenario) = (report.title(), &report.scenario);
        writeln!(out, "\n{style}{state} {id:<width$} {}{reset}", finding.code)?;
        let place = match finding.place {
            Place::Connection(index) => scenario.connection_place(index),
            Place::Expectation(index) => scenario.expectation_place(index),
            Place::House | Place::Scenario => scenario.name_place(),
            Place::Rule(index) => scenario.rule_place(index),
        };
        let house = if finding.place == Place::House { "house rule: " } else { "" };
        excerpt(
            &scenario.source,
            place,
            &printable(&format!("{house}{}", in_words(finding))),
            out,
        )?;
        let concerned_ids: Vec<u64> =
            finding.violations.iter().filter_map(Violation::call).collect();
        let concerned = calls.iter().filter(|call| concerned_ids.contains(&call.id));
        let concerned: Vec<&Call<'_>> = concerned.collect();
        let origin = calls.iter().map(Call::began_at).min().unwrap_or(0);
        for call in concerned.iter().take(CALLS_MAX) {
            show(call, origin, out)?;
        }
        if concerned.len() > CALLS_MAX {
            writeln!(out, "     … and {} more calls", concerned.len() - CALLS_MAX)?;
        }
        let holds: Vec<String> = verdict
            .findings
            .iter()
            .filter(|other| other.status == Status::Pass)
            .map(|other| format!("{} ({})", claim(scenario, other), times(other.exercised)))
            .collect();
        if !holds.is_empty() {
            writeln!(out, "   = still holds: {}", holds.join(", "))?;
        }
        Ok(())
    }

    /// The one line that plays a scenario again.
    fn replay(
        &self,
        scenario: &Scenario,
        seed: u64,
        report: &SuiteReport,
        out: &mut dyn io::Write,
    ) -> io::Result<()> {
        let real = if matches!(report.mode, Mode::BuiltInRealTime) { " --real-time" } else { "" };
        let command = if self.command.is_empty() {
            String::new()
        } else {
            let words = self.command.iter().map(|word| quoted(word));
            format!(" -- {}", words.collect::<Vec<_>>().join(" "))
        };
        let file = quoted(&printable(scenario.source.name()));
        writeln!(out, "replay: brownout run {file} --seed {seed:#x}{real}{command}")
    }
}

/// The findings that count against a scenario.
fn bad(verdict: &Verdict) -> impl Iterator<Item = &Finding> {
    verdict.findings.iter().filter(|finding| finding.status != Status::Pass && !finding.allowed)
}

/// The author's line, with the reason under it.
fn excerpt(
    source: &Source,
    place: Range<usize>,
    reason: &str,
    out: &mut dyn io::Write,
) -> io::Result<()> {
    let position = source.position(place.start);
    let line = source.line_at(place.start);
    let text = source.text().get(line.clone()).unwrap_or_default().trim_end();
    let number = position.line.to_string();
    let margin = " ".repeat(number.len());
    let file = printable(source.name());
    writeln!(out, "{margin} --> {file}:{}:{}", position.line, position.column)?;
    writeln!(out, "{margin} |")?;
    writeln!(out, "{number} | {}", printable(text))?;
    let before = " ".repeat(position.column.saturating_sub(1));
    let end = place.end.min(line.end);
    let marked =
        source.text().get(place.start..end).map_or(1, |text| text.trim_end().chars().count());
    writeln!(out, "{margin} | {before}{} {reason}", "^".repeat(marked.max(1)))
}

/// The attempts of a call, each with its time and fate.
fn show(call: &Call<'_>, origin: u64, out: &mut dyn io::Write) -> io::Result<()> {
    let count = u64::try_from(call.attempts.len()).unwrap_or(u64::MAX);
    let how = call.attempts.iter().filter_map(|attempt| attempt.claimed.evidence).max_by_key(
        |evidence| match evidence {
            Evidence::First => 0,
            Evidence::Header => 1,
            Evidence::RetryCount => 2,
            Evidence::Conversation => 3,
            Evidence::Ambiguous => 4,
        },
    );
    let how = match how {
        Some(Evidence::Header) => ", told apart by header",
        Some(Evidence::RetryCount) => ", told apart by the SDK's retry count",
        Some(Evidence::Conversation) => ", told apart by conversation",
        Some(Evidence::Ambiguous) => ", told apart by a conversation that several may share",
        Some(Evidence::First) | None => "",
    };
    writeln!(out, "   call {} ({}{how})", call.id, counted(count, "attempt"))?;
    let mut previous: Option<&Attempt<'_>> = None;
    for attempt in call.attempts.iter().take(ATTEMPTS_MAX) {
        let claimed = attempt.claimed;
        let at = match previous.and_then(|previous| previous.wait_until(attempt)) {
            Some(waited) => format!("+{}", seconds(waited)),
            None => seconds(Duration::from_nanos(claimed.first_byte_at.saturating_sub(origin))),
        };
        let status = attempt.ended.and_then(|ended| ended.status);
        let status = status.map_or_else(|| "---".to_owned(), |status| status.to_string());
        let end = match attempt.ended {
            None => " (under way at the end)".to_owned(),
            Some(ended) => match ended.end {
                EndKind::ClientLeft => {
                    let stayed = Duration::from_nanos(ended.at.saturating_sub(claimed.at));
                    format!(" (client left after {})", seconds(stayed))
                }
                EndKind::Closed => " (closed)".to_owned(),
                EndKind::Complete => String::new(),
                EndKind::Reset => " (reset)".to_owned(),
                EndKind::Stopped => " (run over)".to_owned(),
            },
        };
        let hint = claimed
            .retry_after
            .map(|(nanos, _)| format!(", retry after {}", seconds(Duration::from_nanos(nanos))));
        writeln!(
            out,
            "     #{:<3} {at:>10}  {:<9} {:<24} {status}  {}{}{end}",
            claimed.attempt,
            claimed.provider.name(),
            printable(&claimed.model),
            claimed.action,
            hint.unwrap_or_default(),
        )?;
        previous = Some(attempt);
    }
    if call.attempts.len() > ATTEMPTS_MAX {
        writeln!(out, "     … and {} more attempts", call.attempts.len() - ATTEMPTS_MAX)?;
    }
    Ok(())
}

/// What a finding is about, as the author would name it.
fn claim<'a>(scenario: &'a Scenario, finding: &Finding) -> &'a str {
    let expectations = scenario.document.expect.iter().flatten();
    match finding.place {
        Place::Expectation(index) => expectations
            .into_iter()
            .nth(index)
            .map_or(finding.code, |expectation| expectation.name()),
        Place::Connection(_) | Place::House | Place::Rule(_) | Place::Scenario => finding.code,
    }
}

fn unique(mut codes: Vec<&str>) -> Vec<&str> {
    codes.dedup();
    codes
}

/// A word as a shell reads it back.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// Text without anything that a terminal would act on.
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// The colour of a status, and its end; whoever writes to no terminal strips them.
fn colour(status: Option<Status>) -> (&'static str, &'static str) {
    match status {
        Some(Status::Fail) => ("\u{1b}[1;31m", "\u{1b}[0m"),
        Some(Status::Inconclusive) => ("\u{1b}[1;33m", "\u{1b}[0m"),
        Some(Status::Pass) => ("\u{1b}[32m", "\u{1b}[0m"),
        None => ("\u{1b}[2m", "\u{1b}[0m"),
    }
}
