//! A tree against a schema: every structural mistake at once.
//!
//! The schema is generated from the types that the tree is decoded into, so nothing about the
//! language is written here. What is here is how to say it: which keys may stand where, what a
//! value takes and what was found instead, and the way out.

mod homes;
mod names;
mod reading;
mod scalar;
mod schema;

use std::collections::BTreeSet;
use std::ops::Range;

use serde_json::{Map, Value};

use super::decode::{integer, number};
use super::diagnostic::{Diagnostic, nearest, quote, quote_all};
use super::invisible::Invisible;
use super::tree::{Entry, Node, NodeKind};
use names::names_help;
use reading::Reading;
use schema::{Fields, Open, Schema, Shape, limit};

/// Finds everything in a tree that its schema does not allow, [`MISTAKES_MAX`] mistakes at most.
pub(crate) fn check(root: &Node, schema: &Value, formats: &Formats<'_>) -> Vec<Diagnostic> {
    let mut walk = Walk { schema: Schema::new(schema), formats, found: Vec::new() };
    walk.value(
        root,
        schema,
        &Subject { name: Name::Document, required: false, place: root.place.clone() },
    );
    walk.found
}

/// A judge of text that the schema gives a `format`: called with the format's name and the text.
///
/// `None` means that it knows no such format, and the text is read as YAML reads it.
pub(crate) type Formats<'a> = dyn Fn(&str, &str) -> Option<Result<(), Mistake>> + 'a;

/// What is wrong with a piece of text that has a format.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Mistake {
    /// A phrase that follows the name of the value: "needs a unit".
    pub(crate) message: String,
    /// The way out.
    pub(crate) help: Option<String>,
}

/// One walk over tree and schema.
struct Walk<'a> {
    schema: Schema<'a>,
    formats: &'a Formats<'a>,
    found: Vec<Diagnostic>,
}

impl<'a> Walk<'a> {
    fn value(&mut self, node: &Node, schema: &'a Value, subject: &Subject<'_>) {
        if self.found.len() >= MISTAKES_MAX || node.kind == NodeKind::Refused {
            return;
        }
        let shape = self.schema.shape(schema);
        if node.kind == NodeKind::Null && !matches!(shape, Shape::Any) {
            return self.nothing(node, &shape, subject);
        }
        match &shape {
            Shape::Any => {}
            Shape::Choice(choices) => self.choice(node, choices, &shape, subject),
            Shape::List(schema) => match &node.kind {
                NodeKind::List(items) => self.list(node, items, schema, subject),
                _ => self.kind(node, &shape, subject),
            },
            Shape::Map(map) => match &node.kind {
                NodeKind::Map(entries) => self.map(node, entries, map, subject),
                _ => self.kind(node, &shape, subject),
            },
            Shape::Names(names) => self.names(node, names, &shape, subject),
            Shape::Boolean | Shape::Integer(_) | Shape::Number(_) | Shape::Text(_) => {
                match &node.kind {
                    NodeKind::Scalar { text, quoted } => {
                        self.scalar(node, text, *quoted, &shape, subject);
                    }
                    _ => self.kind(node, &shape, subject),
                }
            }
        }
    }

    /// A value that was left out, or written as `null`.
    fn nothing(&mut self, node: &Node, shape: &Shape<'a>, subject: &Subject<'_>) {
        let place = if node.place.is_empty() { subject.place.clone() } else { node.place.clone() };
        let diagnostic = match (&subject.name, shape) {
            (Name::Document, Shape::Map(map)) => {
                let required = quote_all(map.required(), "and");
                let help = match required.as_str() {
                    "" => format!("write at least {}", quote_all(map.keys(), "or")),
                    _ => format!("it needs {required}"),
                };
                Diagnostic::new("the document is empty", place).help(help)
            }
            (Name::Item(_), _) => Diagnostic::new(format!("{subject} has no value"), place)
                .help("remove the item or give it a value"),
            _ => {
                let help = if subject.required {
                    "give it one; it cannot be left out"
                } else {
                    "leave the key out or give it one"
                };
                Diagnostic::new(format!("{subject} has no value"), place).help(help)
            }
        };
        self.found.push(diagnostic);
    }

