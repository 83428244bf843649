//! What is wrong with a document, where, and the way out.
//!
//! A [`Diagnostic`] is data; [`render`] alone turns it into text, in the manner of rustc.
//! Whatever reaches the terminal is made harmless here: control characters are drawn as pictures,
//! long lines are cut around the place that matters, and a flood of mistakes is counted.

use std::borrow::Cow;
use std::io;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Element, Group, Level, Origin, Renderer, Snippet};

use super::source::Source;

/// One mistake in a document.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Diagnostic {
    /// What is wrong: fits after `error: `.
    pub message: String,
    /// The places that show it; the primary one comes first.
    pub labels: Vec<Label>,
    /// The way out: fits after `help: `.
    pub help: Option<String>,
}

impl Diagnostic {
    /// A mistake at a place, in bytes of the document.
    pub fn new(message: impl Into<String>, place: Range<usize>) -> Self {
        let labels = vec![Label { place, text: String::new(), primary: true }];
        Self { message: message.into(), labels, help: None }
    }

    /// Says something at the mistake's own place.
    #[must_use]
    pub fn label(mut self, text: impl Into<String>) -> Self {
        if let Some(primary) = self.labels.first_mut() {
            primary.text = text.into();
        }
        self
    }

    /// Adds another place that explains the mistake.
    #[must_use]
    pub fn note(mut self, place: Range<usize>, text: impl Into<String>) -> Self {
        self.labels.push(Label { place, text: text.into(), primary: false });
        self
    }

    /// Offers the way out.
    #[must_use]
    pub fn help(mut self, text: impl Into<String>) -> Self {
        self.help = Some(text.into());
        self
    }

    /// Where the mistake is.
    pub fn place(&self) -> Range<usize> {
        self.labels.first().map_or(0..0, |label| label.place.clone())
    }

    fn report<'a>(&'a self, source: &'a Source) -> Vec<Group<'a>> {
        let title = Level::ERROR.primary_title(harmless(&self.message));
        let mut groups = vec![title.elements(excerpts(&self.labels, source))];
        if let Some(help) = &self.help {
            groups.push(Group::with_title(Level::HELP.secondary_title(harmless(help))));
        }
        groups
    }
}

/// A place in the document with a remark.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Label {
    /// The bytes it is about.
    pub place: Range<usize>,
    /// The remark; may be empty.
    pub text: String,
    /// Whether this is where the mistake is, or a place that explains it.
    pub primary: bool,
}

/// How diagnostics are drawn.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    /// Whether terminal colours are used.
    pub colour: bool,
    /// Columns that the author's lines may take; never fewer than 40 are used.
    pub width: usize,
}

/// Writes diagnostics in the order of their places, with a blank line between them.
///
/// At most `SHOWN_MAX` are written, the rest is counted. Nothing is written if there are none.
pub fn render(
    diagnostics: &[Diagnostic],
    source: &Source,
    style: Style,
    out: &mut dyn io::Write,
) -> io::Result<()> {
    let mut sorted: Vec<&Diagnostic> = diagnostics.iter().collect();
    sorted.sort_by_key(|diagnostic| diagnostic.place().start);
    let renderer = if style.colour { Renderer::styled() } else { Renderer::plain() };
    let renderer = renderer.term_width(style.width.max(WIDTH_MIN));
    for (index, diagnostic) in sorted.iter().take(SHOWN_MAX).enumerate() {
        if index > 0 {
            writeln!(out)?;
        }
        writeln!(out, "{}", renderer.render(&diagnostic.report(source)))?;
    }
    if let Some(hidden @ 1..) = sorted.len().checked_sub(SHOWN_MAX) {
        let title = format!("{hidden} more mistakes are not shown");
        let title = Group::with_title(Level::ERROR.primary_title(title));
        writeln!(out, "\n{}", renderer.render(&[title]))?;
    }
    Ok(())
}

