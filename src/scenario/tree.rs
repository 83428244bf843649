//! A document as a tree of nodes that know their places.
//!
//! Parsing decides what is a list, a map, a scalar or nothing, and refuses the parts of YAML that a
//! scenario does not have: several documents, anchors, aliases, tags, merge keys, keys that are not
//! words, keys given twice, tabs. It knows no types: `1` and `one` are both text until a schema or
//! a decoder asks.

use std::collections::BTreeMap;
use std::ops::Range;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span};

use super::diagnostic::{Diagnostic, quote};
use super::source::Source;

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

/// What makes a text unfit for parsing at all.
fn unreadable(source: &Source) -> Option<Diagnostic> {
    let text = source.text();
    if text.len() > Source::BYTES_MAX {
        let message = format!(
            "the document has {} bytes, more than the limit of {}",
            text.len(),
            Source::BYTES_MAX
        );
        return Some(Diagnostic::new(message, 0..0).help("split it into several scenarios"));
    }
    if let Some(at) = source.not_utf8() {
        let place = at..at + 1;
        return Some(
            Diagnostic::new("the document is not UTF-8", place)
                .label("the first byte that cannot be read")
                .help("save the file as UTF-8"),
        );
    }
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let followed_by_feed = chars.peek().is_some_and(|(_, next)| *next == '\n');
        let wrong = match c {
            '\t' | '\n' => false,
            '\r' => !followed_by_feed,
            // YAML 1.1 ends a line here, YAML 1.2 does not.
            '\u{85}' | '\u{2028}' | '\u{2029}' => true,
            '\u{feff}' => at > 0,
            c => c.is_control(),
        };
        if wrong {
            let code = u32::from(c);
            let message = format!("a control character, U+{code:04X}, stands in the document");
            let help = match c {
                '\r' => "end lines with a line feed".to_owned(),
                _ => format!("remove it, or write `\"\\u{code:04x}\"` in double quotes"),
            };
            return Some(Diagnostic::new(message, at..at + c.len_utf8()).help(help));
        }
    }
    directive(text)
}

/// A line before the document that speaks to the YAML parser.
///
/// Found here, because the parser's places are wrong behind a directive that is not ASCII.
fn directive(text: &str) -> Option<Diagnostic> {
    let mut at = text.len() - text.trim_start_matches('\u{feff}').len();
    for line in text[at..].split_inclusive('\n') {
        let words = line.trim();
        if line.starts_with('%') {
            let message = format!("directives cannot be used: {}", quote(words));
            let diagnostic = Diagnostic::new(message, at..at + words.len());
            return Some(diagnostic.help("remove the line"));
        }
        if !words.is_empty() && !words.starts_with('#') && !words.starts_with("...") {
            break;
        }
        at += line.len();
    }
    None
}

/// Parsing cannot go on; a diagnostic says why.
#[derive(Debug)]
struct Stop;

/// The state between two events: collections that are not closed yet, outermost first.
#[derive(Debug)]
struct Builder<'s> {
    text: &'s str,
    offsets: Offsets,
    frames: Vec<Frame>,
    root: Option<Node>,
    nodes: usize,
    /// Where scalars stand; a tab is harmless there.
    scalars: Vec<Range<usize>>,
    /// How much of the text has been turned into events.
    seen: usize,
    found: Vec<Diagnostic>,
}