    /// Something of the wrong kind: a list where a map belongs, and the like.
    fn kind(&mut self, node: &Node, shape: &Shape<'a>, subject: &Subject<'_>) {
        let takes = self.takes(shape);
        let message = match subject.name {
            Name::Document => format!("the document is {takes}"),
            _ => format!("{subject} takes {takes}"),
        };
        let found = match &node.kind {
            NodeKind::List(_) => "this is a list",
            NodeKind::Map(_) => "this is a map",
            NodeKind::Null | NodeKind::Refused => "this is nothing",
            NodeKind::Scalar { quoted: true, .. } => "this is text in quotes",
            NodeKind::Scalar { text, .. } if number(text).is_some() => "this is a number",
            NodeKind::Scalar { .. } => "this is a single value",
        };
        if let Some((invisible, place)) = invisible_in(node) {
            let message = format!("{} stands where a plain space is meant", invisible.name());
            self.found.push(Diagnostic::new(message, place).help(invisible.help()));
            return;
        }
        let key = match subject.name {
            Name::Key(key) => key,
            Name::Document | Name::Item(_) => "",
        };
        let help = match (shape, &node.kind) {
            (Shape::List(_), NodeKind::Scalar { text, .. }) if !key.is_empty() => {
                Some(format!("write `{key}: [{}]`", quote(text).trim_matches('`')))
            }
            (Shape::List(_), NodeKind::Map(_)) => Some("start each item with `- `".to_owned()),
            (Shape::Map(map), NodeKind::Scalar { text, quoted: false }) => {
                match map.missing_space(text) {
                    Some(glued) => Some(format!("put a space behind `{glued}:`")),
                    None => map.example(key),
                }
            }
            (Shape::Map(_), NodeKind::List(items)) if items.len() == 1 => {
                Some("remove the `-`: there is one map here, not a list of them".to_owned())
            }
            (Shape::Map(map), _) => map.example(key),
            (
                Shape::Boolean | Shape::Integer(_) | Shape::Number(_) | Shape::Text(_),
                NodeKind::List(items),
            ) if items.len() == 1 => Some("give the one value without `[ ]` or `- `".to_owned()),
            (Shape::Names(names), _) => Some(names_help(names)),
            (Shape::Text(_), _) => Some("if text is meant, quote it".to_owned()),
            _ => None,
        };
        let diagnostic = Diagnostic::new(message, node.place.clone()).label(found);
        self.found.push(Diagnostic { help, ..diagnostic });
    }

    fn list(
        &mut self,
        node: &Node,
        items: &[Node],
        schema: &'a Map<String, Value>,
        subject: &Subject<'_>,
    ) {
        let key = match subject.name {
            Name::Key(key) | Name::Item(key) => key,
            Name::Document => "",
        };
        let count = u64::try_from(items.len()).unwrap_or(u64::MAX);
        let plural = |n: u64| if n == 1 { "item" } else { "items" };
        let counted = match (limit(schema, "minItems"), limit(schema, "maxItems")) {
            (Some(1), _) if count == 0 => Some(format!("{subject} is empty")),
            (Some(min), _) if count < min => {
                Some(format!("{subject} needs at least {min} {}, found {count}", plural(min)))
            }
            (_, Some(max)) if count > max => {
                Some(format!("{subject} takes at most {max} {}, found {count}", plural(max)))
            }
            _ => None,
        };
        if let Some(message) = counted {
            let diagnostic = Diagnostic::new(message, node.place.clone());
            let help = (count == 0).then(|| "give it an item, or leave the key out".to_owned());
            self.found.push(Diagnostic { help, ..diagnostic });
        }
        let first = schema.get("prefixItems").and_then(Value::as_array);
        for (index, item) in items.iter().enumerate() {
            let schema = first.and_then(|first| first.get(index)).or(schema.get("items"));
            if let Some(schema) = schema {
                self.value(
                    item,
                    schema,
                    &Subject { name: Name::Item(key), required: false, place: item.place.clone() },
                );
            }
        }
    }

