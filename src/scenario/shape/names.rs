//! The names that an enum takes, and a name, perhaps with settings, against them.

use std::ops::Range;

use serde_json::Value;

use super::schema::Shape;
use super::{Name, Subject, Walk};
use crate::scenario::diagnostic::{Diagnostic, nearest, quote, quote_all};
use crate::scenario::tree::{Entry, Node, NodeKind};

/// The variants of an enum.
pub(super) struct Names<'a> {
    /// What one of them is called: the schema's title.
    pub(super) noun: Option<&'a str>,
    pub(super) variants: Vec<Variant<'a>>,
}

impl<'a> Names<'a> {
    fn find(&self, name: &str) -> Option<Variant<'a>> {
        self.variants.iter().find(|variant| variant.name == name).copied()
    }

    /// Whether there is a variant with settings.
    pub(super) fn any_settings(&self) -> bool {
        self.variants.iter().any(|variant| variant.settings.is_some())
    }
}

impl<'a> Walk<'a> {
    /// A name, or a name with its settings.
    pub(super) fn names(
        &mut self,
        node: &Node,
        names: &Names<'a>,
        shape: &Shape<'a>,
        subject: &Subject<'_>,
    ) {
        match &node.kind {
            NodeKind::Scalar { text, .. } => match names.find(text) {
                None => self.unknown_name(text, node.place.clone(), names, subject),
                Some(Variant { settings: None, .. }) => {}
                Some(Variant { name, settings: Some(settings) }) => {
                    self.bare(name, settings, node.place.clone());
                }
            },
            NodeKind::Map(entries) if names.any_settings() => match entries.as_slice() {
                [entry] => match names.find(&entry.key) {
                    None => {
                        self.unknown_name(&entry.key, entry.key_place.clone(), names, subject);
                    }
                    Some(Variant { name, settings: None }) => {
                        let message = format!("`{name}` takes no settings");
                        let place =
                            entry.key_place.start..entry.value.place.end.max(entry.key_place.end);
                        let help = format!("write `{name}` alone");
                        self.found.push(Diagnostic::new(message, place).help(help));
                    }
                    Some(Variant { name, settings: Some(settings) }) => {
                        self.settings(entry, name, settings);
                    }
                },
                _ => self.one_name(node, entries, names),
            },
            _ => self.kind(node, shape, subject),
        }
    }

    /// The settings under a name.
    fn settings(&mut self, entry: &Entry, name: &'a str, settings: &'a Value) {
        if entry.value.kind == NodeKind::Null
            && let Shape::Map(map) = self.schema.shape(settings)
        {
            let help = match map.required().next() {
                None => format!("write `{name}` without the `:`, or indent its settings below it"),
                Some(_) => map.example(name).unwrap_or_default(),
            };
            let diagnostic =
                Diagnostic::new(format!("`{name}:` has no settings"), entry.key_place.clone());
            return self.found.push(diagnostic.help(help));
        }
        let subject =
            Subject { name: Name::Key(name), required: false, place: entry.key_place.clone() };
        self.value(&entry.value, settings, &subject);
    }

    /// A name alone whose variant has settings: right if all of them may be left out.
    fn bare(&mut self, name: &str, settings: &'a Value, place: Range<usize>) {
        let diagnostic = match self.schema.shape(settings) {
            Shape::Any => return,
            Shape::Map(map) if map.required().next().is_none() => return,
            Shape::Map(map) => {
                let required = quote_all(map.required(), "and");
                let diagnostic = Diagnostic::new(format!("`{name}` needs {required}"), place);
                Diagnostic { help: map.example(name), ..diagnostic }
            }
            shape => {
                let message = format!("`{name}` needs a value: {}", self.takes(&shape));
                let help = match shape {
                    Shape::List(_) => format!("write `{name}: [ … ]`"),
                    _ => format!("write `{name}: …`"),
                };
                Diagnostic::new(message, place).help(help)
            }
        };
        self.found.push(diagnostic);
    }

    fn unknown_name(
        &mut self,
        name: &str,
        place: Range<usize>,
        names: &Names<'a>,
        subject: &Subject<'_>,
    ) {
        let message = match (names.noun, names.any_settings()) {
            (Some(noun), _) => format!("unknown {noun} {}", quote(name)),
            (None, true) => format!("unknown name {}", quote(name)),
            (None, false) => format!("{subject} cannot be {}", quote(name)),
        };
        let help = match nearest(name, names.variants.iter().map(|variant| variant.name)) {
            Some(near) => format!("did you mean `{near}`?"),
            None => names_help(names),
        };
        self.found.push(Diagnostic::new(message, place).help(help));
    }

    /// A map with no name in it, or with several.
    fn one_name(&mut self, node: &Node, entries: &[Entry], names: &Names<'a>) {
        let noun = names.noun.unwrap_or("name");
        let [first, second, ..] = entries else {
            let diagnostic =
                Diagnostic::new(format!("one {noun} belongs here"), node.place.clone());
            return self.found.push(diagnostic.help(names_help(names)));
        };
        let known = |entry: &&Entry| names.find(&entry.key).is_some();
        let owner = entries.iter().filter(known).find_map(|owner| {
            let settings = names.find(&owner.key)?.settings?;
            let Shape::Map(map) = self.schema.shape(settings) else { return None };
            let stray = entries.iter().find(|entry| map.field(&entry.key).is_some())?;
            Some((owner.key.clone(), stray.key.clone()))
        });
        let help = match owner {
            Some((owner, stray)) => {
                format!("indent `{stray}` deeper: it is a setting of `{owner}`")
            }
            None if entries.iter().all(|entry| known(&entry)) => {
                format!("give each {noun} an item of its own, started with `- `")
            }
            None => format!("keep the {noun}, and put its settings under it"),
        };
        let message = format!("one {noun} belongs here, found {}", entries.len());
        self.found.push(
            Diagnostic::new(message, second.key_place.clone())
                .label("no room for this")
                .note(first.key_place.clone(), format!("the first {noun}"))
                .help(help),
        );
    }
}

/// A variant of an enum: a name, perhaps with settings.
#[derive(Clone, Copy)]
pub(super) struct Variant<'a> {
    pub(super) name: &'a str,
    pub(super) settings: Option<&'a Value>,
}

/// The names as a way out.
pub(super) fn names_help(names: &Names<'_>) -> String {
    format!("write {}", quote_all(names.variants.iter().map(|variant| variant.name), "or"))
}