impl<'s> Builder<'s> {
    fn new(source: &'s Source) -> Self {
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

    fn second_document(&mut self, span: &Span) {
        let place = self.place(span);
        self.seen = place.start;
        let diagnostic = Diagnostic::new("a second document starts here", place);
        self.found.push(diagnostic.help("write one scenario per file"));
    }

    fn handle(&mut self, event: Event<'_>, span: &Span) -> Result<(), Stop> {
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

    fn syntax(&mut self, error: &ScanError) -> Result<(), Stop> {
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

    fn finish(mut self) -> Parsed {
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

/// A collection that is still open.
#[derive(Debug)]
struct Frame {
    start: usize,
    /// Whether it is written with brackets.
    flow: bool,
    collection: Collection,
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

fn too_deep() -> String {
    format!("lists and maps nest deeper than the limit of {} levels", Source::NESTING_MAX)
}

/// The parser's complaint in our words.
fn syntax_error(info: &str, text: &str, at: usize, flow: Option<&Frame>) -> Diagnostic {
    let says = |part: &str| info.contains(part);
    let place = at..text.ceil_char_boundary((at + 1).min(text.len()));
    let found = text[place.clone()].trim();
    let new = |message: &str| Diagnostic::new(message, place.clone());
    let line = |at: usize| {
        let start = text[..at].rfind('\n').map_or(0, |end| end + 1);
        let line = text[start..].lines().next().unwrap_or_default();
        let end = start + line.trim_end().len();
        end - line.trim().len()..end
    };
    if says("recursion limit") {
        let diagnostic = Diagnostic::new(too_deep(), place.start..place.start);
        return diagnostic.help("flatten the document");
    } else if says("anchor") {
        return new("anchors and aliases cannot be used")
            .help("quote the text if it starts with `&` or `*`");
    } else if says(" tag") || says("TAG") || says("the handle") {
        return new("tags cannot be used").help("quote the text if it starts with `!`");
    }
    if let Some(frame) = flow
        && !says("quoted scalar")
        && !says("unexpected character")
    {
        let (open, close) = match frame.collection {
            Collection::List(_) => ('[', ']'),
            Collection::Map { .. } => ('{', '}'),
        };
        let message = match found {
            "" => format!("`{open}` is never closed"),
            _ => format!("a `,` or `{close}` is missing here"),
        };
        return Diagnostic::new(message, place)
            .note(frame.start..frame.start + 1, "opened here")
            .help(format!(
                "close it with `{close}`, and quote text that holds `,`, `:` or brackets"
            ));
    }
    if says("indentation in quoted") {
        new("a quote is not closed before the next key")
            .help("close it, or indent the lines that continue the text")
    } else if says("end of stream") || says("document indicator") {
        new("a quote is never closed").help("close it, or use a text block: `|` and indented lines")
    } else if says("trailing content after") {
        new("text follows the closing quote")
            .help("write `''` for a quote inside single quotes, `\\\"` inside double quotes")
    } else if says("escape") || says("hexadecimal") {
        new("this text holds an escape that YAML does not know")
            .help("write `\\\\` for a backslash, or use single quotes")
    } else if says("mapping values are not allowed") || says("illegal placement of ':'") {
        new("a `:` stands where no key can be")
            .help("give each key a line of its own, indented like its neighbours; quote text that holds `: `")
    } else if says("must be followed by") {
        new("a `:` needs a space behind it").help("write `key: value`")
    } else if says("expected key") {
        Diagnostic::new("this line does not belong to the map above it", line(at))
            .help("write `key: value`, indented like the map's other keys")
    } else if says("'-' indicator") {
        Diagnostic::new("this line does not belong to the list above it", line(at))
            .help("start it with `- ` like the other items, or indent it like the list's key")
    } else if says("block sequence entries") {
        new("a list cannot start here").help("put it below its key: one `- ` line per item")
    } else if says("simple key") {
        // The complaint comes after the line that lacks the sign.
        Diagnostic::new("a key without its `:`", line(text[..at].trim_end().len()))
            .help("write `key: value`, or indent the line if it continues the one above")
    } else if says("unexpected character") || says("cannot start with '-'") {
        Diagnostic::new(format!("a value cannot start with {}", quote(found)), place)
            .help("quote the value")
    } else if says("misplaced bracket") {
        new(&format!("{} closes nothing", quote(found))).help("remove it, or quote the text")
    } else if says("block scalar") {
        new("this text block is not indented evenly")
            .help("indent its lines alike, deeper than its key")
    } else if says("document") || says("directive") {
        new("text stands outside of the document").help("write one document, without `...`")
    } else if says("indentation") {
        new("this line is not indented deeply enough").help("indent it deeper than its key")
    } else {
        Diagnostic::new(format!("this is not YAML: {info}"), place)
            .help("quote the text if it is one")
    }
}

/// What YAML takes for space; a no-break space is part of a word.
const SPACES: [char; 4] = [' ', '\t', '\r', '\n'];

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
    fn broken_syntax_is_explained_where_it_is() {
        let deep = "- ".repeat(40);
        let deep_flow = "[".repeat(1_000);
        for (text, expected) in [
            ("é: 'ü", "'|a quote is never closed"),
            ("a: 'it's'", "s|text follows the closing quote"),
            ("a: \"\\q\"", "\"|this text holds an escape that YAML does not know"),
            ("a: b: c", ":|a `:` stands where no key can be"),
            ("a: x\n b: y\n", ":|a `:` stands where no key can be"),
            ("a: 1\n- b\n", "- b|this line does not belong to the map above it"),
            ("- b\na: 1\n", "a: 1|this line does not belong to the list above it"),
            ("a: - b\n", "-|a list cannot start here"),
            ("a: 1\nname\nb: 2\n", "name|a key without its `:`"),
            ("a: @b\n", "@|a value cannot start with `@`"),
            ("a: %5\n", "%|a value cannot start with `%`"),
            ("a: [1, 2\n", "|`[` is never closed"),
            ("a: {b: 1\nc: 2\n", ":|a `,` or `}` is missing here"),
            ("a: ]\n", "]|`]` closes nothing"),
            ("a: *nope\nb: 1\n", "*nope|aliases cannot be used: `*nope`"),
            ("a:\n\tb: 1\n\tc: 2\n", "\t|a tab stands where only spaces may"),
            ("a:\tb\n", "\t|a tab stands where only spaces may"),
            ("a: \u{1b}[31m", "\u{1b}|a control character, U+001B, stands in the document"),
            ("a: 1\rb: 2", "\r|a control character, U+000D, stands in the document"),
            ("a: \"x\nb: 1\n", "\"|a quote is not closed before the next key"),
            ("a: !!!! 1\n", "!|tags cannot be used"),
            ("a: & 1\n", "&|anchors and aliases cannot be used"),
            ("# x\n%YAML 1.2\n---\na: 1\n", "%YAML 1.2|directives cannot be used: `%YAML 1.2`"),
            ("a: 1\n... b\n", "b|text stands outside of the document"),
            (&deep, "|lists and maps nest deeper than the limit of 32 levels"),
            (&deep_flow, "|lists and maps nest deeper than the limit of 32 levels"),
        ] {
            let Parsed { root, diagnostics } = parse(&Source::new("x", text));
            assert_eq!(root, None, "{text:?}");
            let [diagnostic] = diagnostics.as_slice() else { panic!("{text:?}: {diagnostics:?}") };
            assert_eq!(
                format!("{}|{}", &text[diagnostic.place()], diagnostic.message),
                expected,
                "{text:?}"
            );
            assert!(diagnostic.help.is_some(), "{text:?}");
        }
    }

    #[test]
    fn limits_are_named_when_reached() {
        for (text, expected) in [
            (format!("a: {}", "x".repeat(Source::BYTES_MAX)), "more than the limit of 1048576"),
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
    fn bytes_that_are_not_utf8_are_refused() {
        let parsed = parse(&Source::from_bytes("x", b"a: \xff"));
        assert_eq!(parsed.diagnostics[0].message, "the document is not UTF-8");
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
