//! A strategy as the file that a person would write.

use serde_json::Value;

use crate::scenario::{Diagnostic, Source, Strategy};

/// A file with one strategy, which `brownout bench --strategies` reads back to the same one; what is left out by default is left out.
pub fn file(name: &str, strategy: &Strategy) -> String {
    let whole = words(strategy);
    let mut text = format!("brownout: 1\nstrategies:\n  {}:\n", scalar(name));
    let Value::Object(words) = &whole else { return text };
    if words.is_empty() {
        // An empty map is a strategy, too: that of the defaults.
        return format!("brownout: 1\nstrategies:\n  {}: {{}}\n", scalar(name));
    }
    for (word, value) in words {
        text.extend(["    ", word, ": ", &flow(value), "\n"]);
    }
    text
}

/// The words of a strategy that say something, as a map.
pub(super) fn words(strategy: &Strategy) -> Value {
    let all = serde_json::to_value(strategy).expect("a strategy is a map of words");
    let usual = serde_json::to_value(Strategy::default()).expect("a strategy is a map of words");
    said(all, &usual)
}

/// A map of words as a strategy, if the language allows it.
pub(super) fn read(words: &Value) -> Result<Strategy, Vec<Diagnostic>> {
    let text = format!("brownout: 1\nstrategies:\n  tuned: {}\n", flow(words));
    let source = Source::from_bytes("tuned".to_owned(), text.as_bytes());
    let mut strategies = Strategy::read(&source)?;
    Ok(strategies.swap_remove("tuned").unwrap_or_default())
}

/// What of some words is not as it is by default.
fn said(value: Value, usual: &Value) -> Value {
    let Value::Object(map) = value else { return value };
    let kept = map.into_iter().filter_map(|(word, value)| {
        let default = usual.get(&word).unwrap_or(&Value::Null);
        if value.is_null() || value == *default {
            return None;
        }
        Some((word, said(value, default)))
    });
    Value::Object(kept.collect())
}

/// A value on one line.
fn flow(value: &Value) -> String {
    match value {
        Value::Array(items) => {
            format!("[{}]", items.iter().map(flow).collect::<Vec<_>>().join(", "))
        }
        Value::Object(map) if map.is_empty() => "{}".to_owned(),
        Value::Object(map) => {
            let pairs =
                map.iter().map(|(word, value)| format!("{}: {}", scalar(word), flow(value)));
            format!("{{ {} }}", pairs.collect::<Vec<_>>().join(", "))
        }
        Value::String(text) => scalar(text),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

/// A text, in quotes unless it can be taken for nothing else.
fn scalar(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '/' | '%');
    let is_word = text.chars().any(|c| c.is_ascii_alphabetic() || c == '%')
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(is_plain);
    let is_something_else = text.parse::<f64>().is_ok()
        || text.starts_with("0x")
        || text.starts_with("0o")
        || ["true", "false", "null", "yes", "no", "on", "off", "y", "n"]
            .contains(&text.to_ascii_lowercase().as_str());
    // JSON's strings are YAML's, too.
    if is_word && !is_something_else { text.to_owned() } else { Value::from(text).to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::library;

    #[test]
    fn every_strategy_is_read_back_as_it_was() {
        for (name, strategy) in library::strategies() {
            let text = file(name, strategy);
            let source = Source::from_bytes("file.yaml".to_owned(), text.as_bytes());
            let read = Strategy::read(&source).unwrap_or_else(|wrong| panic!("{text}{wrong:?}"));
            assert_eq!(read.get(name), Some(strategy), "{text}");
        }
    }

    #[test]
    fn names_that_look_like_something_else_are_quoted() {
        let strategy = Strategy { about: "a: \"b\" # c\nd".to_owned(), ..Strategy::default() };
        for name in ["7", "no", "null", "0x1f", "1e5", "a b", "{x}", "- y", "über", "tuned-1.5x"] {
            let text = file(name, &strategy);
            let source = Source::from_bytes("file.yaml".to_owned(), text.as_bytes());
            let read = Strategy::read(&source).unwrap_or_else(|wrong| panic!("{text}{wrong:?}"));
            assert_eq!(read.get(name), Some(&strategy), "{text}");
        }
        assert!(file("tuned-1.5x", &strategy).contains("\n  tuned-1.5x:\n"));
        assert!(file("plain", &Strategy::default()).ends_with("  plain: {}\n"));
    }
}
