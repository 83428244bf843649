//! Gemini's list of models.

use base64::Engine as _;
use serde_json::{Map, Value, json};

use super::{JSON, Target, headers};
use crate::{
    dialect::{Exchange, Reply, indented},
    models,
};

/// The list, a page at a time, or the one model that is asked for.
pub(super) fn reply(exchange: &Exchange<'_>) -> Reply {
    let target = exchange.request.headers.target();
    let body = match Target::read(target).model {
        "" => page(target),
        name => {
            let known = MODELS.iter().find(|model| model.name == name);
            known.map_or_else(|| entry(name, &UNLISTED), |model| entry(model.name, model))
        }
    };
    Reply::whole(200, headers(JSON), indented(&body, b"  ") + "\n")
}

/// A part of the list, as the query asks for it; only if there is more does it say where.
fn page(target: &str) -> Value {
    let query = target.split_once('?').map_or("", |(_, query)| query);
    let given = |names: [&str; 2]| {
        let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.find(|(name, _)| names.contains(name)).map(|(_, value)| value)
    };
    let size = given(["pageSize", "page_size"]).and_then(|size| size.parse::<usize>().ok());
    let size = size.filter(|size| *size > 0).unwrap_or(50);
    let token = given(["pageToken", "page_token"]).unwrap_or_default().replace("%3D", "=");
    let first = MODELS.iter().position(|model| page_token(model.name) == token).unwrap_or(0);
    let end = first.saturating_add(size).min(MODELS.len());
    let shown: Vec<Value> =
        MODELS[first..end].iter().map(|model| entry(model.name, model)).collect();
    let mut page = json!({ "models": shown });
    if let Some(next) = MODELS.get(end) {
        page["nextPageToken"] = json!(page_token(next.name));
    }
    page
}

/// Where a page begins. Recorded: the name of its first model, as the first field of a protocol
/// buffer, in base 64.
fn page_token(name: &str) -> String {
    let name = format!("models/{name}");
    let length = u8::try_from(name.len()).unwrap_or(u8::MAX);
    let bytes: Vec<u8> = [0x0a, length].into_iter().chain(name.bytes()).collect();
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

fn entry(name: &str, model: &Model) -> Value {
    let facts = models::facts(name);
    let mut entry = Map::new();
    let mut put = |name: &str, value: Value| {
        entry.insert(name.to_owned(), value);
    };
    put("name", json!(format!("models/{name}")));
    put("version", json!(model.version));
    put("displayName", json!(if model.title.is_empty() { name } else { model.title }));
    put("description", json!(model.about));
    put("inputTokenLimit", json!(facts.map_or(1_048_576, |facts| facts.context_window)));
    let embeds = model.kind == Kind::Embeds;
    let output = facts.and_then(|facts| facts.max_output_tokens);
    put("outputTokenLimit", json!(if embeds { 1 } else { output.unwrap_or(65_536) }));
    if embeds {
        let methods = ["embedContent", "countTextTokens", "countTokens"];
        put("supportedGenerationMethods", json!(methods));
        return Value::Object(entry);
    }
    let methods = ["generateContent", "countTokens", "createCachedContent", "batchGenerateContent"];
    put("supportedGenerationMethods", json!(methods));
    put("temperature", json!(1));
    put("topP", json!(0.95));
    put("topK", json!(if model.kind == Kind::Thinks { 64 } else { 40 }));
    put("maxTemperature", json!(2));
    if model.kind == Kind::Thinks {
        put("thinking", json!(true));
    }
    Value::Object(entry)
}

/// What is told of a model, beyond its limits.
struct Model {
    name: &'static str,
    version: &'static str,
    title: &'static str,
    about: &'static str,
    kind: Kind,
}

/// What a model does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Embeds,
    Thinks,
    Writes,
}

/// A model that a scenario speaks of, and the list does not.
static UNLISTED: Model = Model {
    name: "",
    version: "001",
    title: "",
    about: "A model of the scenario.",
    kind: Kind::Thinks,
};

/// The first two as recorded by posit-dev/chatlas on 31 December 2025.
static MODELS: [Model; 8] = [
    Model {
        name: "gemini-2.5-flash",
        version: "001",
        title: "Gemini 2.5 Flash",
        about: "Stable version of Gemini 2.5 Flash, our mid-size multimodal model that supports up \
                to 1 million tokens, released in June of 2025.",
        kind: Kind::Thinks,
    },
    Model {
        name: "gemini-2.5-pro",
        version: "2.5",
        title: "Gemini 2.5 Pro",
        about: "Stable release (June 17th, 2025) of Gemini 2.5 Pro",
        kind: Kind::Thinks,
    },
    Model {
        name: "gemini-2.0-flash",
        version: "2.0",
        title: "Gemini 2.0 Flash",
        about: "Gemini 2.0 Flash",
        kind: Kind::Writes,
    },
    Model {
        name: "gemini-2.5-flash-lite",
        version: "001",
        title: "Gemini 2.5 Flash-Lite",
        about: "Stable version of Gemini 2.5 Flash-Lite, released in July of 2025",
        kind: Kind::Thinks,
    },
    Model {
        name: "gemini-3-pro-preview",
        version: "3-pro-preview-11-2025",
        title: "Gemini 3 Pro Preview",
        about: "Gemini 3 Pro Preview",
        kind: Kind::Thinks,
    },
    Model {
        name: "gemini-3-flash-preview",
        version: "3-flash-preview-12-2025",
        title: "Gemini 3 Flash Preview",
        about: "Gemini 3 Flash Preview",
        kind: Kind::Thinks,
    },
    Model {
        name: "gemini-3.5-flash",
        version: "001",
        title: "Gemini 3.5 Flash",
        about: "Gemini 3.5 Flash",
        kind: Kind::Thinks,
    },
    Model {
        name: "gemini-embedding-001",
        version: "001",
        title: "Gemini Embedding 001",
        about: "Obtain a distributed representation of a text.",
        kind: Kind::Embeds,
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_token_is_as_recorded() {
        let recorded = "Ch9tb2RlbHMvdmVvLTMuMS1nZW5lcmF0ZS1wcmV2aWV3";
        assert_eq!(page_token("veo-3.1-generate-preview"), recorded);
    }
}