/// Text of the author in backticks, on one line and cut to a length that a message can bear.
pub(super) fn quote(text: &str) -> String {
    let mut shown: String = text.chars().take(QUOTE_CHARS_MAX).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    format!("`{}`", shown.trim_end())
}

/// Several texts in backticks, as a sentence lists them.
pub(super) fn quote_all<'a>(texts: impl IntoIterator<Item = &'a str>, last: &str) -> String {
    let quoted: Vec<String> = texts.into_iter().map(quote).collect();
    match quoted.as_slice() {
        [] => String::new(),
        [only] => only.clone(),
        [first @ .., end] => format!("{} {last} {end}", first.join(", ")),
    }
}

/// The nearest of several names, if one is near enough to be meant.
pub(super) fn nearest<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let plain = |text: &str| text.to_lowercase().replace(['_', ' '], "-");
    let name = plain(name);
    // In a short name, two edits leave nothing of what was meant.
    let within = if name.chars().count() <= 4 { 1 } else { DISTANCE_MAX };
    candidates
        .into_iter()
        .filter(|candidate| candidate.len().abs_diff(name.len()) <= 4 * DISTANCE_MAX)
        .map(|candidate| (distance(&name, &plain(candidate)), candidate))
        .filter(|(distance, _)| *distance <= within)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Edits between two words: letters inserted, removed, replaced, or two neighbours swapped.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 0..a.len() {
        let mut row = vec![i + 1];
        for j in 0..b.len() {
            let replaced = last[j] + usize::from(a[i] != b[j]);
            let mut edits = replaced.min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && a[i] == b[j - 1] && a[i - 1] == b[j] {
                edits = edits.min(before[j - 1] + 1);
            }
            row.push(edits);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

/// The author's lines around the labels.
///
/// Labels that are far apart get excerpts of their own, and a place that is too far to the right
/// is only named, so that one diagnostic costs the same whatever the document looks like.
fn excerpts<'a>(labels: &'a [Label], source: &'a Source) -> Vec<Element<'a>> {
    let labels: Vec<(&Label, Range<usize>)> =
        labels.iter().map(|label| (label, on_one_line(&label.place, source))).collect();
    let together = labels.iter().map(|(_, place)| source.line_at(place.start));
    let together = together.reduce(|a, b| a.start.min(b.start)..a.end.max(b.end));
    match together {
        None => Vec::new(),
        Some(lines) if lines.len() <= EXCERPT_BYTES_MAX => vec![excerpt(&labels, source)],
        Some(_) => labels.chunks(1).map(|label| excerpt(label, source)).collect(),
    }
}

fn excerpt<'a>(labels: &[(&'a Label, Range<usize>)], source: &'a Source) -> Element<'a> {
    let name = harmless(source.name());
    let first = labels.iter().map(|(_, place)| place.start).min().unwrap_or(0);
    let last = labels.iter().map(|(_, place)| place.end).max().unwrap_or(0);
    let start = source.line_at(first).start;
    let end = source.line_at(last).end.min(last + EXCERPT_BYTES_MAX);
    let lines = &source.text()[start..source.text().floor_char_boundary(end)];
    let position = source.position(first);
    if lines.len() > 2 * EXCERPT_BYTES_MAX {
        return Origin::path(name).line(position.line).char_column(position.column).into();
    }
    let annotations = labels.iter().map(|(label, place)| {
        let kind = if label.primary { AnnotationKind::Primary } else { AnnotationKind::Context };
        let text = (!label.text.is_empty()).then(|| harmless(&label.text));
        kind.span(place.start - start..place.end - start).label(text)
    });
    Snippet::source(drawable(lines))
        .line_start(position.line)
        .path(name)
        .annotations(annotations)
        .into()
}

/// A place cut to its first line, with both ends between characters.
fn on_one_line(place: &Range<usize>, source: &Source) -> Range<usize> {
    let start = source.text().floor_char_boundary(place.start);
    let end = source.text().ceil_char_boundary(place.end.max(start));
    start..end.min(source.line_at(start).end).max(start)
}

