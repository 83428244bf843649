//! Text that is not a document: what the parser complains about, in our words.
//!
//! The parser's messages are for those who know its grammar. Here each becomes what the author
//! wrote, where, and the way out; and what must not even reach the parser is found before.

use super::builder::Frame;
use crate::scenario::diagnostic::{Diagnostic, quote};
use crate::scenario::invisible::Invisible;
use crate::scenario::source::Source;

/// What makes a text unfit for parsing at all.
pub(super) fn unreadable(source: &Source) -> Option<Diagnostic> {
    let text = source.text();
    if text.len() > Source::BYTES_MAX {
        // How much more is not known: reading stops behind the limit.
        let message = format!("the document has more than {} MiB", Source::BYTES_MAX >> 20);
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

/// The parser's complaint in our words.
pub(super) fn syntax_error(info: &str, text: &str, at: usize, flow: Option<&Frame>) -> Diagnostic {
    let says = |part: &str| info.contains(part);
    if let Some(diagnostic) = invisible(text, at) {
        return diagnostic;
    }
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
        let (open, close) = frame.brackets();
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

/// An invisible character at a sign of the line that the parser complains about, or of the line
/// before: a key without its sign is noticed one line late.
fn invisible(text: &str, at: usize) -> Option<Diagnostic> {
    let end = text[at..].find('\n').map_or(text.len(), |end| at + end);
    let start_of = |at: usize| text[..at].rfind('\n').map_or(0, |end| end + 1);
    let start = start_of(text[..start_of(at)].trim_end_matches(['\n', '\r', ' ']).len());
    let invisible = Invisible::find_at_sign(&text[start..end])?;
    let message = format!("{} stands where a plain space is meant", invisible.name());
    let diagnostic = Diagnostic::new(message, invisible.place(start));
    Some(diagnostic.help(invisible.help()))
}

/// What is wrong with a document that nests deeper than its limit.
pub(super) fn too_deep() -> String {
    format!("lists and maps nest deeper than the limit of {} levels", Source::NESTING_MAX)
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

#[cfg(test)]
mod tests {
    use super::super::{Parsed, parse};
    use super::*;

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
            (
                "a: 1\nb:\u{a0}2\nc: 3\n",
                "\u{a0}|a no-break space (U+00A0) stands where a plain space is meant",
            ),
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
    fn bytes_that_are_not_utf8_are_refused() {
        let parsed = parse(&Source::from_bytes("x", b"a: \xff"));
        assert_eq!(parsed.diagnostics[0].message, "the document is not UTF-8");
    }
}
