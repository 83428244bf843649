//! A JSON schema as the shapes that it asks for.
//!
//! It knows the schemas that are generated from our types, and no others: what it cannot tell is
//! [`Shape::Any`], which everything fits.

use serde_json::{Map, Value};

use super::names::{Names, Variant};
use crate::scenario::decode::{boolean, integer, number};
use crate::scenario::tree::{Node, NodeKind};

/// A whole schema, which holds the definitions that its parts refer to.
#[derive(Clone, Copy)]
pub(super) struct Schema<'a> {
    root: &'a Value,
}

impl<'a> Schema<'a> {
    pub(super) fn new(root: &'a Value) -> Self {
        Self { root }
    }

    /// The schema of the whole document.
    pub(super) fn root(self) -> &'a Value {
        self.root
    }

    /// What a part of the schema asks for.
    pub(super) fn shape(self, schema: &'a Value) -> Shape<'a> {
        let Some(schema) = self.resolve(schema).as_object() else { return Shape::Any };
        let alternatives = schema.get("oneOf").or(schema.get("anyOf")).and_then(Value::as_array);
        if let Some(alternatives) = alternatives {
            let alternatives: Vec<&Value> =
                alternatives.iter().filter(|one| !is_null(one)).collect();
            return match alternatives.as_slice() {
                [only] => self.shape(only),
                _ => match self.variants(&alternatives) {
                    Some(variants) => Shape::Names(Names { noun: noun(schema), variants }),
                    None => Shape::Choice(alternatives),
                },
            };
        }
        if let Some(variants) = own_names(schema) {
            return Shape::Names(Names { noun: noun(schema), variants });
        }
        let types: Vec<&str> = match schema.get("type") {
            Some(Value::String(only)) => vec![only],
            Some(Value::Array(types)) => {
                types.iter().filter_map(Value::as_str).filter(|name| *name != "null").collect()
            }
            _ => Vec::new(),
        };
        match types.as_slice() {
            ["array"] => Shape::List(schema),
            ["boolean"] => Shape::Boolean,
            ["integer"] => Shape::Integer(schema),
            ["number"] => Shape::Number(schema),
            ["object"] => Shape::Map(Fields::new(schema)),
            types if types.contains(&"string") => Shape::Text(schema),
            _ if schema.contains_key("properties") => Shape::Map(Fields::new(schema)),
            _ => Shape::Any,
        }
    }

    /// The first sentence of a schema's description, as a fragment.
    pub(super) fn about(self, schema: &'a Value) -> Option<String> {
        let described = |schema: &'a Value| schema.get("description").and_then(Value::as_str);
        let text = described(schema).or_else(|| described(self.resolve(schema)))?;
        let sentence = text.lines().next()?.split(". ").next()?.trim_end_matches('.');
        let mut chars = sentence.chars();
        let first = chars.next()?;
        let acronym =
            chars.clone().next().is_some_and(|second| !second.is_lowercase() && second != ' ');
        Some(if acronym {
            sentence.to_owned()
        } else {
            first.to_lowercase().chain(chars).collect()
        })
    }

    /// The schema that a chain of references ends in.
    fn resolve(self, mut schema: &'a Value) -> &'a Value {
        for _ in 0..REFERENCES_MAX {
            let Some(reference) = schema.get("$ref").and_then(Value::as_str) else { break };
            let target = reference.strip_prefix('#').and_then(|path| self.root.pointer(path));
            let Some(target) = target else { break };
            schema = target;
        }
        schema
    }

    /// Alternatives as the variants of an externally tagged enum, if that is what they are.
    fn variants(self, alternatives: &[&'a Value]) -> Option<Vec<Variant<'a>>> {
        let mut variants = Vec::new();
        for alternative in alternatives {
            let schema = self.resolve(alternative).as_object()?;
            if let Some(names) = own_names(schema) {
                variants.extend(names);
            } else {
                let properties = schema.get("properties").and_then(Value::as_object)?;
                let required = schema.get("required").and_then(Value::as_array)?;
                let closed = schema.get("additionalProperties") == Some(&Value::Bool(false));
                let mut properties = properties.iter();
                match (properties.next(), properties.next(), required.len()) {
                    (Some((name, settings)), None, 1) if closed => {
                        variants.push(Variant { name, settings: Some(settings) });
                    }
                    _ => return None,
                }
            }
        }
        Some(variants)
    }
}

/// What a schema asks for.
pub(super) enum Shape<'a> {
    Any,
    Boolean,
    /// One of several schemas that are not one enum.
    Choice(Vec<&'a Value>),
    Integer(&'a Map<String, Value>),
    List(&'a Map<String, Value>),
    Map(Fields<'a>),
    Names(Names<'a>),
    Number(&'a Map<String, Value>),
    Text(&'a Map<String, Value>),
}

impl Shape<'_> {
    /// Whether a node is of this kind at all.
    pub(super) fn fits(&self, node: &Node) -> bool {
        match (self, &node.kind) {
            (Shape::Any | Shape::Choice(_), _)
            | (Shape::List(_), NodeKind::List(_))
            | (Shape::Map(_), NodeKind::Map(_))
            | (Shape::Names(_) | Shape::Text(_), NodeKind::Scalar { .. }) => true,
            (Shape::Names(names), NodeKind::Map(_)) => names.any_settings(),
            (Shape::Boolean, NodeKind::Scalar { text, quoted: false }) => boolean(text).is_some(),
            (Shape::Integer(_), NodeKind::Scalar { text, quoted: false }) => {
                integer(text).is_some()
            }
            (Shape::Number(_), NodeKind::Scalar { text, quoted: false }) => number(text).is_some(),
            _ => false,
        }
    }
}

/// The keys of a map.
pub(super) struct Fields<'a> {
    properties: Option<&'a Map<String, Value>>,
    required: Option<&'a Vec<Value>>,
    /// What other keys mean, if the author may choose them.
    pub(super) open: Option<Open<'a>>,
}

impl<'a> Fields<'a> {
    fn new(schema: &'a Map<String, Value>) -> Self {
        let properties = schema.get("properties").and_then(Value::as_object);
        // Keys that are numbers come as a pattern.
        let patterns = schema.get("patternProperties").and_then(Value::as_object);
        let pattern = patterns.and_then(|patterns| patterns.values().next());
        let additional = schema.get("additionalProperties");
        let additional = additional.filter(|values| **values != Value::Bool(false));
        let open = match (pattern, additional) {
            (Some(values), _) => Some(Open { numbers: true, values }),
            (None, Some(values)) => Some(Open { numbers: false, values }),
            (None, None) => None,
        };
        Self { properties, required: schema.get("required").and_then(Value::as_array), open }
    }

    /// The schema of a key that the map knows.
    pub(super) fn field(&self, key: &str) -> Option<&'a Value> {
        self.properties?.get(key)
    }

    /// The keys that the map knows.
    pub(super) fn keys(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.properties.into_iter().flat_map(Map::keys).map(String::as_str)
    }

    /// The keys that cannot be left out.
    pub(super) fn required(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.required.into_iter().flatten().filter_map(Value::as_str)
    }

    /// How this map is written under a key.
    pub(super) fn example(&self, key: &str) -> Option<String> {
        let keys: Vec<&str> = match self.required().collect::<Vec<_>>() {
            required if required.is_empty() => self.keys().take(1).collect(),
            required => required,
        };
        let keys: Vec<String> = keys.iter().map(|key| format!("{key}: …")).collect();
        match (key, keys.as_slice()) {
            (_, []) => None,
            ("", keys) => Some(format!("write `{}`", keys.join(", "))),
            (key, keys) => Some(format!("write `{key}: {{ {} }}`", keys.join(", "))),
        }
    }

    /// The key in a text such as `route:openai.chat`, which lacks a space.
    pub(super) fn missing_space<'t>(&self, text: &'t str) -> Option<&'t str> {
        let (key, _) = text.split_once(':')?;
        self.field(key).map(|_| key)
    }
}

/// A map whose keys are the author's own.
pub(super) struct Open<'a> {
    /// Whether the keys are whole numbers.
    pub(super) numbers: bool,
    /// The schema of the values.
    pub(super) values: &'a Value,
}

/// A bound on a length or a count.
pub(super) fn limit(schema: &Map<String, Value>, key: &str) -> Option<u64> {
    schema.get(key).and_then(Value::as_u64)
}

/// Whether an integer is in the range of its schema, and of the type that the schema names; if
/// not, which bound it breaks, and the range.
pub(super) fn range(value: i128, schema: &Map<String, Value>) -> Result<(), (String, String)> {
    let of_type = match schema.get("format").and_then(Value::as_str) {
        Some("uint8") => Some((0, u8::MAX.into())),
        Some("uint16") => Some((0, u16::MAX.into())),
        Some("uint32") => Some((0, u32::MAX.into())),
        Some("uint64" | "uint") => Some((0, u64::MAX.into())),
        Some("int8") => Some((i8::MIN.into(), i8::MAX.into())),
        Some("int16") => Some((i16::MIN.into(), i16::MAX.into())),
        Some("int32") => Some((i32::MIN.into(), i32::MAX.into())),
        Some("int64" | "int") => Some((i64::MIN.into(), i64::MAX.into())),
        _ => None,
    };
    let (min, max) = of_type.unwrap_or((i128::MIN, i128::MAX));
    let bound = |key: &str| schema.get(key).and_then(whole);
    let min = min.max(bound("minimum").unwrap_or(min));
    let max = max.min(bound("maximum").unwrap_or(max));
    let bound = if value < min {
        format!("must be at least {min}")
    } else if value > max {
        format!("must be at most {max}")
    } else {
        return Ok(());
    };
    let help = match (min, max) {
        (i128::MIN, max) => format!("write a number up to {max}"),
        (min, i128::MAX) => format!("write a number from {min} on"),
        (min, max) => format!("write a number from {min} to {max}"),
    };
    Err((bound, help))
}

/// Whether a number is in the range of its schema.
pub(super) fn within(value: f64, schema: &Map<String, Value>) -> Result<(), String> {
    let bound = |key: &str| schema.get(key).and_then(Value::as_f64);
    match (bound("minimum"), bound("maximum")) {
        (Some(min), _) if value < min => Err(format!("must be at least {min}")),
        (_, Some(max)) if value > max => Err(format!("must be at most {max}")),
        _ => Ok(()),
    }
}

/// A bound as a schema writes it.
fn whole(value: &Value) -> Option<i128> {
    value.as_i64().map(i128::from).or(value.as_u64().map(i128::from)).or_else(|| {
        let text = value.as_f64()?.to_string();
        text.parse().ok()
    })
}

/// The names that a schema allows by itself.
fn own_names(schema: &Map<String, Value>) -> Option<Vec<Variant<'_>>> {
    let names: Vec<&str> = match (schema.get("const"), schema.get("enum")) {
        (Some(name), _) => vec![name.as_str()?],
        (None, Some(names)) => names.as_array()?.iter().filter_map(Value::as_str).collect(),
        (None, None) => return None,
    };
    Some(names.into_iter().map(|name| Variant { name, settings: None }).collect())
}

/// What one of the names is called: the title.
fn noun(schema: &Map<String, Value>) -> Option<&str> {
    schema.get("title").and_then(Value::as_str)
}

fn is_null(schema: &Value) -> bool {
    schema.get("type").and_then(Value::as_str) == Some("null")
}

/// Longest chain of references in a schema; types refer to types, not in circles.
const REFERENCES_MAX: usize = 16;
