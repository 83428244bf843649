//! What is recommended, for programs; `brownout.tune/1`.
//!
//! The same advice gives the same bytes; finalists are named by their places, and what is no finite number is `null`.

use std::io;

use serde_json::{Map, Value, json};

use super::{clients::exports, policy::code};
use crate::{
    lab::{
        metric::Better,
        results::CONFIDENCE,
        statistics::Summary,
        tune::{Advice, Bound, Finalist},
    },
    report::bench::number::unit_name,
};

/// The name and version of the format; a change that breaks a reader changes it.
const SCHEMA: &str = "brownout.tune/1";

/// Writes everything that was found out about a strategy of this name.
pub fn write(advice: &Advice, name: &str, out: &mut dyn io::Write) -> io::Result<()> {
    let constraints = advice.constraints.iter().map(|constraint| {
        let side = match constraint.side {
            Bound::AtLeast => "at-least",
            Bound::AtMost => "at-most",
        };
        json!({
            "metric": constraint.metric.name(),
            "unit": unit_name(constraint.metric.unit()),
            (side): constraint.bound,
        })
    });
    let better = match advice.goal.better {
        Better::High => "high",
        Better::Low => "low",
    };
    let strategy = &advice.settings().strategy;
    let clients =
        exports(strategy).map(|export| (export.client.to_owned(), Value::from(export.code)));
    let whole = json!({
        "schema": SCHEMA,
        "brownout": env!("CARGO_PKG_VERSION"),
        "seed": format!("{:#x}", advice.seed),
        "strategy": name,
        "worlds": advice.worlds,
        "confidence": CONFIDENCE,
        "runs": advice.runs,
        "runs-in-all": advice.spent,
        "candidates": advice.candidates,
        "contradictory": advice.contradictory,
        "constraints": constraints.collect::<Vec<Value>>(),
        "goal": {
            "metric": advice.goal.metric.name(),
            "unit": unit_name(advice.goal.metric.unit()),
            "better": better,
        },
        "finalists": advice
            .finalists
            .iter()
            .map(|one| finalist(advice, one))
            .collect::<Vec<Value>>(),
        "front": advice.front,
        "recommended": advice.recommended,
        "nearest": advice.nearest,
        "runner-up": advice.runner_up,
        "binding": advice.binding,
        "settings": {
            "strategies": advice.file(&format!("{name}-tuned")),
            "resilience-core": code(strategy),
            "clients": clients.into_iter().collect::<Map<String, Value>>(),
        },
    });
    serde_json::to_writer(&mut *out, &whole)?;
    writeln!(out)
}

fn finalist(advice: &Advice, finalist: &Finalist) -> Value {
    let changes = finalist.changes.iter().map(|(path, value)| (path.clone(), value.clone().into()));
    let claims = finalist.claims.iter().enumerate().map(|(index, claims)| {
        let each = advice.worlds.iter().zip(claims).filter_map(|(world, claim)| {
            let claim = claim.as_ref()?;
            let shown = claim.summary.as_ref().map(summary);
            Some(json!({ "world": world, "shown": shown, "standing": claim.standing.name() }))
        });
        let each: Vec<Value> = each.collect();
        json!({ "standing": finalist.standing(index).name(), "worlds": each })
    });
    json!({
        "changes": changes.collect::<Map<String, Value>>(),
        "strategy": finalist.strategy,
        "goal": finalist.goal.as_ref().map(summary),
        "constraints": claims.collect::<Vec<Value>>(),
    })
}

fn summary(summary: &Summary) -> Value {
    json!({
        "n": summary.count,
        "mean": summary.mean,
        "sd": summary.deviation,
        "half-width": summary.half_width(CONFIDENCE),
    })
}
