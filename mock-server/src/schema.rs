//! A JSON value that satisfies a JSON schema: what a tool is called with, and structured output.
//!
//! It knows the keywords that providers accept
//! ([OpenAI](https://platform.openai.com/docs/guides/structured-outputs#supported-schemas),
//! [Gemini](https://ai.google.dev/gemini-api/docs/structured-output)) and the usual ones beside
//! them. A schema that contradicts itself, or says `not`, is answered as well as can be.

use std::{borrow::Cow, collections::HashSet};

use regex_syntax::hir::{Class, Hir, HirKind};
use serde_json::{Map, Number, Value, json};

/// How deep a value may nest by what is optional in its schema; schemas may refer to themselves.
const DEPTH_OPTIONAL: usize = 4;

/// How deep a value may nest at all.
const DEPTH_MAX: usize = 40;

/// The most items and letters that a schema can ask for.
const COUNT_MAX: usize = 1_000;

/// The most values that one schema can ask for.
const VALUES_MAX: usize = 10 * COUNT_MAX;

/// The most bytes of schemas, about, that are copied for one value.
const BYTES_MAX: usize = 4 << 20;

/// The longest pattern that is matched; each of its classes takes kilobytes.
const PATTERN_BYTES_MAX: usize = 1_000;

/// The keywords that make one schema of others.
const COMPOSING: [&str; 4] = ["$ref", "allOf", "anyOf", "oneOf"];

/// Writes values for one schema.
struct Writer<'a> {
    /// The whole schema, to which references point.
    root: &'a Value,
    /// Words for the next text, so that no two are the same.
    words: &'a mut dyn FnMut() -> String,
    /// What is left to do: a bound on the work that a hostile schema can ask for.
    effort: Effort,
}

/// How much may still be done for one value.
struct Effort {
    values: usize,
    bytes: usize,
}

/// One of so many values that satisfy a schema; `words` gives each free text.
pub(crate) fn value(schema: &Value, choices: u32, words: &mut dyn FnMut() -> String) -> Value {
    Writer { root: schema, words, effort: Effort::of(choices) }.value(schema, 0)
}

/// The first text of one of so many values that its schema leaves free, to be changed.
pub(crate) fn free_text<'a>(
    schema: &Value,
    choices: u32,
    value: &'a mut Value,
) -> Option<&'a mut String> {
    find_free(schema, schema, value, 0, &mut Effort::of(choices))
}

impl Effort {
    /// The effort that each of so many values is worth.
    fn of(choices: u32) -> Self {
        let share = usize::try_from(choices).unwrap_or(usize::MAX).clamp(1, 16);
        Self { values: VALUES_MAX / share, bytes: BYTES_MAX / share }
    }

    /// Whether so many bytes may still be copied; then they are.
    fn affords(&mut self, bytes: usize) -> bool {
        let left = self.bytes.checked_sub(bytes);
        self.bytes = left.unwrap_or(0);
        left.is_some()
    }

    /// A copy of a value, if there is room for it.
    fn copy(&mut self, value: &Value) -> Option<Value> {
        self.affords(weight(value)).then(|| value.clone())
    }

    fn is_spent(&self) -> bool {
        self.values == 0 || self.bytes == 0
    }
}