    fn map(&mut self, node: &Node, entries: &[Entry], map: &Fields<'a>, subject: &Subject<'_>) {
        let given: BTreeSet<&str> = entries.iter().map(|entry| entry.key.as_str()).collect();
        let mut suggested = BTreeSet::new();
        for entry in entries {
            if self.found.len() >= MISTAKES_MAX {
                return;
            }
            let of_entry = Subject {
                name: Name::Key(&entry.key),
                required: map.required().any(|key| key == entry.key),
                place: entry.key_place.clone(),
            };
            if let Some(schema) = map.field(&entry.key) {
                self.value(&entry.value, schema, &of_entry);
            } else if let Some(open) = &map.open {
                self.open_key(entry, open);
                self.value(&entry.value, open.values, &of_entry);
            } else if let Some(invisible) = Invisible::find(&entry.key) {
                let seen: String =
                    entry.key.chars().filter(|c| *c != invisible.character).collect();
                suggested.extend(map.keys().find(|key| *key == seen.trim()));
                let message = format!("{} stands in the key {}", invisible.name(), quote(&seen));
                let place = if entry.key_quoted {
                    entry.key_place.clone()
                } else {
                    invisible.place(entry.key_place.start)
                };
                self.found.push(Diagnostic::new(message, place).help(invisible.help()));
            } else {
                let free = map.keys().filter(|key| !given.contains(key));
                let near = nearest(&entry.key, free);
                suggested.extend(near);
                let help = match near {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => homes::help(self.schema, &entry.key, entries)
                        .unwrap_or_else(|| keys_help(map)),
                };
                let message = format!("unknown key {}", quote(&entry.key));
                self.found.push(Diagnostic::new(message, entry.key_place.clone()).help(help));
            }
        }
        // A key that is only misspelt is not missing as well.
        let missing: Vec<&str> =
            map.required().filter(|key| !given.contains(key) && !suggested.contains(key)).collect();
        for key in missing {
            let place = match (&subject.name, entries.first()) {
                (Name::Key(_), _) => subject.place.clone(),
                (_, Some(first)) => first.key_place.clone(),
                (_, None) => node.place.clone(),
            };
            let about = map.field(key).and_then(|schema| self.schema.about(schema));
            let help = match about {
                Some(about) => format!("add `{key}: …`: {about}"),
                None => format!("add `{key}: …`"),
            };
            self.found.push(Diagnostic::new(format!("{subject} needs `{key}`"), place).help(help));
        }
    }

    /// The key of a map whose keys are the author's own.
    fn open_key(&mut self, entry: &Entry, open: &Open<'a>) {
        let key = quote(&entry.key);
        let diagnostic = if open.numbers && integer(&entry.key).is_none() {
            Diagnostic::new(
                format!("the keys here are whole numbers, found {key}"),
                entry.key_place.clone(),
            )
        } else if !entry.key_quoted && !open.numbers && Reading::of(&entry.key) == Reading::Differs
        {
            let message = format!("YAML versions disagree about {key}");
            let help = format!("quote it: `\"{}\"`", key.trim_matches('`'));
            Diagnostic::new(message, entry.key_place.clone()).help(help)
        } else {
            return;
        };
        self.found.push(diagnostic);
    }

    /// Alternatives that differ in kind: the first that fits judges the value.
    fn choice(
        &mut self,
        node: &Node,
        choices: &[&'a Value],
        shape: &Shape<'a>,
        subject: &Subject<'_>,
    ) {
        let before = self.found.len();
        let mut first = None;
        for choice in choices {
            if !self.schema.shape(choice).fits(node) {
                continue;
            }
            self.value(node, choice, subject);
            let found = self.found.split_off(before);
            if found.is_empty() {
                return;
            }
            first.get_or_insert(found);
        }
        match first {
            Some(found) => self.found.extend(found),
            None => self.kind(node, shape, subject),
        }
    }

    /// What a value is to be, in words.
    fn takes(&self, shape: &Shape<'a>) -> String {
        match shape {
            Shape::Any => "anything".to_owned(),
            Shape::Boolean => "`true` or `false`".to_owned(),
            Shape::Choice(choices) => {
                let takes: Vec<String> =
                    choices.iter().map(|choice| self.takes(&self.schema.shape(choice))).collect();
                takes.join(" or ")
            }
            Shape::Integer(_) => "a whole number".to_owned(),
            Shape::List(_) => "a list".to_owned(),
            Shape::Map(_) => "a map".to_owned(),
            Shape::Names(names) => {
                let noun = names.noun.unwrap_or("name");
                let one = format!("{} {noun}", article(noun));
                if names.any_settings() {
                    format!("{one}, alone or with its settings")
                } else {
                    one
                }
            }
            Shape::Number(_) => "a number".to_owned(),
            Shape::Text(schema) => match schema.get("format").and_then(Value::as_str) {
                Some(format) => format!("{} {}", article(format), format.replace('-', " ")),
                None => "text".to_owned(),
            },
        }
    }
}

/// Whose value is being checked.
struct Subject<'a> {
    name: Name<'a>,
    /// Whether it is a key that cannot be left out.
    required: bool,
    /// Where to point if the value itself has no place.
    place: Range<usize>,
}

