//! The tree of a document, built from the parser's events.

use std::collections::BTreeMap;
use std::ops::Range;

use saphyr_parser::{Event, ScalarStyle, ScanError, Span};

use super::syntax::{syntax_error, too_deep};
use super::{Entry, Node, NodeKind, Parsed};
use crate::scenario::diagnostic::{Diagnostic, quote};
use crate::scenario::source::Source;

/// The state between two events: collections that are not closed yet, outermost first.
#[derive(Debug)]
pub(super) struct Builder<'s> {
    text: &'s str,
    offsets: Offsets,
    frames: Vec<Frame>,
    pub(super) root: Option<Node>,
    nodes: usize,
    /// Where scalars stand; a tab is harmless there.
    scalars: Vec<Range<usize>>,
    /// How much of the text has been turned into events.
    seen: usize,
    found: Vec<Diagnostic>,
}

impl<'s> Builder<'s> {
    pub(super) fn new(source: &'s Source) -> Self {
        let text = source.text();
        Self {
            text,
            offsets: Offsets::new(text),
            frames: Vec::new(),
            root: None,
            nodes: 0,
            scalars: Vec::new(),
            seen: text.len(),
            found: Vec::new(),
        }
    }

    pub(super) fn second_document(&mut self, span: &Span) {
        let place = self.place(span);
        self.seen = place.start;
        let diagnostic = Diagnostic::new("a second document starts here", place);
        self.found.push(diagnostic.help("write one scenario per file"));
    }