impl Writer<'_> {
    fn value(&mut self, schema: &Value, depth: usize) -> Value {
        if self.effort.is_spent() {
            return Value::Null;
        }
        // What is too deep is an effort too: there may be a thousand of it in each of ten thousand.
        self.effort.values -= 1;
        if depth > DEPTH_MAX {
            return Value::Null;
        }
        let schema = &resolved(self.root, schema, &mut self.effort);
        if let Some(constant) = schema.get("const") {
            return self.effort.copy(constant).unwrap_or_default();
        }
        if let Some(values) = schema.get("enum").and_then(Value::as_array) {
            let kind = kind(schema);
            // Some list null for a value that may be left out; it is the last choice.
            let fits = |value: &&Value| !value.is_null() && kind.is_none_or(|kind| is(value, kind));
            let chosen = values.iter().find(fits).or(values.first());
            return chosen.and_then(|chosen| self.effort.copy(chosen)).unwrap_or_default();
        }
        match kind(schema) {
            Some("array") => self.array(schema, depth),
            Some("boolean") => Value::Bool(true),
            Some("integer") => number(schema, true),
            Some("null") => Value::Null,
            Some("number") => number(schema, false),
            Some("object") => self.object(schema, depth),
            _ => self.text(schema),
        }
    }

    fn object(&mut self, schema: &Value, depth: usize) -> Value {
        let none = Map::new();
        let properties = schema.get("properties").and_then(Value::as_object).unwrap_or(&none);
        let required: Vec<&str> = texts(schema.get("required"));
        let is_required: HashSet<&str> = required.iter().copied().collect();
        let most = count(schema, "maxProperties").unwrap_or(COUNT_MAX).max(required.len());
        let mut fields = Map::new();
        for (name, property) in properties {
            if self.effort.is_spent() {
                break;
            }
            let needed = is_required.contains(name.as_str());
            let room = fields.len() + required.len() < most || needed;
            if needed || (depth < DEPTH_OPTIONAL && room) {
                fields.insert(name.clone(), self.value(property, depth + 1));
            }
        }
        let free = json!({ "type": "string" });
        let others = match schema.get("additionalProperties") {
            Some(others @ Value::Object(_)) => others,
            _ => &free,
        };
        for name in required.iter().filter(|name| !properties.contains_key(**name)) {
            if self.effort.is_spent() {
                break;
            }
            fields.insert((*name).to_owned(), self.value(others, depth + 1));
        }
        let least = count(schema, "minProperties").unwrap_or(0);
        let mut index = 1;
        while fields.len() < least && index <= COUNT_MAX {
            let name = format!("key{index}");
            if !fields.contains_key(&name) {
                fields.insert(name, self.value(others, depth + 1));
            }
            index += 1;
        }
        Value::Object(fields)
    }

    fn array(&mut self, schema: &Value, depth: usize) -> Value {
        let least = count(schema, "minItems").unwrap_or(0);
        let most = count(schema, "maxItems").unwrap_or(COUNT_MAX);
        let first = schema.get("prefixItems").and_then(Value::as_array);
        let first = first.map(Vec::as_slice).unwrap_or_default();
        let free = json!({ "type": "string" });
        let rest = match schema.get("items") {
            Some(Value::Bool(false)) => None,
            Some(items @ Value::Object(_)) => Some(items),
            _ => Some(&free),
        };
        let usual = usize::from(depth < DEPTH_OPTIONAL);
        let length = usual.max(first.len()).max(least).min(most);
        let mut is_set = schema.get("uniqueItems").and_then(Value::as_bool) == Some(true);
        let mut items: Vec<Value> = Vec::new();
        for index in 0..length {
            let Some(item) = first.get(index).or(rest) else { break };
            if self.effort.is_spent() {
                break;
            }
            let mut value = self.value(item, depth + 1);
            if is_set && items.contains(&value) {
                let item = resolved(self.root, item, &mut self.effort);
                match another(&item, &items, &mut self.effort) {
                    Some(other) => value = other,
                    // Where there is none, it need not be looked for again.
                    None => is_set = false,
                }
            }
            items.push(value);
        }
        Value::Array(items)
    }

    fn text(&mut self, schema: &Value) -> Value {
        let least = count(schema, "minLength").unwrap_or(0);
        let most = count(schema, "maxLength").unwrap_or(usize::MAX);
        let text = match (schema.get("pattern"), schema.get("format")) {
            (Some(Value::String(pattern)), _) if self.effort.affords(16 * pattern.len()) => {
                matching(pattern, least)
            }
            (_, Some(Value::String(format))) => formatted(format).map(str::to_owned),
            _ => None,
        };
        if let Some(text) = text {
            return Value::String(text);
        }
        let mut text = (self.words)();
        let mut length = text.chars().count();
        while length < least {
            text.push(' ');
            let more = (self.words)();
            text.push_str(&more);
            length = text.chars().count();
        }
        if length > most {
            text = text.chars().take(most).collect();
        }
        Value::String(text)
    }
}

