//! A document as a tree of nodes that know their places.
//!
//! Parsing decides what is a list, a map, a scalar or nothing, and refuses the parts of YAML that a
//! scenario does not have: several documents, anchors, aliases, tags, merge keys, keys that are not
//! words, keys given twice, tabs. It knows no types: `1` and `one` are both text until a schema or
//! a decoder asks.

mod builder;
mod syntax;

use std::ops::Range;

use saphyr_parser::{Event, Parser};

use super::diagnostic::Diagnostic;
use super::source::Source;
use builder::{Builder, Stop};
use syntax::unreadable;

/// What parsing found: a tree as far as there is one, and everything wrong so far.
///
/// Without a tree there is at least one diagnostic. With both, the tree can be checked further, so
/// that the author learns everything at once, but must not be used.
#[derive(Clone, Debug)]
pub(crate) struct Parsed {
    /// The document; absent if its syntax is broken.
    pub(crate) root: Option<Node>,
    /// What is wrong with it.
    pub(crate) diagnostics: Vec<Diagnostic>,
}

/// A value in the document.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Node {
    /// Its bytes; empty where a value was left out.
    pub(crate) place: Range<usize>,
    /// What is there.
    pub(crate) kind: NodeKind,
}

impl Node {
    /// The node at a path, if there is one.
    pub(crate) fn at(&self, path: &[Step<'_>]) -> Option<&Node> {
        path.iter().try_fold(self, |node, step| node.child(step).map(|(_, child)| child))
    }

    /// The bytes of the value at a path, or of its nearest ancestor that exists.
    ///
    /// A value that was left out is where its key is.
    pub(crate) fn place(&self, path: &[Step<'_>]) -> Range<usize> {
        let mut place = self.place.clone();
        for (key_place, node) in self.walk(path) {
            place = match key_place {
                Some(key_place) if node.place.is_empty() => key_place,
                _ => node.place.clone(),
            };
        }
        place
    }

    /// The bytes of the key at a path, or of the nearest ancestor that exists.
    ///
    /// An item of a list has no key and counts with its value.
    pub(crate) fn key_place(&self, path: &[Step<'_>]) -> Range<usize> {
        let last = self.walk(path).last();
        last.map_or(self.place.clone(), |(key, node)| key.unwrap_or(node.place.clone()))
    }

    /// The nodes along a path with their keys' places, until the first that does not exist.
    fn walk<'a>(
        &'a self,
        path: &'a [Step<'_>],
    ) -> impl Iterator<Item = (Option<Range<usize>>, &'a Node)> {
        path.iter().scan(self, |node, step| {
            let (key_place, child) = node.child(step)?;
            *node = child;
            Some((key_place, child))
        })
    }

    fn child(&self, step: &Step<'_>) -> Option<(Option<Range<usize>>, &Node)> {
        match (step, &self.kind) {
            (Step::Index(index), NodeKind::List(items)) => Some((None, items.get(*index)?)),
            (Step::Key(key), NodeKind::Map(entries)) => {
                let entry = entries.iter().find(|entry| entry.key == *key)?;
                Some((Some(entry.key_place.clone()), &entry.value))
            }
            _ => None,
        }
    }
}

/// What a node is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum NodeKind {
    /// Items in their order.
    List(Vec<Node>),
    /// Entries in their order; no key stands twice.
    Map(Vec<Entry>),
    /// Nothing, `~` or `null`.
    Null,
    /// Something that parsing has complained about already; nobody else needs to.
    Refused,
    /// A word, number or text.
    Scalar {
        /// The text that is meant, without quotes and escapes.
        text: String,
        /// Whether it stands in quotes or in a text block, and so can only be text.
        quoted: bool,
    },
}

/// A key with its value.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Entry {
    /// The key's text.
    pub(crate) key: String,
    /// Whether the key stands in quotes.
    pub(crate) key_quoted: bool,
    /// The key's bytes.
    pub(crate) key_place: Range<usize>,
    /// What it is set to.
    pub(crate) value: Node,
}

/// One step from a node to a child.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Step<'a> {
    /// To an item of a list, from 0.
    Index(usize),
    /// To the value of a key.
    Key(&'a str),
}

