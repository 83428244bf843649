//! The list of models.

use serde_json::{Value, json};

use super::pretty;
use crate::{dialect::ReplyBody, models};

/// All models, or the one that is asked for.
pub(super) fn body(model: &str) -> ReplyBody {
    if model.is_empty() {
        let models: Vec<Value> = MODELS.iter().map(|known| object(*known)).collect();
        return pretty(&json!({ "object": "list", "data": models }), "\n");
    }
    let listed = MODELS.iter().find(|(id, ..)| *id == model).copied();
    pretty(&object(listed.unwrap_or((model, 1_715_367_049, "system"))), "\n")
}

/// Whether there is a model of that name; a dated name is a model of its own.
pub(super) fn exists(model: &str) -> bool {
    MODELS.iter().any(|(id, ..)| *id == model) || models::facts(model).is_some()
}

fn object((id, created, owner): (&str, u64, &str)) -> Value {
    json!({ "id": id, "object": "model", "created": created, "owned_by": owner })
}

/// The models with the time of their making and their owner; the first four are recorded
/// (`crmne/ruby_llm`), of the others only the names are.
const MODELS: &[(&str, u64, &str)] = &[
    ("text-embedding-ada-002", 1_671_217_299, "openai-internal"),
    ("whisper-1", 1_677_532_384, "openai-internal"),
    ("gpt-3.5-turbo", 1_677_610_602, "openai"),
    ("tts-1", 1_681_940_951, "openai-internal"),
    ("gpt-4", 1_687_882_411, "openai"),
    ("davinci-002", 1_692_634_301, "system"),
    ("babbage-002", 1_692_634_615, "system"),
    ("gpt-3.5-turbo-instruct", 1_692_901_427, "system"),
    ("text-embedding-3-small", 1_705_948_997, "system"),
    ("text-embedding-3-large", 1_705_953_180, "system"),
    ("gpt-4-turbo", 1_712_361_441, "system"),
    ("gpt-4o", 1_715_367_049, "system"),
    ("gpt-4o-mini", 1_721_172_741, "system"),
    ("o1", 1_734_375_816, "system"),
    ("o3-mini", 1_737_146_383, "system"),
    ("gpt-4.1", 1_744_316_542, "system"),
    ("gpt-4.1-mini", 1_744_318_173, "system"),
    ("gpt-4.1-nano", 1_744_321_707, "system"),
    ("o3", 1_744_225_308, "system"),
    ("o4-mini", 1_744_225_351, "system"),
    ("gpt-5", 1_754_425_777, "system"),
    ("gpt-5-mini", 1_754_425_928, "system"),
    ("gpt-5-nano", 1_754_426_384, "system"),
    ("gpt-5.1", 1_762_800_673, "system"),
    ("gpt-5.2", 1_765_313_051, "system"),
    ("gpt-5.4", 1_772_654_062, "system"),
];
