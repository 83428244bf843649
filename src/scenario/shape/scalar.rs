//! A scalar against its schema: booleans, numbers and text.

use serde_json::{Map, Value};

use super::reading::{Reading, boolean_help, integer_help};
use super::schema::{Shape, limit, range, within};
use super::{Mistake, Subject, Walk};
use crate::scenario::decode::{boolean, integer, number};
use crate::scenario::diagnostic::{Diagnostic, quote};
use crate::scenario::tree::Node;

impl<'a> Walk<'a> {
    /// A word, number or text where the schema asks for one.
    pub(super) fn scalar(
        &mut self,
        node: &Node,
        text: &str,
        quoted: bool,
        shape: &Shape<'a>,
        subject: &Subject<'_>,
    ) {
        let place = node.place.clone();
        let diagnostic = match shape {
            Shape::Boolean => match boolean(text) {
                Some(_) if !quoted => return,
                _ => Diagnostic::new(format!("{subject} is either `true` or `false`"), place)
                    .help(boolean_help(text)),
            },
            Shape::Integer(schema) => match integer(text) {
                Some(value) if !quoted => match range(value, schema) {
                    Ok(()) => return,
                    Err((bound, help)) => {
                        Diagnostic::new(format!("{subject} {bound}, found {}", quote(text)), place)
                            .help(help)
                    }
                },
                value => {
                    let takes = self.takes(shape);
                    let message = format!("{subject} takes {takes}, found {}", found(text, quoted));
                    let help = match value {
                        Some(value) => format!("drop the quotes: `{value}`"),
                        None => integer_help(text)
                            .unwrap_or_else(|| "write digits, such as `5`".to_owned()),
                    };
                    Diagnostic::new(message, place).help(help)
                }
            },
            Shape::Number(schema) => match number(text) {
                Some(value) if !quoted => match within(value, schema) {
                    Ok(()) => return,
                    Err(bound) => {
                        Diagnostic::new(format!("{subject} {bound}, found {}", quote(text)), place)
                    }
                },
                value => {
                    let message =
                        format!("{subject} takes a number, found {}", found(text, quoted));
                    let help = match value {
                        Some(_) => format!("drop the quotes: {}", quote(text)),
                        None => {
                            "write digits, with digits on both sides of a point: `0.5`".to_owned()
                        }
                    };
                    Diagnostic::new(message, place).help(help)
                }
            },
            Shape::Text(schema) => match self.text(text, quoted, schema) {
                Ok(()) => return,
                Err(Mistake { message, help }) => {
                    let message = format!("{subject} {message}");
                    Diagnostic { help, ..Diagnostic::new(message, place) }
                }
            },
            _ => return,
        };
        self.found.push(diagnostic);
    }

    /// Text, which has a format or is bounded in length.
    fn text(&self, text: &str, quoted: bool, schema: &Map<String, Value>) -> Result<(), Mistake> {
        let format = schema.get("format").and_then(Value::as_str);
        if let Some(verdict) = format.and_then(|format| (self.formats)(format, text)) {
            return verdict;
        }
        let mistake = |message: String, help: String| Err(Mistake { message, help: Some(help) });
        let quoted_text = format!("quote it: `\"{}\"`", quote(text).trim_matches('`'));
        match Reading::of(text) {
            _ if quoted => {}
            Reading::Text => {}
            Reading::Boolean => {
                return mistake(
                    format!("takes text, and {} is a boolean", quote(text)),
                    quoted_text,
                );
            }
            Reading::Number => {
                return mistake(
                    format!("takes text, and {} is a number", quote(text)),
                    quoted_text,
                );
            }
            Reading::Differs => {
                let message =
                    format!("takes text, and YAML versions disagree about {}", quote(text));
                return mistake(message, quoted_text);
            }
        }
        let length = u64::try_from(text.chars().count()).unwrap_or(u64::MAX);
        match (limit(schema, "minLength"), limit(schema, "maxLength")) {
            (Some(1), _) if length == 0 => {
                mistake("is empty".to_owned(), "write some text".to_owned())
            }
            (Some(min), _) if length < min => {
                let message = format!("has {length} characters, and needs at least {min}");
                Err(Mistake { message, help: None })
            }
            (_, Some(max)) if length > max => {
                let message = format!("has {length} characters, and may have at most {max}");
                Err(Mistake { message, help: None })
            }
            _ => Ok(()),
        }
    }
}

fn found(text: &str, quoted: bool) -> String {
    if quoted { format!("text in quotes: {}", quote(text)) } else { quote(text) }
}