/// Parses a document.
pub(crate) fn parse(source: &Source) -> Parsed {
    if let Some(diagnostic) = unreadable(source) {
        return Parsed { root: None, diagnostics: vec![diagnostic] };
    }
    let mut builder = Builder::new(source);
    let mut started = false;
    for event in Parser::new_from_str(source.text()) {
        let step = match event {
            Ok((Event::DocumentStart(_), span)) if started => {
                builder.second_document(&span);
                break;
            }
            Ok((Event::DocumentStart(_), _)) => {
                started = true;
                Ok(())
            }
            Ok((event, span)) => builder.handle(event, &span),
            Err(error) => builder.syntax(&error),
        };
        if let Err(Stop) = step {
            builder.root = None;
            break;
        }
    }
    builder.finish()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use Step::{Index, Key};

    /// The tree on one line: scalars as they are read, quoted ones in quotes.
    fn outline(node: &Node) -> String {
        match &node.kind {
            NodeKind::List(items) => {
                format!("[{}]", items.iter().map(outline).collect::<Vec<_>>().join(", "))
            }
            NodeKind::Map(entries) => {
                let entries = entries.iter().map(|e| format!("{}: {}", e.key, outline(&e.value)));
                format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
            }
            NodeKind::Null => "~".to_owned(),
            NodeKind::Refused => "?".to_owned(),
            NodeKind::Scalar { text, quoted: true } => format!("{text:?}"),
            NodeKind::Scalar { text, quoted: false } => text.clone(),
        }
    }

    #[test]
    fn documents_become_trees() {
        for (text, expected) in [
            ("", "~"),
            ("# nothing\n", "~"),
            ("---\na: 1\n...\n", "{a: 1}"),
            ("\u{feff}a: 1\r\nb: two words\r\n", "{a: 1, b: two words}"),
            ("a: {b: [c, 'd', ], e: }\n", "{a: {b: [c, \"d\"], e: ~}}"),
            ("a: |\n  one\n  \ttwo\nb: >-\n  x\n", "{a: \"one\\n\\ttwo\\n\", b: \"x\"}"),
            ("- ~\n- null\n-\n- 'null'\n- nil\n", "[~, ~, ~, \"null\", nil]"),
            ("a: b\tc # \t comment\n# \t\n", "{a: b\tc}"),
            ("- a: 1\n  b: 2\n- - x\n", "[{a: 1, b: 2}, [x]]"),
        ] {
            let Parsed { root, diagnostics } = parse(&Source::new("x", text));
            assert_eq!(diagnostics, [], "{text:?}");
            assert_eq!(outline(&root.unwrap()), expected, "{text:?}");
        }
    }

    /// Each diagnostic as `place|message`, and the rest of the tree.
    #[test]
    fn what_scenarios_do_not_have_is_refused_and_the_rest_is_kept() {
        let cases: &[(&str, &[&str], &str)] = &[
            ("a: &x 1\nb: 2", &["&x|anchors cannot be used: `&x`"], "{a: 1, b: 2}"),
            ("é: &x\n  b: 2", &["&x|anchors cannot be used: `&x`"], "{é: {b: 2}}"),
            ("a: [&x {b: 2}]", &["&x|anchors cannot be used: `&x`"], "{a: [{b: 2}]}"),
            (
                "a: &x 1\nb: *x\n",
                &["&x|anchors cannot be used: `&x`", "*x|aliases cannot be used: `*x`"],
                "{a: 1, b: ?}",
            ),
            ("a: !!str 5\n", &["!!str|tags cannot be used: `!!str`"], "{a: ?}"),
            (
                "a: !mine &m\n  - 1\n",
                &["!mine|tags cannot be used: `!mine`", "&m|anchors cannot be used: `&m`"],
                "{a: [1]}",
            ),
            ("<<: {b: 1}\nc: 2", &["<<|merge keys cannot be used: `<<`"], "{c: 2}"),
            ("a: 1\nb: 2\na: {c: 3}\n", &["a|`a` is given twice"], "{a: 1, b: 2}"),
            ("? [x, y]\n: 1\nb: 2\n", &["[x, y]|a key is a word, and this is a list"], "{b: 2}"),
            ("{x: y}: 1\nb: 2\n", &["{x: y}|a key is a word, and this is a map"], "{b: 2}"),
            (": 1\nb: 2\n", &["|a key is missing before the `:`"], "{b: 2}"),
            ("a: 1\n---\nb: 2\n", &["---|a second document starts here"], "{a: 1}"),
            (
                "a: [1,\t2]\nb: 'x\ty'",
                &["\t|a tab stands where only spaces may"],
                "{a: [1, 2], b: \"x\\ty\"}",
            ),
        ];
        for (text, expected, tree) in cases {
            let Parsed { root, diagnostics } = parse(&Source::new("x", *text));
            let found = diagnostics.iter().map(|d| format!("{}|{}", &text[d.place()], d.message));
            assert_eq!(found.collect::<Vec<_>>(), *expected, "{text:?}");
            assert_eq!(outline(&root.unwrap()), *tree, "{text:?}");
            assert!(diagnostics.iter().all(|d| d.help.is_some()), "{text:?}");
        }
    }

    #[test]
    fn limits_are_named_when_reached() {
        for (text, expected) in [
            (format!("a: {}", "x".repeat(Source::BYTES_MAX)), "the document has more than 1 MiB"),
            (format!("[{}]", "1,".repeat(Source::NODES_MAX)), "more than 100000 values"),
            ("- ".repeat(33), "the limit of 32 levels"),
        ] {
            let Parsed { root, diagnostics } = parse(&Source::new("x", text));
            assert_eq!(root, None);
            assert!(diagnostics[0].message.contains(expected), "{diagnostics:?}");
        }
        let fits = parse(&Source::new("x", format!("{}x", "- ".repeat(32))));
        assert_eq!(fits.diagnostics, []);
    }

    #[test]
    fn paths_lead_to_places_or_to_the_nearest_ancestor() {
        let text = "ü: 1\nrules:\n  - when: { route: x, }\n    script: [hang, 'é']\n  - empty:\n";
        let root = parse(&Source::new("x", text)).root.unwrap();
        let cases: &[(&[Step<'_>], &str, &str)] = &[
            (&[Key("ü")], "1", "ü"),
            (&[Key("rules"), Index(0), Key("when")], "{ route: x, }", "when"),
            (&[Key("rules"), Index(0), Key("when"), Key("route")], "x", "route"),
            (&[Key("rules"), Index(0), Key("script"), Index(1)], "'é'", "'é'"),
            (&[Key("rules"), Index(0), Key("script"), Index(7)], "[hang, 'é']", "script"),
            (&[Key("rules"), Index(0), Key("script"), Index(0), Key("x")], "hang", "hang"),
            (&[Key("rules"), Index(1), Key("empty")], "empty", "empty"),
            (&[Key("rules"), Index(9)], &text[15..text.len() - 2], "rules"),
            (&[Key("none")], text.trim_end_matches(":\n"), text.trim_end_matches(":\n")),
        ];
        for (path, value, key) in cases {
            assert_eq!(&text[root.place(path)], *value, "{path:?}");
            assert_eq!(&text[root.key_place(path)], *key, "{path:?}");
        }
        assert!(root.at(&[Key("rules"), Index(1)]).is_some());
        assert_eq!(root.at(&[Key("rules"), Key("x")]), None);
    }

    /// Text made of the pieces that YAML gives a meaning to.
    fn yaml_like() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            4 => prop::sample::select(vec![
                "- ", ": ", ":", "\n", "\n  ", "\n    ", "? ", "[", "]", "{", "}", ", ", "'", "\"",
                "&a ", "*a", "!!t ", "<<", "|\n", ">-\n", "#", "%", "---\n", "...\n", "\t", "\r\n",
                "~", "\\", "\u{feff}", "@", "`",
            ])
            .prop_map(str::to_owned),
            3 => "[a-c0-9é漢]{1,3}",
            1 => any::<char>().prop_map(String::from),
        ];
        prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
    }

    fn assert_places(node: &Node, text: &str) {
        assert!(text.get(node.place.clone()).is_some(), "{text:?} {node:?}");
        match &node.kind {
            NodeKind::List(items) => items.iter().for_each(|item| assert_places(item, text)),
            NodeKind::Map(entries) => entries.iter().for_each(|entry| {
                assert!(text.get(entry.key_place.clone()).is_some(), "{text:?} {entry:?}");
                assert_places(&entry.value, text);
            }),
            NodeKind::Scalar { text: value, quoted: false } if !value.contains([' ', '\n']) => {
                assert_eq!(&text[node.place.clone()], value, "{text:?}");
            }
            _ => {}
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn any_text_becomes_a_tree_with_true_places_or_a_diagnostic(text in yaml_like()) {
            let parsed = parse(&Source::new("x", text.as_str()));
            prop_assert!(parsed.root.is_some() || !parsed.diagnostics.is_empty());
            if let Some(root) = &parsed.root {
                assert_places(root, &text);
            }
            for label in parsed.diagnostics.iter().flat_map(|diagnostic| &diagnostic.labels) {
                prop_assert!(text.get(label.place.clone()).is_some(), "{text:?} {label:?}");
            }
        }
    }
}