/// A schema with its references followed and its parts made one.
///
/// What it takes too much effort to follow is left out.
fn resolved<'a>(root: &Value, schema: &'a Value, effort: &mut Effort) -> Cow<'a, Value> {
    if COMPOSING.iter().all(|key| schema.get(key).is_none()) {
        return Cow::Borrowed(schema);
    }
    let Some(mut whole) = effort.copy(schema) else { return Cow::Borrowed(schema) };
    // As many steps as a sensible schema needs; one that refers to itself ends here.
    for _ in 0..32 {
        let Value::Object(fields) = &mut whole else { break };
        if let Some(Value::String(reference)) = fields.shift_remove("$ref") {
            let found = reference.strip_prefix('#').and_then(|path| root.pointer(path));
            let found = found.and_then(|found| effort.copy(found));
            whole = merged(found.unwrap_or(Value::Bool(true)), whole);
            continue;
        }
        if let Some(Value::Array(parts)) = fields.shift_remove("allOf") {
            whole = parts.into_iter().fold(whole, merged);
            continue;
        }
        let choices = fields.shift_remove("anyOf").or_else(|| fields.shift_remove("oneOf"));
        if let Some(Value::Array(choices)) = choices {
            let is_null = |choice: &Value| kind(choice) == Some("null");
            let choice = choices.iter().find(|choice| !is_null(choice)).or(choices.first());
            whole = merged(choice.cloned().unwrap_or(Value::Bool(true)), whole);
            continue;
        }
        break;
    }
    Cow::Owned(whole)
}

/// Two schemas that must both be satisfied, as one.
fn merged(one: Value, other: Value) -> Value {
    let (mut one, other) = match (one, other) {
        (Value::Object(one), Value::Object(other)) => (one, other),
        (one, other) => return if one.is_object() { one } else { other },
    };
    for (key, value) in other {
        let kept = one.shift_remove(&key);
        let value = match (key.as_str(), kept, value) {
            ("properties", Some(Value::Object(mut kept)), Value::Object(new)) => {
                for (name, property) in new {
                    let both = match kept.shift_remove(&name) {
                        Some(known) => merged(known, property),
                        None => property,
                    };
                    kept.insert(name, both);
                }
                Value::Object(kept)
            }
            ("minimum" | "minLength" | "minItems" | "exclusiveMinimum", Some(kept), value) => {
                if kept.as_f64() > value.as_f64() {
                    kept
                } else {
                    value
                }
            }
            ("maximum" | "maxLength" | "maxItems" | "exclusiveMaximum", Some(kept), value) => {
                if kept.as_f64() < value.as_f64() {
                    kept
                } else {
                    value
                }
            }
            ("allOf" | "required", Some(Value::Array(mut kept)), Value::Array(new)) => {
                kept.extend(new);
                Value::Array(kept)
            }
            (_, _, value) => value,
        };
        one.insert(key, value);
    }
    Value::Object(one)
}

/// The kind of value that a schema asks for, in JSON Schema's words; Gemini writes them in capitals.
fn kind(schema: &Value) -> Option<&'static str> {
    const KINDS: [&str; 7] = ["array", "boolean", "integer", "null", "number", "object", "string"];
    let known = |name: &str| KINDS.into_iter().find(|kind| kind.eq_ignore_ascii_case(name));
    match schema.get("type") {
        Some(Value::String(name)) => known(name),
        Some(Value::Array(names)) => {
            let mut names = names.iter().filter_map(Value::as_str).filter_map(known);
            let first = names.clone().next();
            names.find(|name| *name != "null").or(first)
        }
        _ => {
            // A schema without a type is recognised by what else it says.
            let says = |keys: &[&str]| keys.iter().any(|key| schema.get(key).is_some());
            match () {
                () if says(&["properties", "required", "additionalProperties"]) => Some("object"),
                () if says(&["items", "prefixItems", "minItems"]) => Some("array"),
                () if says(&["minimum", "maximum", "multipleOf"]) => Some("number"),
                () => None,
            }
        }
    }
}

