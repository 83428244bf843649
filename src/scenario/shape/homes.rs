//! Where a key belongs that does not belong where it stands.

use std::fmt;

use serde_json::Value;

use super::schema::{Schema, Shape};
use crate::scenario::{
    diagnostic::quote_all,
    tree::{Entry, Node, NodeKind},
};

/// The way out for a key that the schema knows, but somewhere else.
///
/// Its neighbours come first: a setting beside the name that it belongs to was only indented wrong.
pub(super) fn help(schema: Schema<'_>, key: &str, neighbours: &[Entry]) -> Option<String> {
    let key = key.to_lowercase().replace(['_', ' '], "-");
    let mut search = Search { schema, key: &key, homes: Vec::new() };
    search.value(schema.root(), &Home::Top, NESTING_MAX);
    let homes = search.homes;
    let near = homes.iter().find(|home| home.is_among(neighbours));
    let under = |names: &[&str]| format!("under {}", quote_all(names.iter().copied(), "or"));
    let settings: Vec<&str> = homes.iter().filter_map(Home::setting).collect();
    let place = match (near, homes.as_slice()) {
        (_, []) => return None,
        (Some(home), _) | (None, [home] | [home @ Home::Top, ..]) => home.to_string(),
        (None, homes) if homes.len() > NAMED_MAX => {
            let named: Vec<String> = homes.iter().take(NAMED_MAX).map(Home::to_string).collect();
            format!("{}, or elsewhere", named.join(", "))
        }
        (None, homes) if homes.len() == settings.len() => under(&settings),
        (None, homes) => homes.iter().map(Home::to_string).collect::<Vec<_>>().join(" or "),
    };
    Some(format!("`{key}` belongs {place}"))
}

/// A walk over a schema for all the maps that know a key.
struct Search<'a, 'k> {
    schema: Schema<'a>,
    key: &'k str,
    homes: Vec<Home<'a>>,
}

impl<'a> Search<'a, '_> {
    fn value(&mut self, value: &'a Value, home: &Home<'a>, depth: usize) {
        let Some(depth) = depth.checked_sub(1) else { return };
        match self.schema.shape(value) {
            Shape::Choice(choices) => {
                for choice in choices {
                    self.value(choice, home, depth);
                }
            }
            Shape::List(list) => {
                let name = home.name().unwrap_or_default();
                if let Some(items) = list.get("items") {
                    self.value(items, &Home::ItemOf(name), depth);
                }
            }
            Shape::Map(map) => {
                for key in map.keys() {
                    if key == self.key && !self.homes.contains(home) {
                        self.homes.push(*home);
                    }
                    if let Some(field) = map.field(key) {
                        self.value(field, &Home::Key(key), depth);
                    }
                }
                if let Some(open) = &map.open {
                    let name = home.name().unwrap_or_default();
                    self.value(open.values, &Home::EntryOf(name), depth);
                }
            }
            Shape::Names(names) => {
                for variant in &names.variants {
                    // A name is a key as well, where it has settings.
                    if let Some(settings) = variant.settings {
                        if variant.name == self.key && !self.homes.contains(home) {
                            self.homes.push(*home);
                        }
                        self.value(settings, &Home::Key(variant.name), depth);
                    }
                }
            }
            _ => {}
        }
    }
}

/// A map that knows a key.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Home<'a> {
    /// One under a key of the author's own, in the map under this key.
    EntryOf(&'a str),
    /// An item of the list under this key.
    ItemOf(&'a str),
    /// The one under this key.
    Key(&'a str),
    /// The document.
    Top,
}

impl<'a> Home<'a> {
    fn name(&self) -> Option<&'a str> {
        match *self {
            Self::EntryOf(name) | Self::ItemOf(name) | Self::Key(name) => Some(name),
            Self::Top => None,
        }
    }

    /// The name that the key is a setting of.
    fn setting(&self) -> Option<&'a str> {
        match *self {
            Self::Key(name) => Some(name),
            Self::EntryOf(_) | Self::ItemOf(_) | Self::Top => None,
        }
    }

    /// Whether it is one of the entries, or a name that one of them is set to.
    fn is_among(&self, entries: &[Entry]) -> bool {
        let Some(name) = self.setting() else { return false };
        let named = |node: &Node| match &node.kind {
            NodeKind::Scalar { text, .. } => text == name,
            NodeKind::Map(inner) => inner.iter().any(|inner| inner.key == name),
            _ => false,
        };
        entries.iter().any(|entry| match &entry.value.kind {
            _ if entry.key == name => true,
            NodeKind::List(items) => items.iter().any(named),
            _ => named(&entry.value),
        })
    }
}

impl fmt::Display for Home<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EntryOf(name) => write!(f, "under an entry of `{name}`"),
            Self::ItemOf(name) => write!(f, "in an item of `{name}`"),
            Self::Key(name) => write!(f, "under `{name}`"),
            Self::Top => f.write_str("at the top of the document"),
        }
    }
}

/// Most homes that are named: a longer list says nothing.
const NAMED_MAX: usize = 3;
/// Deepest nesting that is searched: the language has half of it.
const NESTING_MAX: usize = 16;