    pub(super) fn handle(&mut self, event: Event<'_>, span: &Span) -> Result<(), Stop> {
        let place = self.place(span);
        match event {
            Event::Alias(_) => {
                self.alias(place.clone());
                self.complete(Node { place, kind: NodeKind::Refused }, None)
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.scalars.push(place.clone());
                let start = match (anchor, &tag) {
                    (0, None) => place.start,
                    _ => self.properties(place.start),
                };
                let quoted = style != ScalarStyle::Plain;
                let place = self.trim(start..place.end.max(start));
                let kind = match &*text {
                    _ if tag.is_some() => NodeKind::Refused,
                    "" | "~" | "null" | "Null" | "NULL" if !quoted => NodeKind::Null,
                    _ => NodeKind::Scalar { text: text.to_string(), quoted },
                };
                let key = Key { text: text.into_owned(), quoted, place: place.clone() };
                self.complete(Node { place, kind }, Some(key))
            }
            Event::SequenceStart(anchor, tag) => {
                self.open(&place, anchor != 0 || tag.is_some(), Collection::List(Vec::new()))
            }
            Event::MappingStart(anchor, tag) => {
                let map =
                    Collection::Map { entries: Vec::new(), seen: BTreeMap::new(), next: Next::Key };
                self.open(&place, anchor != 0 || tag.is_some(), map)
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(place.end),
            _ => Ok(()),
        }
    }

    fn open(
        &mut self,
        place: &Range<usize>,
        properties: bool,
        collection: Collection,
    ) -> Result<(), Stop> {
        let start = if properties { self.properties(place.start) } else { place.start };
        if self.frames.len() >= Source::NESTING_MAX {
            self.found.push(Diagnostic::new(too_deep(), start..start).help("flatten the document"));
            return Err(Stop);
        }
        // Only `[` and `{` have a width: a block collection starts where its first child does.
        let flow = !place.is_empty() && self.text[start..].starts_with(['[', '{']);
        self.frames.push(Frame { start, flow, collection });
        Ok(())
    }

    fn close(&mut self, end: usize) -> Result<(), Stop> {
        let Some(Frame { start, flow, collection }) = self.frames.pop() else { return Ok(()) };
        let kind = match collection {
            Collection::List(items) => NodeKind::List(items),
            Collection::Map { entries, .. } => NodeKind::Map(entries),
        };
        let last = match &kind {
            NodeKind::List(items) => items.last().map(|item| item.place.end),
            NodeKind::Map(entries) => {
                entries.last().map(|entry| entry.value.place.end.max(entry.key_place.end))
            }
            _ => None,
        };
        let closer = if matches!(kind, NodeKind::List(_)) { ']' } else { '}' };
        let end = match flow {
            false => last.unwrap_or(end),
            // The event of a collection with a trailing comma ends before its bracket.
            true if !self.text[..end].ends_with(closer) => {
                end + usize::from(self.text[end..].starts_with(closer))
            }
            true => end,
        };
        self.complete(Node { place: start..end.max(start), kind }, None)
    }

    /// Puts a finished node where it belongs: into the list, the map, or as the key of a map.
    fn complete(&mut self, mut node: Node, key: Option<Key>) -> Result<(), Stop> {
        self.nodes += 1;
        if self.nodes > Source::NODES_MAX {
            let message = format!("the document has more than {} values", Source::NODES_MAX);
            self.found
                .push(Diagnostic::new(message, node.place).help("split it into several scenarios"));
            return Err(Stop);
        }
        if node.place.is_empty() {
            // A value that was left out is shown at the sign that announced it: `-`, `,` or `:`.
            let end = self.text[..node.place.start].trim_end_matches(SPACES).len();
            node.place = end..end;
        }
        match self.frames.last_mut().map(|frame| &mut frame.collection) {
            None => self.root = Some(node),
            Some(Collection::List(items)) => {
                if let Range { start: end @ 1.., .. } = node.place
                    && node.place.is_empty()
                {
                    node.place = self.text.floor_char_boundary(end - 1)..end;
                }
                items.push(node);
            }
            Some(Collection::Map { entries, seen, next }) => {
                match std::mem::replace(next, Next::Key) {
                    Next::Key => match Self::key(node, key, seen) {
                        Ok(key) => *next = Next::Value(key),
                        Err(refused) => {
                            *next = Next::Dropped;
                            self.found.extend(refused);
                        }
                    },
                    Next::Dropped => {}
                    Next::Value(Key { text: key, quoted: key_quoted, place: key_place }) => {
                        entries.push(Entry { key, key_quoted, key_place, value: node });
                    }
                }
            }
        }
        Ok(())
    }

    /// The key that a node in a key's position stands for, or what is wrong with it
    /// if nobody has said so yet.
    fn key(
        node: Node,
        key: Option<Key>,
        seen: &mut BTreeMap<String, Range<usize>>,
    ) -> Result<Key, Option<Diagnostic>> {
        let place = node.place;
        let what = match (node.kind, key) {
            (NodeKind::Refused, _) => return Err(None),
            (NodeKind::Map(_), _) => "a map",
            (NodeKind::List(_), _) | (_, None) => "a list",
            (_, Some(key)) if key.text.is_empty() && !key.quoted => {
                let diagnostic = Diagnostic::new("a key is missing before the `:`", place);
                return Err(Some(diagnostic.help("name what the value is for")));
            }
            (_, Some(key)) if key.text == "<<" && !key.quoted => {
                let diagnostic = Diagnostic::new("merge keys cannot be used: `<<`", place);
                return Err(Some(diagnostic.help("write the keys out")));
            }
            (_, Some(key)) => match seen.get(&key.text) {
                None => {
                    seen.insert(key.text.clone(), key.place.clone());
                    return Ok(key);
                }
                Some(first) => {
                    let message = format!("{} is given twice", quote(&key.text));
                    let diagnostic = Diagnostic::new(message, key.place)
                        .label("given again")
                        .note(first.clone(), "first given here")
                        .help("keep one of the two");
                    return Err(Some(diagnostic));
                }
            },
        };
        let diagnostic = Diagnostic::new(format!("a key is a word, and this is {what}"), place);
        Err(Some(diagnostic.help("if text is meant, quote it")))
    }

    fn alias(&mut self, place: Range<usize>) {
        let message = format!("aliases cannot be used: {}", quote(&self.text[place.clone()]));
        self.found.push(
            Diagnostic::new(message, place).help("write the value out, or quote it if it is text"),
        );
    }

    /// Refuses anchors and tags before a value; the answer is where the value itself begins.
    fn properties(&mut self, mut at: usize) -> usize {
        while let Some(sign @ ('&' | '!')) = self.text[at..].chars().next() {
            let rest = &self.text[at..];
            let end = rest.find(|c: char| {
                c.is_whitespace() || (sign == '&' && matches!(c, ',' | '[' | ']' | '{' | '}'))
            });
            let property = &rest[..end.unwrap_or(rest.len())];
            let (what, help) = match sign {
                '&' => ("anchors", "write the value out wherever it is meant"),
                _ => ("tags", "remove it, or quote the text if it is one"),
            };
            let message = format!("{what} cannot be used: {}", quote(property));
            let place = at..at + property.len();
            self.found.push(Diagnostic::new(message, place.clone()).help(help));
            let mut rest = self.text[place.end..].trim_start_matches(SPACES);
            while rest.starts_with('#') {
                rest =
                    rest.split_once('\n').map_or("", |(_, rest)| rest.trim_start_matches(SPACES));
            }
            at = self.text.len() - rest.len();
        }
        at
    }

    pub(super) fn syntax(&mut self, error: &ScanError) -> Result<(), Stop> {
        let at = self.offsets.byte(error.marker().index());
        let line_end = self.text[at..].find('\n').map_or(self.text.len(), |end| at + end);
        self.seen = line_end;
        if error.info().contains("unknown anchor") {
            let rest = &self.text[at..];
            let end = rest.find(|c: char| c.is_whitespace() || ",[]{}".contains(c));
            self.alias(at..at + end.unwrap_or(rest.len()));
        } else if self.tabs(line_end).is_none() {
            let flow = self.frames.iter().rev().find(|frame| frame.flow);
            let diagnostic = syntax_error(error.info(), self.text, at, flow);
            self.found.push(diagnostic);
        }
        Err(Stop)
    }

    /// The first tab before `end` that is not part of a scalar or a comment, with the number of
    /// lines that have one.
    fn tabs(&self, end: usize) -> Option<(usize, usize)> {
        let mut first = None;
        let mut lines = 0;
        let mut scalars = self.scalars.iter().peekable();
        let (mut comment, mut counted, mut before) = (false, false, '\n');
        for (at, c) in self.text[..end].char_indices() {
            while scalars.next_if(|scalar| scalar.end <= at).is_some() {}
            let in_scalar = scalars.peek().is_some_and(|scalar| scalar.start <= at);
            comment = !in_scalar && (comment || (c == '#' && before.is_whitespace())) && c != '\n';
            counted &= c != '\n';
            if c == '\t' && !in_scalar && !comment {
                first.get_or_insert(at);
                lines += usize::from(!counted);
                counted = true;
            }
            before = c;
        }
        first.map(|first| (first, lines))
    }

    pub(super) fn finish(mut self) -> Parsed {
        if let Some((at, lines)) = self.tabs(self.seen) {
            let message = match lines {
                1 => "a tab stands where only spaces may".to_owned(),
                _ => format!("tabs stand where only spaces may, on {lines} lines"),
            };
            self.found.push(Diagnostic::new(message, at..at + 1).help("indent with spaces"));
        }
        if self.root.is_none() && self.found.is_empty() {
            self.root = Some(Node { place: 0..0, kind: NodeKind::Null });
        }
        Parsed { root: self.root, diagnostics: self.found }
    }

    fn place(&self, span: &Span) -> Range<usize> {
        let start = self.offsets.byte(span.start.index());
        start..self.offsets.byte(span.end.index()).max(start)
    }

    /// A place without the line breaks that end a text block.
    fn trim(&self, place: Range<usize>) -> Range<usize> {
        place.start..place.start + self.text[place].trim_end_matches(SPACES).len()
    }
}

/// Parsing cannot go on; a diagnostic says why.
#[derive(Debug)]
pub(super) struct Stop;

/// A collection that is still open.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) start: usize,
    /// Whether it is written with brackets.
    flow: bool,
    collection: Collection,
}

