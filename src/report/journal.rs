//! The journal as a file: JSON Lines, `brownout.journal/1`.
//!
//! Each scenario begins with a line that holds all of its text, so that the file can be judged
//! again without anything else.

use std::io;

use serde_json::json;

use super::SuiteReport;
use crate::verdict::{Application, Exit};

/// Writes the journals of a suite.
pub fn write(report: &SuiteReport, out: &mut dyn io::Write) -> io::Result<()> {
    let mut line = |value: &serde_json::Value| {
        serde_json::to_writer(&mut *out, value)?;
        out.write_all(b"\n")
    };
    let seed = format!("{:#x}", report.seed);
    line(&json!({
        "journal": "brownout.journal/1", "brownout": env!("CARGO_PKG_VERSION"), "seed": seed,
    }))?;
    for scenario in &report.scenarios {
        let Some((record, _)) = &scenario.judged else { continue };
        line(&json!({
            "entry": "scenario",
            "id": scenario.scenario.id,
            "file": scenario.scenario.source.name(),
            "lane": record.lane,
            "seed": format!("{:#x}", record.seed),
            "text": scenario.scenario.source.text(),
        }))?;
        for entry in &record.entries {
            line(&serde_json::to_value(entry)?)?;
        }
        let (who, exit) = match &record.application {
            Application::BuiltIn { over_time } => {
                ("built-in", over_time.then(|| json!("over-time")))
            }
            Application::Command(end) => (
                "command",
                Some(match end.exit {
                    Exit::Code(code) => json!({ "code": code }),
                    Exit::OverTime => json!("over-time"),
                    Exit::Signal(signal) => json!({ "signal": signal }),
                }),
            ),
            Application::Unseen => ("unseen", None),
        };
        let marks: Vec<_> = match &record.application {
            Application::Command(end) => end
                .marks
                .iter()
                .map(|count| json!({ "mark": count.mark, "begins": count.begins, "ends": count.ends }))
                .collect(),
            Application::BuiltIn { .. } | Application::Unseen => Vec::new(),
        };
        let nanos = |span: std::time::Duration| u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        line(&json!({
            "entry": "over",
            "application": who,
            "exit": exit,
            "marks": marks,
            "journal-full": record.journal_full,
            "connection-limit-hits": record.connection_limit_hits,
            "lane-refusals": record.lane_refusals.map(|(why, requests)| {
                json!({ "why": why, "requests": requests })
            }),
            "error-ns": nanos(record.precision.error),
            "slack-ns": nanos(record.precision.slack),
            "starved": record.precision.starved,
        }))?;
    }
    Ok(())
}