/// The author's lines without the characters that the renderer would let through.
///
/// Each is replaced by one of as many bytes, so that places stay true.
fn drawable(lines: &str) -> Cow<'_, str> {
    let passes = |c: char| !c.is_ascii() && acts_on_terminals(c);
    if !lines.contains(passes) {
        return Cow::Borrowed(lines);
    }
    let replacement = |c: char| if c.len_utf8() == 2 { '¿' } else { '\u{fffd}' };
    Cow::Owned(lines.chars().map(|c| if passes(c) { replacement(c) } else { c }).collect())
}

/// Text that no terminal takes for a command, bounded.
fn harmless(text: &str) -> Cow<'_, str> {
    if text.len() <= MESSAGE_CHARS_MAX && !text.contains(acts_on_terminals) {
        return Cow::Borrowed(text);
    }
    let mut shown: String = text
        .chars()
        .take(MESSAGE_CHARS_MAX)
        .map(|c| match c {
            '\t' => ' ',
            '\0'..='\u{1f}' => char::from_u32(0x2400 + u32::from(c)).unwrap_or('\u{fffd}'),
            c if acts_on_terminals(c) => '\u{fffd}',
            c => c,
        })
        .collect();
    if text.chars().nth(MESSAGE_CHARS_MAX).is_some() {
        shown.push('…');
    }
    Cow::Owned(shown)
}