impl std::fmt::Display for Subject<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.name {
            Name::Document | Name::Item("") => f.write_str("the document"),
            Name::Item(list) => write!(f, "an item of {}", quote(list)),
            Name::Key(key) => f.write_str(&quote(key)),
        }
    }
}

/// How a value is called.
enum Name<'a> {
    Document,
    /// An item of the list under this key.
    Item(&'a str),
    Key(&'a str),
}

/// The keys of a map as a way out.
fn keys_help(map: &Fields<'_>) -> String {
    match map.keys().count() {
        0 => "no keys can stand here".to_owned(),
        1 => format!("the key here is {}", quote_all(map.keys(), "and")),
        _ => format!("the keys here are {}", quote_all(map.keys(), "and")),
    }
}

/// The invisible character that made a node something else than it looks like, and its place.
fn invisible_in(node: &Node) -> Option<(Invisible, Range<usize>)> {
    let (text, start) = match &node.kind {
        NodeKind::Scalar { text, quoted: false } => (text, node.place.start),
        NodeKind::Map(entries) => {
            entries.first().map(|entry| (&entry.key, entry.key_place.start))?
        }
        _ => return None,
    };
    let invisible = Invisible::find_at_sign(text)?;
    Some((invisible, invisible.place(start)))
}

fn article(noun: &str) -> &'static str {
    if noun.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" }
}

/// Most mistakes in one check: a document with more is not a scenario.
pub(crate) const MISTAKES_MAX: usize = 1_000;