/// Whether a value is of a kind.
fn is(value: &Value, kind: &str) -> bool {
    match kind {
        "array" => value.is_array(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "null" => value.is_null(),
        "number" => value.is_number(),
        "object" => value.is_object(),
        _ => value.is_string(),
    }
}

/// A value for a set that holds the given ones.
fn another(schema: &Value, taken: &[Value], effort: &mut Effort) -> Option<Value> {
    let candidates: Vec<Value> = match (schema.get("enum"), kind(schema)) {
        (Some(Value::Array(values)), _) => {
            // Most likely they were taken in order.
            let ahead = values.iter().skip(taken.len()).chain(values).take(COUNT_MAX);
            let free = ahead.into_iter().find(|value| !taken.contains(value));
            return free.and_then(|free| effort.copy(free));
        }
        (_, Some("boolean")) => vec![json!(true), json!(false)],
        (_, Some("integer" | "number")) => {
            let first = number(schema, true).as_i64().unwrap_or(0);
            let step = schema.get("multipleOf").and_then(Value::as_i64).unwrap_or(1).max(1);
            let taken = i64::try_from(taken.len()).unwrap_or(0);
            let at = |index: i64| first.saturating_add(index.saturating_mul(step));
            (0..=taken).rev().map(|index| json!(at(index))).collect()
        }
        _ => return None,
    };
    candidates.into_iter().find(|value| !taken.contains(value))
}

/// A number within the bounds: the least one that is at hand.
fn number(schema: &Value, whole: bool) -> Value {
    let bound =
        |key: &str| schema.get(key).and_then(Value::as_f64).filter(|bound| bound.is_finite());
    let step = bound("multipleOf").filter(|step| *step > 0.0);
    // Draft 4 and OpenAPI write `exclusiveMinimum: true` beside `minimum`.
    let open = |key: &str| schema.get(key).and_then(Value::as_bool) == Some(true);
    let above =
        bound("exclusiveMinimum").or_else(|| bound("minimum").filter(|_| open("exclusiveMinimum")));
    let below =
        bound("exclusiveMaximum").or_else(|| bound("maximum").filter(|_| open("exclusiveMaximum")));
    let (least, most) = (bound("minimum"), bound("maximum"));
    let fits = |candidate: f64| {
        let on_grid = |step: f64| {
            let steps = candidate / step;
            (steps - libm::round(steps)).abs() < 1e-9
        };
        least.is_none_or(|least| candidate >= least)
            && most.is_none_or(|most| candidate <= most)
            && above.is_none_or(|above| candidate > above)
            && below.is_none_or(|below| candidate < below)
            && step.is_none_or(on_grid)
            && (!whole || is_whole(candidate))
    };
    let grid = step.unwrap_or(1.0);
    let low = least.or(above);
    let high = most.or(below);
    let middle = low.zip(high).map(|(low, high)| low + (high - low) / 2.0);
    let on_grid = |from: f64| libm::ceil(from / grid) * grid;
    let candidates = [
        Some(1.0),
        Some(0.0),
        low,
        low.map(on_grid),
        low.map(|low| on_grid(low) + grid),
        high,
        high.map(|high| libm::floor(high / grid) * grid),
        high.map(|high| libm::floor(high / grid) * grid - grid),
        middle,
    ];
    let chosen = candidates.into_iter().flatten().find(|candidate| fits(*candidate)).unwrap_or(1.0);
    // Whole numbers are written without a point, as models write them.
    let integer = format!("{chosen:.0}").parse::<i64>().ok().filter(|_| is_whole(chosen));
    integer
        .map_or_else(|| Number::from_f64(chosen).map_or(Value::from(1), Value::Number), Value::from)
}

/// Whether a number has no fraction.
#[expect(clippy::float_cmp, reason = "a whole number is its own floor, to the last bit")]
fn is_whole(number: f64) -> bool {
    libm::floor(number) == number
}

/// A text of a format of JSON Schema, or one that OpenAI knows.
fn formatted(format: &str) -> Option<&'static str> {
    Some(match format {
        "date" => "2026-01-02",
        "date-time" => "2026-01-02T03:04:05Z",
        "duration" => "P1DT2H",
        "email" => "ada@example.com",
        "hostname" => "example.com",
        "ipv4" => "192.0.2.1",
        "ipv6" => "2001:db8::1",
        "json-pointer" => "/a/0",
        "regex" => "^a+$",
        "time" => "03:04:05Z",
        "uri" | "iri" | "url" => "https://example.com/a",
        "uri-reference" | "iri-reference" => "/a",
        "uri-template" => "https://example.com/{a}",
        "uuid" => "0b5e8f3a-6f0c-4f1e-9d2a-3c4b5d6e7f80",
        _ => return None,
    })
}