/// Control characters, line separators, and the marks that turn the direction of writing.
fn acts_on_terminals(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Edits after which one word is no longer taken for another.
const DISTANCE_MAX: usize = 2;
/// Most diagnostics in one rendering: more than anybody reads before mending the first.
pub(super) const SHOWN_MAX: usize = 100;
/// Longest message, label or help: room for the longest list of keys.
const MESSAGE_CHARS_MAX: usize = 2_000;
/// Longest piece of the author's text inside a message: about half a terminal's line.
const QUOTE_CHARS_MAX: usize = 48;
/// Longest excerpt around a diagnostic, and longest tail of a line: rendering is linear in it.
const EXCERPT_BYTES_MAX: usize = 4096;
/// Narrowest rendering: below this an excerpt has no room for the author's words.
const WIDTH_MIN: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, diagnostics: &[Diagnostic], expected: &str) {
        let shown = rendered(diagnostics, &Source::new("flaky.yaml", text), false);
        assert_eq!(shown, expected, "\n{shown}");
    }

    fn rendered(diagnostics: &[Diagnostic], source: &Source, colour: bool) -> String {
        let mut out = Vec::new();
        render(diagnostics, source, Style { colour, width: 80 }, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_diagnostic_says_what_where_and_the_way_out() {
        check(
            "rules:\n  - when: x\n    thén: { retry_after: 2s }\n",
            &[Diagnostic::new("unknown key `retry_after`", 32..43)
                .label("here")
                .help("did you mean `retry-after`?")],
            "\
error: unknown key `retry_after`
 --> flaky.yaml:3:13
  |
3 |     thén: { retry_after: 2s }
  |             ^^^^^^^^^^^ here
  |
help: did you mean `retry-after`?
",
        );
    }

    #[test]
    fn diagnostics_come_in_the_order_of_their_places() {
        check(
            "a: 1\nb: 2\nc: 3\n",
            &[
                Diagnostic::new("second", 10..11).note(0..1, "because of this"),
                Diagnostic::new("first", 5..6),
            ],
            "\
error: first
 --> flaky.yaml:2:1
  |
2 | b: 2
  | ^

error: second
 --> flaky.yaml:3:1
  |
1 | a: 1
  | - because of this
2 | b: 2
3 | c: 3
  | ^
",
        );
    }

    #[test]
    fn a_place_of_many_lines_shows_its_first() {
        check(
            "a:\n  b: 1\n  c: 2\n",
            &[Diagnostic::new("too much", 0..16)],
            "\
error: too much
 --> flaky.yaml:1:1
  |
1 | a:
  | ^^
",
        );
    }

    #[test]
    fn an_empty_document_still_has_a_place() {
        check(
            "",
            &[Diagnostic::new("the document is empty", 0..0)],
            "error: the document is empty\n --> flaky.yaml:1:1\n  |\n1 |\n  | ^\n",
        );
    }

    #[test]
    fn labels_far_apart_are_shown_apart() {
        let text = format!("a: 1\n{}b: 2\n", "\n".repeat(9_000));
        let place = 9_005..9_006;
        let shown = rendered(
            &[Diagnostic::new("twice", place).note(0..1, "first")],
            &Source::new("x", text),
            false,
        );
        assert!(shown.contains("x:9002:1") && shown.contains("1 | a: 1"), "{shown}");
        assert!(shown.len() < 400, "{shown}");
    }

    #[test]
    fn a_long_line_is_cut_around_the_place() {
        let text = format!("a: [{} bad, {}]", "x, ".repeat(1_000), "y, ".repeat(300_000));
        let source = Source::new("x", text);
        let near = rendered(&[Diagnostic::new("near", 3_005..3_008)], &source, false);
        assert!(near.contains("x:1:3006") && near.contains("bad"), "{near}");
        let far = rendered(&[Diagnostic::new("far", 100_000..900_000)], &source, false);
        assert!(far.contains("x:1:100001"), "{far}");
        assert!(near.len() < 500 && far.len() < 500, "{near}{far}");
    }

    #[test]
    fn hostile_text_reaches_no_terminal() {
        let source =
            Source::new("p\u{1b}[2J.yaml", "a: \u{1b}[31m\u{202e}b\u{7}\u{9b}\u{2028}\rc\u{7f}\n");
        let evil = "\u{1b}]0;x\u{7}\u{9b}31m\u{202e}\r\n";
        let diagnostic = Diagnostic::new(evil, 3..5).label(evil).note(0..1, evil).help(evil);
        let shown = rendered(&[diagnostic], &source, false);
        assert!(!shown.contains(|c| c != '\n' && acts_on_terminals(c)), "{shown:?}");
        assert!(shown.contains("␛]0;x␇"), "{shown}");
    }

    #[test]
    fn a_flood_is_counted() {
        let source = Source::new("x", "a: 1\n");
        let flood = vec![Diagnostic::new("m".repeat(5_000), 0..1); 5 * SHOWN_MAX];
        let shown = rendered(&flood, &source, false);
        assert!(shown.ends_with("\n\nerror: 400 more mistakes are not shown\n"), "{shown}");
        assert_eq!(shown.matches("mmm…\n").count(), SHOWN_MAX);
    }

    #[test]
    fn colour_is_a_parameter() {
        let source = Source::new("x", "a: 1\n");
        let diagnostic = [Diagnostic::new("wrong", 0..1)];
        assert!(rendered(&diagnostic, &source, true).contains('\u{1b}'));
        assert!(!rendered(&diagnostic, &source, false).contains('\u{1b}'));
        assert_eq!(rendered(&[], &source, false), "");
    }

    #[test]
    fn quotes_are_bounded() {
        assert_eq!(quote("retry-after"), "`retry-after`");
        assert_eq!(quote(&"é".repeat(100)), format!("`{}…`", "é".repeat(QUOTE_CHARS_MAX)));
        assert_eq!(quote_all(["a"], "or"), "`a`");
        assert_eq!(quote_all(["a", "b", "c"], "or"), "`a`, `b` or `c`");
    }

    #[test]
    fn only_a_near_name_is_suggested() {
        let names = ["retry-after", "times", "on", "from"];
        for (name, expected) in [
            ("retry_after", Some("retry-after")),
            ("RetryAfter", Some("retry-after")),
            ("rerty-aftr", Some("retry-after")),
            ("time", Some("times")),
            ("form", Some("from")),
            ("at", None),
            ("retry", None),
        ] {
            assert_eq!(nearest(name, names), expected, "{name}");
        }
    }
}