#[cfg(test)]
mod tests {
    use std::borrow::Cow;
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema, schema_for};
    use serde::{Deserialize, Deserializer, de};

    use super::super::decode::decode;
    use super::super::diagnostic::{SHOWN_MAX, Style, render};
    use super::super::source::Source;
    use super::super::tree::parse;
    use super::*;

    #[derive(Debug, Deserialize, JsonSchema, PartialEq)]
    #[serde(deny_unknown_fields, rename_all = "kebab-case")]
    struct Scenario {
        /// The title that reports show. Short.
        name: String,
        seed: Option<u64>,
        #[serde(default)]
        rules: Vec<Rule>,
        client: Option<Client>,
        #[serde(default)]
        allow: Names,
        #[serde(default)]
        headers: BTreeMap<String, String>,
        #[serde(default)]
        by_status: BTreeMap<u16, u8>,
        mood: Option<Mood>,
    }

    #[derive(Debug, Default, Deserialize, JsonSchema, PartialEq)]
    struct Names(Vec<String>);

    #[derive(Debug, Deserialize, JsonSchema, PartialEq)]
    #[serde(deny_unknown_fields, rename_all = "kebab-case")]
    struct Rule {
        when: Option<When>,
        #[schemars(length(min = 1))]
        script: Vec<Step>,
    }

    #[derive(Debug, Deserialize, JsonSchema, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct When {
        /// Which endpoint the request goes to.
        route: String,
    }

    #[derive(Debug, Deserialize, JsonSchema, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Client {
        #[schemars(range(min = 1, max = 90_000))]
        calls: Option<u32>,
        only: Option<bool>,
        share: Option<f64>,
    }

    /// What the provider answers.
    #[derive(Debug, Deserialize, JsonSchema, PartialEq)]
    #[schemars(title = "step")]
    #[serde(deny_unknown_fields, rename_all = "kebab-case", rename_all_fields = "kebab-case")]
    enum Step {
        Delay(Wait),
        Hang,
        /// The provider refuses because of a quota.
        RateLimited {
            retry_after: Option<Wait>,
            #[serde(default)]
            times: u32,
        },
        Say(Names),
        Status {
            code: u16,
        },
    }

    #[derive(Debug, Deserialize, JsonSchema, PartialEq)]
    #[serde(rename_all = "kebab-case")]
    enum Mood {
        Healthy,
        VerySlow,
    }

    #[derive(Debug, PartialEq)]
    struct Wait;

    impl<'de> Deserialize<'de> for Wait {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            let text = String::deserialize(deserializer)?;
            formats("duration", &text)
                .unwrap()
                .map(|()| Wait)
                .map_err(|mistake| de::Error::custom(mistake.message))
        }
    }

    impl JsonSchema for Wait {
        fn schema_name() -> Cow<'static, str> {
            "Wait".into()
        }

        fn json_schema(_: &mut SchemaGenerator) -> Schema {
            json_schema!({ "type": "string", "format": "duration" })
        }
    }

    fn formats(format: &str, text: &str) -> Option<Result<(), Mistake>> {
        let mistake = |message: &str, help: String| {
            Some(Err(Mistake { message: message.to_owned(), help: Some(help) }))
        };
        match (format, text.trim_end_matches(|c: char| c.is_ascii_digit())) {
            ("duration", "") => mistake("needs a unit", format!("write `{text}s`")),
            ("duration", _) if text.ends_with('s') => Some(Ok(())),
            ("duration", _) => mistake("is not a duration", "write `2s`".to_owned()),
            _ => None,
        }
    }

    fn checked(text: &str) -> Vec<Diagnostic> {
        let parsed = parse(&Source::new("x", text));
        assert_eq!(parsed.diagnostics, [], "{text:?}");
        let schema = schema_for!(Scenario).to_value();
        let mut found = check(&parsed.root.unwrap(), &schema, &formats);
        found.sort_by_key(|diagnostic| diagnostic.place().start);
        found
    }

    #[test]
    fn what_the_types_can_hold_is_right() {
        for text in [
            "name: x",
            "name: 'yes'\nseed: 0x5eed42\nclient: {calls: 90_000, only: true, share: 0.5}",
            "name: a b\nclient: {}\nallow: [a, 'on', '12']\nmood: very-slow",
            "name: x\nheaders: {a: b, 'on': c, 429: d}\nby-status: {429: 3}",
            "name: x\nrules:\n  - script: [hang, rate-limited, rate-limited: {}, delay: 2s]",
            "name: x\nrules:\n  - when: {route: z}\n    script: [rate-limited: {retry-after: 2s, times: 2}]",
            "name: |\n  no\n",
        ] {
            assert_eq!(checked(text), [], "{text}");
            let root = parse(&Source::new("x", text)).root.unwrap();
            decode::<Scenario>(&root).expect(text);
        }
    }

    /// Each mistake as `place|message|help`; the rest of the document is right.
    #[test]
    fn every_mistake_says_where_what_and_the_way_out() {
        let cases: &[(&str, &[&str])] = &[
            // Keys.
            ("", &["|the document is empty|it needs `name`"]),
            ("{}", &["{}|the document needs `name`|add `name: …`: the title that reports show"]),
            ("naem: x", &["naem|unknown key `naem`|did you mean `name`?"]),
            (
                "name: x\nquota: 1",
                &[
                    "quota|unknown key `quota`|the keys here are `name`, `seed`, `rules`, `client`, `allow`, `headers`, `by-status` and `mood`",
                ],
            ),
            (
                "name: x\nby_status: {}",
                &["by_status|unknown key `by_status`|did you mean `by-status`?"],
            ),
            (
                "name: x\nrules: [{when: {}, script: [hang]}]",
                &["when|`when` needs `route`|add `route: …`: which endpoint the request goes to"],
            ),
            (
                "name: x\nrules: [{when: {route: a}}]",
                &["when|an item of `rules` needs `script`|add `script: …`"],
            ),
            (
                "name: x\nheaders: {on: a}",
                &["on|YAML versions disagree about `on`|quote it: `\"on\"`"],
            ),
            (
                "name: x\nby-status: {ok: 1, 1: 300}",
                &[
                    "ok|the keys here are whole numbers, found `ok`|",
                    "300|`1` must be at most 255, found `300`|write a number from 0 to 255",
                ],
            ),
            ("name: x\nroute: y", &["route|unknown key `route`|`route` belongs under `when`"]),
            (
                "name: x\nclient: {Script: []}",
                &["Script|unknown key `Script`|`script` belongs in an item of `rules`"],
            ),
            (
                "name: x\nclient: {seed: 1}",
                &["seed|unknown key `seed`|`seed` belongs at the top of the document"],
            ),
            (
                "\u{a0}name: x",
                &[
                    "\u{a0}|a no-break space (U+00A0) stands in the key `name`|write a plain space, or nothing",
                ],
            ),
            (
                "name: x\nclient:\n  calls:\u{a0}5",
                &[
                    "\u{a0}|a no-break space (U+00A0) stands where a plain space is meant|write a plain space, or nothing",
                ],
            ),
            // Kinds.
            ("name", &["name|the document is a map|write `name: …`"]),
            (
                "[name]",
                &[
                    "[name]|the document is a map|remove the `-`: there is one map here, not a list of them",
                ],
            ),
            ("name: [x]", &["[x]|`name` takes text|give the one value without `[ ]` or `- `"]),
            ("name: {a: b}", &["{a: b}|`name` takes text|if text is meant, quote it"]),
            ("name: x\nrules: hang", &["hang|`rules` takes a list|write `rules: [hang]`"]),
            (
                "name: x\nrules:\n  script: [hang]",
                &["script: [hang]|`rules` takes a list|start each item with `- `"],
            ),
            ("name: x\nclient: 5", &["5|`client` takes a map|write `client: { calls: … }`"]),
            (
                "name: x\nclient: calls:5",
                &["calls:5|`client` takes a map|put a space behind `calls:`"],
            ),
            ("name: x\nallow: {a: b}", &["{a: b}|`allow` takes a list|start each item with `- `"]),
            (
                "name: x\nrules: [{script: []}]",
                &["[]|`script` is empty|give it an item, or leave the key out"],
            ),
            // Nothing.
            (
                "name: x\nseed:\nmood: ~\nallow: [null]",
                &[
                    "seed|`seed` has no value|leave the key out or give it one",
                    "~|`mood` has no value|leave the key out or give it one",
                    "null|an item of `allow` has no value|remove the item or give it a value",
                ],
            ),
            ("name:", &["name|`name` has no value|give it one; it cannot be left out"]),
            ("name: x\nclient: 5.5", &["5.5|`client` takes a map|write `client: { calls: … }`"]),
            // Numbers and booleans.
            (
                "name: x\nseed: '5'",
                &[
                    "'5'|`seed` takes a whole number, found text in quotes: `5`|drop the quotes: `5`",
                ],
            ),
            ("name: x\nseed: 017", &["017|`seed` takes a whole number, found `017`|write `17`"]),
            ("name: x\nseed: 5.0", &["5.0|`seed` takes a whole number, found `5.0`|write `5`"]),
            (
                "name: x\nseed: many",
                &["many|`seed` takes a whole number, found `many`|write digits, such as `5`"],
            ),
            (
                "name: x\nseed: -1",
                &[
                    "-1|`seed` must be at least 0, found `-1`|write a number from 0 to 18446744073709551615",
                ],
            ),
            (
                "name: x\nclient: {calls: 0}",
                &["0|`calls` must be at least 1, found `0`|write a number from 1 to 90000"],
            ),
            (
                "name: x\nclient: {calls: 90_001}",
                &[
                    "90_001|`calls` must be at most 90000, found `90_001`|write a number from 1 to 90000",
                ],
            ),
            (
                "name: x\nclient: {only: yes}",
                &["yes|`only` is either `true` or `false`|write `true`"],
            ),
            (
                "name: x\nclient: {only: 'true'}",
                &["'true'|`only` is either `true` or `false`|write `true`"],
            ),
            (
                "name: x\nclient: {share: .5}",
                &[
                    ".5|`share` takes a number, found `.5`|write digits, with digits on both sides of a point: `0.5`",
                ],
            ),
            // Text.
            (
                "name: no",
                &["no|`name` takes text, and YAML versions disagree about `no`|quote it: `\"no\"`"],
            ),
            ("name: 12", &["12|`name` takes text, and `12` is a number|quote it: `\"12\"`"]),
            (
                "name: true",
                &["true|`name` takes text, and `true` is a boolean|quote it: `\"true\"`"],
            ),
            (
                "name: x\nallow: [1:30]",
                &[
                    "1:30|an item of `allow` takes text, and YAML versions disagree about `1:30`|quote it: `\"1:30\"`",
                ],
            ),
            // Names.
            (
                "name: x\nmood: very_slow",
                &["very_slow|`mood` cannot be `very_slow`|did you mean `very-slow`?"],
            ),
            ("name: x\nmood: sad", &["sad|`mood` cannot be `sad`|write `healthy` or `very-slow`"]),
            (
                "name: x\nmood: {healthy: 1}",
                &["{healthy: 1}|`mood` takes a name|write `healthy` or `very-slow`"],
            ),
            (
                "name: x\nrules: [{script: [rate-limted]}]",
                &["rate-limted|unknown step `rate-limted`|did you mean `rate-limited`?"],
            ),
            (
                "name: x\nrules: [{script: [boom: {}]}]",
                &[
                    "boom|unknown step `boom`|write `hang`, `delay`, `rate-limited`, `say` or `status`",
                ],
            ),
            (
                "name: x\nrules: [{script: [delay]}]",
                &["delay|`delay` needs a value: a duration|write `delay: …`"],
            ),
            (
                "name: x\nrules: [{script: [say]}]",
                &["say|`say` needs a value: a list|write `say: [ … ]`"],
            ),
            (
                "name: x\nrules: [{script: [status]}]",
                &["status|`status` needs `code`|write `status: { code: … }`"],
            ),
            (
                "name: x\nrules: [{script: [hang: {}]}]",
                &["hang: {}|`hang` takes no settings|write `hang` alone"],
            ),
            (
                "name: x\nrules: [{script: [rate-limited: ]}]",
                &[
                    "rate-limited|`rate-limited:` has no settings|write `rate-limited` without the `:`, or indent its settings below it",
                ],
            ),
            (
                "name: x\nrules: [{script: [status: ]}]",
                &["status|`status:` has no settings|write `status: { code: … }`"],
            ),
            ("name: x\nrules: [{script: [delay: 2]}]", &["2|`delay` needs a unit|write `2s`"]),
            (
                "name: x\nrules: [{script: [rate-limited: {retry_after: 2s}]}]",
                &["retry_after|unknown key `retry_after`|did you mean `retry-after`?"],
            ),
            (
                "name: x\nrules: [{script: [[hang]]}]",
                &[
                    "[hang]|an item of `script` takes a step, alone or with its settings|write `hang`, `delay`, `rate-limited`, `say` or `status`",
                ],
            ),
            (
                "name: x\nrules: [{script: [{}]}]",
                &[
                    "{}|one step belongs here|write `hang`, `delay`, `rate-limited`, `say` or `status`",
                ],
            ),
            (
                "name: x\nrules:\n- script:\n  - rate-limited:\n    times: 2",
                &[
                    "times|one step belongs here, found 2|indent `times` deeper: it is a setting of `rate-limited`",
                ],
            ),
            (
                "name: x\nrules: [{script: [{hang, delay: 1s}]}]",
                &[
                    "delay|one step belongs here, found 2|give each step an item of its own, started with `- `",
                ],
            ),
            // All at once.
            (
                "nam: x\nseed: no\nrules: [{script: [boo]}]\nclient: []",
                &[
                    "nam|unknown key `nam`|did you mean `name`?",
                    "no|`seed` takes a whole number, found `no`|write digits, such as `5`",
                    "boo|unknown step `boo`|write `hang`, `delay`, `rate-limited`, `say` or `status`",
                    "[]|`client` takes a map|write `client: { calls: … }`",
                ],
            ),
        ];
        for (text, expected) in cases {
            let found = checked(text).into_iter().map(|diagnostic| {
                let place = &text[diagnostic.place()];
                format!("{place}|{}|{}", diagnostic.message, diagnostic.help.unwrap_or_default())
            });
            assert_eq!(found.collect::<Vec<_>>(), *expected, "{text:?}");
        }
    }

    #[test]
    fn alternatives_of_different_kinds_are_told_apart() {
        let schema = serde_json::json!({
            "anyOf": [
                { "type": "integer", "minimum": 1 },
                { "type": "array", "items": { "type": "boolean" } },
            ]
        });
        for (text, expected) in [
            ("5", None),
            ("[true]", None),
            ("0", Some("the document must be at least 1, found `0`")),
            ("[1]", Some("the document is either `true` or `false`")),
            ("{a: b}", Some("the document is a whole number or a list")),
        ] {
            let root = parse(&Source::new("x", text)).root.unwrap();
            let found = check(&root, &schema, &formats);
            assert_eq!(found.first().map(|first| first.message.as_str()), expected, "{text}");
        }
    }

    #[test]
    fn mistakes_are_bounded() {
        let text = format!("name: x\nallow: [{}]", "1, ".repeat(5 * MISTAKES_MAX));
        assert_eq!(checked(&text).len(), MISTAKES_MAX);
        let keys: Vec<String> = (0..40_000).map(|key| format!("k{key}: 1")).collect();
        assert_eq!(checked(&keys.join("\n")).len(), MISTAKES_MAX);
    }

    /// Documents near enough to a scenario to reach every branch.
    fn scenario_like() -> impl Strategy<Value = String> {
        let word = prop::sample::select(vec![
            "name",
            "seed",
            "rules",
            "client",
            "allow",
            "headers",
            "by-status",
            "mood",
            "script",
            "when",
            "route",
            "rate-limited",
            "retry-after",
            "times",
            "hang",
            "delay",
            "status",
            "code",
            "2s",
            "2",
            "-1",
            "0.5",
            "'x'",
            "true",
            "no",
            "~",
            "é",
            "\"\\u001b\"",
            "[]",
            "{}",
        ]);
        let sign = prop::sample::select(vec![
            ": ", ":\n", "\n", "\n  ", "\n    ", "\n  - ", "- ", ", ", "{", "}", "[", "]", " ",
            "&a ", "\t",
        ]);
        prop::collection::vec((word, sign), 0..16)
            .prop_map(|pieces| pieces.iter().flat_map(|(word, sign)| [*word, *sign]).collect())
    }

    fn never_panics_and_stays_bounded(source: &Source) {
        let parsed = parse(source);
        let mut diagnostics = parsed.diagnostics;
        if let Some(root) = &parsed.root {
            diagnostics.extend(check(root, &schema_for!(Scenario).to_value(), &formats));
            let decoded = decode::<Scenario>(root);
            if diagnostics.is_empty() {
                assert!(decoded.is_ok(), "{:?} passed, and then: {decoded:?}", source.text());
            }
            diagnostics.extend(decoded.err());
        }
        let mut out = Vec::new();
        render(&diagnostics, source, Style { colour: false, width: 80 }, &mut out).unwrap();
        let shown = String::from_utf8(out).unwrap();
        assert!(shown.len() <= SHOWN_MAX * 10_000, "{} bytes", shown.len());
        assert!(!shown.contains(|c: char| c != '\n' && c.is_control()), "{shown:?}");
        assert_eq!(shown.is_empty(), diagnostics.is_empty());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1_000))]

        #[test]
        fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            never_panics_and_stays_bounded(&Source::from_bytes("x", &bytes));
        }

        #[test]
        fn any_text_is_answered(text in any::<String>()) {
            never_panics_and_stays_bounded(&Source::new("x", text));
        }

        #[test]
        fn what_passes_the_check_can_be_decoded(text in scenario_like()) {
            never_panics_and_stays_bounded(&Source::new("x", format!("name: x\n{text}")));
            never_panics_and_stays_bounded(&Source::new("x", text));
        }
    }
}