/// A text that matches a regular expression, at least so long; none if it cannot be read.
fn matching(pattern: &str, least: usize) -> Option<String> {
    if pattern.len() > PATTERN_BYTES_MAX {
        return None;
    }
    let parsed = regex_syntax::ParserBuilder::new().nest_limit(50).build().parse(pattern).ok()?;
    let mut text = String::new();
    for repeat in [0, 1, 4, 16, 64] {
        text.clear();
        write_matching(&parsed, repeat, &mut text);
        if text.chars().count() >= least {
            break;
        }
    }
    Some(text)
}

fn write_matching(pattern: &Hir, repeat: u32, text: &mut String) {
    if text.len() > COUNT_MAX {
        return;
    }
    match pattern.kind() {
        HirKind::Empty | HirKind::Look(_) => {}
        HirKind::Literal(literal) => text.push_str(&String::from_utf8_lossy(&literal.0)),
        HirKind::Class(Class::Unicode(class)) => {
            // A letter if there is one: easier to read than the first of its range.
            let plain = ['a', 'A', '0', '1', '-', '_', '.', ' '];
            let within = |letter: &char| {
                class.ranges().iter().any(|range| (range.start()..=range.end()).contains(letter))
            };
            let first = class.ranges().first().map(regex_syntax::hir::ClassUnicodeRange::start);
            text.extend(plain.into_iter().find(within).or(first));
        }
        HirKind::Class(Class::Bytes(class)) => {
            text.extend(class.ranges().first().map(|range| char::from(range.start())));
        }
        HirKind::Repetition(repetition) => {
            let most = repetition.max.unwrap_or(u32::MAX);
            for _ in 0..repetition.min.max(repeat).min(most) {
                let before = text.len();
                write_matching(&repetition.sub, repeat, text);
                // What nothing matches, and what is long enough, is not repeated any further.
                if text.len() == before {
                    break;
                }
            }
        }
        HirKind::Capture(capture) => write_matching(&capture.sub, repeat, text),
        HirKind::Concat(parts) => {
            for part in parts {
                write_matching(part, repeat, text);
            }
        }
        HirKind::Alternation(choices) => {
            if let Some(first) = choices.first() {
                write_matching(first, repeat, text);
            }
        }
    }
}

/// About how many bytes a value takes.
fn weight(value: &Value) -> usize {
    let within: usize = match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(weight).sum(),
        Value::Object(fields) => fields.iter().map(|(name, it)| name.len() + weight(it)).sum(),
    };
    within + 16
}