impl Frame {
    /// The brackets that such a collection is written with.
    pub(super) fn brackets(&self) -> (char, char) {
        match self.collection {
            Collection::List(_) => ('[', ']'),
            Collection::Map { .. } => ('{', '}'),
        }
    }
}

#[derive(Debug)]
enum Collection {
    List(Vec<Node>),
    Map {
        entries: Vec<Entry>,
        /// Every key so far with its place.
        seen: BTreeMap<String, Range<usize>>,
        /// What the next node is.
        next: Next,
    },
}

/// What the next node of a map is.
#[derive(Debug)]
enum Next {
    /// A key.
    Key,
    /// The value of a key that was refused; it goes with its key.
    Dropped,
    /// The value of this key.
    Value(Key),
}

#[derive(Debug)]
struct Key {
    text: String,
    quoted: bool,
    place: Range<usize>,
}

/// The byte offset of each character: the parser counts characters.
#[derive(Debug)]
struct Offsets {
    /// Empty if all characters are bytes.
    starts: Vec<usize>,
    len: usize,
}

impl Offsets {
    fn new(text: &str) -> Self {
        let starts = if text.is_ascii() {
            Vec::new()
        } else {
            text.char_indices().map(|(at, _)| at).collect()
        };
        Self { starts, len: text.len() }
    }

    fn byte(&self, character: usize) -> usize {
        match self.starts.as_slice() {
            [] => character.min(self.len),
            starts => starts.get(character).copied().unwrap_or(self.len),
        }
    }
}

/// What YAML takes for space; a no-break space is part of a word.
const SPACES: [char; 4] = [' ', '\t', '\r', '\n'];
