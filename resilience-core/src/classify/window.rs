//! The numbers in the sentence of an overflow.

use crate::hint::integer;

/// The window, and what was asked of it, as an overflow message names them.
///
/// The message is in lower case.
pub(super) fn numbers(message: &str) -> (Option<u64>, Option<u64>) {
    let after = |words: &str| {
        let (_, rest) = message.split_once(words)?;
        integer(rest.trim_start()).map(|(number, _)| number)
    };
    let first = |list: &[&str]| list.iter().find_map(|words| after(words));
    // Anthropic adds up: "143653 + 64000 > 200000".
    let sum = after("exceed context limit:").and_then(|input| {
        let (_, rest) = message.split_once(" + ")?;
        integer(rest).map(|(output, _)| input.saturating_add(output))
    });
    let limit = first(&LIMIT);
    // Cohere tells how far beyond the limit the prompt is.
    let beyond = || limit?.checked_add(after("size limit exceeded by ")?);
    (limit, sum.or_else(|| first(&REQUESTED)).or_else(beyond))
}

/// What stands before the window.
const LIMIT: [&str; 6] = [
    "maximum context length is ",
    "configured limit of ",
    "maximum number of tokens allowed (",
    "too large for model with ",
    "limit for this model is ",
    " > ",
];

/// What stands before the tokens asked for.
const REQUESTED: [&str; 6] = [
    "resulted in ",
    "you requested about ",
    "you requested ",
    "token count (",
    "prompt contains ",
    "prompt is too long: ",
];