/// A bound on how many, cut to what will be written.
fn count(schema: &Value, key: &str) -> Option<usize> {
    let count = schema.get(key)?.as_u64()?;
    Some(usize::try_from(count).unwrap_or(usize::MAX).min(COUNT_MAX))
}

fn texts(list: Option<&Value>) -> Vec<&str> {
    let list = list.and_then(Value::as_array).into_iter().flatten();
    list.filter_map(Value::as_str).collect()
}

fn find_free<'a>(
    root: &Value,
    schema: &Value,
    value: &'a mut Value,
    depth: usize,
    effort: &mut Effort,
) -> Option<&'a mut String> {
    if depth > DEPTH_MAX || effort.is_spent() {
        return None;
    }
    let schema = resolved(root, schema, effort);
    match value {
        Value::String(text) => {
            let bound = ["const", "enum", "format", "maxLength", "pattern"];
            bound.iter().all(|key| schema.get(key).is_none()).then_some(text)
        }
        Value::Array(items) => {
            let prefix = schema.get("prefixItems").and_then(Value::as_array);
            let rest = schema.get("items").unwrap_or(&Value::Null);
            let is_bound = schema.get("uniqueItems").is_some() || schema.get("const").is_some();
            let mut items = items.iter_mut().enumerate().filter(|_| !is_bound);
            items.find_map(|(index, item)| {
                let own = prefix.and_then(|prefix| prefix.get(index)).unwrap_or(rest);
                find_free(root, own, item, depth + 1, effort)
            })
        }
        Value::Object(fields) if schema.get("const").is_none() && schema.get("enum").is_none() => {
            let none = Value::Null;
            fields.iter_mut().find_map(|(name, field)| {
                let own = schema.get("properties").and_then(|properties| properties.get(name));
                let own = own.or_else(|| schema.get("additionalProperties")).unwrap_or(&none);
                find_free(root, own, field, depth + 1, effort)
            })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(schema: &Value) -> Value {
        let mut count = 0;
        value(schema, 1, &mut || {
            count += 1;
            format!("word {count}")
        })
    }

    #[track_caller]
    fn is_satisfied(schema: &Value) -> Value {
        let value = written(schema);
        let validator = jsonschema::options().should_validate_formats(true).build(schema).unwrap();
        let mistakes: Vec<String> =
            validator.iter_errors(&value).map(|mistake| mistake.to_string()).collect();
        assert!(mistakes.is_empty(), "{schema} by {value}: {mistakes:?}");
        value
    }

    #[test]
    fn what_is_written_satisfies_the_schema() {
        for schema in [
            json!({}),
            json!(true),
            json!({ "type": "string" }),
            json!({ "type": ["null", "integer"] }),
            json!({ "type": "string", "minLength": 40 }),
            json!({ "type": "string", "maxLength": 3 }),
            json!({ "enum": [null, "a", "b"] }),
            json!({ "const": { "a": 1 } }),
            json!({ "type": "integer", "minimum": 5 }),
            json!({ "type": "integer", "exclusiveMinimum": 5, "multipleOf": 4 }),
            json!({ "type": "integer", "maximum": -7 }),
            json!({ "type": "integer", "exclusiveMinimum": 1.5, "exclusiveMaximum": 2.5 }),
            json!({ "type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1 }),
            json!({ "type": "number", "minimum": 0.25, "maximum": 0.26 }),
            json!({ "type": "array", "items": { "type": "number" }, "minItems": 3 }),
            json!({ "type": "array", "items": { "enum": ["a", "b", "c"] }, "minItems": 3, "uniqueItems": true }),
            json!({ "type": "array", "items": { "type": "integer" }, "minItems": 4, "uniqueItems": true }),
            json!({ "prefixItems": [{ "type": "string" }, { "type": "integer" }], "items": false }),
            json!({
                "type": "object",
                "properties": {
                    "name": { "type": "string" },
                    "born": { "type": "string", "format": "date" },
                    "tags": { "type": "array", "items": { "type": "string", "pattern": "^[a-z]{3}-\\d+$" } },
                    "mood": { "type": ["string", "null"], "enum": ["good", "bad", null] },
                },
                "required": ["name", "born", "tags", "mood"],
                "additionalProperties": false,
            }),
            // As pydantic writes a tree, and a choice between two types.
            json!({
                "$defs": {
                    "Node": {
                        "type": "object",
                        "properties": {
                            "value": { "type": "integer" },
                            "children": { "type": "array", "items": { "$ref": "#/$defs/Node" } },
                        },
                        "required": ["value", "children"],
                    },
                },
                "$ref": "#/$defs/Node",
            }),
            json!({ "anyOf": [{ "type": "null" }, { "type": "string", "format": "uuid" }] }),
            json!({ "allOf": [{ "type": "integer", "minimum": 3 }, { "minimum": 9, "maximum": 12 }] }),
            json!({ "type": "object", "required": ["x"], "additionalProperties": { "type": "boolean" } }),
            json!({ "type": "object", "minProperties": 2 }),
            json!({
                "type": "object",
                "properties": { "a": { "type": "string" }, "b": { "type": "string" } },
                "required": ["b"], "maxProperties": 1,
            }),
        ] {
            is_satisfied(&schema);
        }
        for format in [
            "date",
            "date-time",
            "duration",
            "email",
            "hostname",
            "ipv4",
            "ipv6",
            "json-pointer",
            "regex",
            "time",
            "uri",
            "uri-reference",
            "uuid",
            "unheard-of",
        ] {
            is_satisfied(&json!({ "type": "string", "format": format }));
        }
        for pattern in [
            "^\\d{4}-\\d{2}$",
            "^(foo|bar)+$",
            "^[^a-z]{2,}$",
            "^\\w+@\\w+\\.com$",
            "[A-Z]{3}",
            "^.{5}$",
            "^#[0-9a-fA-F]{6}$",
        ] {
            is_satisfied(&json!({ "type": "string", "pattern": pattern }));
            is_satisfied(&json!({ "type": "string", "pattern": "^a*$", "minLength": 20 }));
        }
    }

    #[test]
    fn geminis_capitals_are_understood() {
        let schema = json!({
            "type": "OBJECT",
            "properties": { "n": { "type": "INTEGER" }, "s": { "type": "STRING", "nullable": true } },
        });
        assert_eq!(written(&schema), json!({ "n": 1, "s": "word 1" }));
    }

    #[test]
    fn the_first_free_text_is_found_and_bound_ones_are_not() {
        let schema = json!({
            "type": "object",
            "properties": {
                "kind": { "enum": ["a"] },
                "id": { "type": "string", "format": "uuid" },
                "items": { "type": "array", "items": { "$ref": "#/$defs/Item" } },
            },
            "$defs": { "Item": { "type": "object", "properties": { "title": { "type": "string" } } } },
        });
        let mut value = written(&schema);
        *free_text(&schema, 1, &mut value).unwrap() = "mine".to_owned();
        assert_eq!(value["items"][0]["title"], "mine");
        let bound = json!({ "type": "string", "pattern": "^a$" });
        assert_eq!(free_text(&bound, 1, &mut written(&bound)), None);
    }

    #[test]
    fn a_hostile_schema_is_answered_within_bounds() {
        let many = |length: usize| "x".repeat(length);
        let required: Vec<String> = (0..50_000).map(|index| format!("k{index}")).collect();
        let properties: Map<String, Value> =
            required.iter().map(|name| (name.clone(), json!({}))).collect();
        let parts: Vec<Value> =
            required[..5_000].iter().map(|name| json!({ "properties": { name: {} } })).collect();
        let branches = ["a", "b", "c", "d", "e", "f", "g", "h"];
        let tree: Map<String, Value> =
            branches.iter().map(|name| ((*name).to_owned(), json!({ "$ref": "#" }))).collect();
        for schema in [
            json!({ "type": "array", "minItems": 1_000, "items": { "const": many(1 << 20) } }),
            json!({ "type": "array", "minItems": 1_000, "items": { "enum": [many(1 << 20)] } }),
            json!({ "properties": tree, "required": branches, "$defs": many(1 << 18) }),
            json!({ "type": "array", "uniqueItems": true, "minItems": 1_000,
                "items": { "enum": (0..20_000).collect::<Vec<_>>() } }),
            json!({ "type": "array", "uniqueItems": true, "minItems": 1_000,
                "items": { "enum": vec![1; 100_000] } }),
            json!({ "type": "object", "properties": properties, "required": required }),
            json!({ "allOf": parts }),
            json!({ "pattern": "(?:[^\\s\\S]{4000000000}){4000000000}" }),
            json!({ "pattern": "(?:a{1000}){4000000000}" }),
            json!({ "pattern": "\\w".repeat(100_000) }),
        ] {
            let mut value = written(&schema);
            let _free = free_text(&schema, 1, &mut value);
            let length = value.to_string().len();
            assert!(length < 2 * BYTES_MAX, "{length} of {:.60}", schema.to_string());
        }
    }

    #[test]
    fn a_set_takes_its_items_one_after_the_other() {
        let set = |items: Value| json!({ "type": "array", "uniqueItems": true, "minItems": 3, "items": items });
        is_satisfied(&set(json!({ "enum": ["a", "b", "c"] })));
        is_satisfied(&set(json!({ "enum": [null, "b", "c"] })));
        is_satisfied(&set(json!({ "type": "integer", "multipleOf": 5 })));
    }

    /// Any schema, well-formed or not.
    fn schemas() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(json!({})),
            Just(json!(false)),
            "[a-z]{0,3}".prop_map(|name| json!({ "$ref": format!("#/$defs/{name}") })),
            Just(json!({ "$ref": "#" })),
            any::<i64>().prop_map(|n| json!({ "type": "integer", "minimum": n })),
            any::<f64>().prop_map(|n| json!({ "type": "number", "multipleOf": n })),
            any::<u64>().prop_map(|n| json!({ "type": "array", "minItems": n })),
            any::<u64>().prop_map(|n| json!({ "type": "object", "minProperties": n })),
            ".{0,12}".prop_map(|pattern| json!({ "type": "string", "pattern": pattern })),
            any::<u64>().prop_map(|n| json!({ "type": "string", "minLength": n })),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(|all| json!({ "allOf": all })),
                prop::collection::vec(inner.clone(), 0..4).prop_map(|any| json!({ "anyOf": any })),
                prop::collection::vec(inner.clone(), 0..4)
                    .prop_map(|first| json!({ "prefixItems": first })),
                inner
                    .clone()
                    .prop_map(|items| json!({ "type": "array", "items": items, "minItems": 2 })),
                prop::collection::btree_map("[a-c]", inner, 0..3)
                    .prop_map(|fields| json!({ "properties": fields, "required": ["a", "b"] })),
            ]
        })
    }

    #[test]
    fn lists_of_lists_without_an_end_are_cut() {
        let schema = json!({ "type": "array", "items": { "$ref": "#" }, "minItems": 809 });
        assert!(written(&schema).to_string().len() < 1_000_000);
    }

    proptest! {
        /// Whatever a client sends for a schema: an answer of bounded size, and no panic.
        #[test]
        fn any_schema_is_answered_within_bounds(schema in schemas()) {
            let mut value = written(&schema);
            let _free = free_text(&schema, 1, &mut value);
            prop_assert!(value.to_string().len() < 40_000_000);
        }

        /// Bounds that can be kept are kept.
        #[test]
        fn integers_keep_their_bounds(least in -1_000_i64..1_000, width in 0_i64..50, step in 1_i64..9) {
            let schema = json!({ "type": "integer", "minimum": least, "maximum": least + width + step, "multipleOf": step });
            is_satisfied(&schema);
        }
    }
}
