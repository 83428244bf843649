//! AWS Bedrock's Converse, as recorded from `bedrock-runtime` in 2024 to 2026.
//!
//! JSON is compact, with its keys sorted. Streams are binary frames. Errors are told apart by a
//! header.

mod error;
mod frame;
mod read;
mod success;

use super::{Case, Dialect, Exchange, Fields, Head, Moment, Place, Refusal, Reply, retry_after};
use crate::{
    action::{ErrorKind, HintForm},
    answer::Answer,
    plan::{ProviderName, Route},
    quota::whole_millis,
    request::{Headers, Request},
};

/// AWS Bedrock.
#[derive(Debug)]
pub(crate) struct Bedrock;

impl Dialect for Bedrock {
    fn name(&self) -> ProviderName {
        ProviderName::Bedrock
    }

    fn recognises(&self, head: &Head<'_>) -> bool {
        let signed = head.headers.get("authorization").is_some_and(|value| {
            value.get(..SIGNED.len()).is_some_and(|scheme| scheme.eq_ignore_ascii_case(SIGNED))
        });
        signed
            || head.headers.get("amz-sdk-invocation-id").is_some()
            || head.path.starts_with("/model/")
    }

    fn not_found(&self, _: &Head<'_>) -> &'static str {
        "operation"
    }

    fn route(&self, head: &Head<'_>) -> Option<Route> {
        let (_, operation) = operation(head.path)?;
        Some(match operation {
            Operation::Converse | Operation::ConverseStream => Route::BedrockConverse,
            Operation::CountTokens => Route::BedrockCountTokens,
        })
    }

    fn main_route(&self) -> Route {
        Route::BedrockConverse
    }

    fn example_model(&self, _: Route) -> &'static str {
        "us.amazon.nova-2-lite-v1:0"
    }

    fn read(&self, route: Route, head: &Head<'_>, body: &[u8]) -> Result<Request, Refusal> {
        read::request(route, head, body)
    }

    fn answer(&self, exchange: &Exchange<'_>, answer: &Answer) -> Reply {
        success::reply(exchange, answer)
    }

    fn cases(&self) -> &'static [Case] {
        error::CASES
    }

    fn usual(
        &self,
        kind: ErrorKind,
        place: Place,
        exchange: &Exchange<'_>,
    ) -> Option<&'static str> {
        error::usual(kind, place, exchange)
    }

    fn word(&self, name: &str, exchange: &Exchange<'_>) -> Option<String> {
        error::word(name, exchange)
    }

    /// Bedrock announces no wait by itself; one that a scenario announces in milliseconds goes
    /// into the header that the AWS SDKs read.
    fn hint(&self, exchange: &Exchange<'_>) -> Fields {
        match exchange.decision.action.hint() {
            _ if exchange.decision.rule.is_none() => Fields::new(),
            Some((after, HintForm::Milliseconds)) => {
                vec![("x-amz-retry-after", whole_millis(after.0).to_string().into())]
            }
            _ => retry_after(exchange.decision, exchange.moment.wall),
        }
    }

    fn unknown_model(&self, _: &Exchange<'_>) -> Refusal {
        Refusal::new(ErrorKind::NotFound, "model")
    }
}

/// What a path asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    /// A whole answer.
    Converse,
    /// A stream.
    ConverseStream,
    /// The tokens of a request.
    CountTokens,
}

/// Who makes a model: the texts of an error are the maker's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    /// Anthropic's.
    Claude,
    /// Meta's.
    Llama,
    /// Amazon's.
    Nova,
    /// Anybody else's.
    Other,
}

/// The model that a path names, as it stands there, and what is asked of it.
fn operation(path: &str) -> Option<(&str, Operation)> {
    let operation = match path.rsplit('/').next()? {
        "converse" => Operation::Converse,
        "converse-stream" => Operation::ConverseStream,
        "count-tokens" => Operation::CountTokens,
        _ => return None,
    };
    let (_, rest) = path.split_once("/model/")?;
    let (model, _) = rest.rsplit_once('/')?;
    (!model.is_empty()).then_some((model, operation))
}

/// A part of a path with its `%3A` and the like made letters again.
fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('%') {
        bytes.extend_from_slice(before.as_bytes());
        let digits = after.get(..2).filter(|two| two.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        rest = if let Some(byte) = byte {
            bytes.push(byte);
            &after[2..]
        } else {
            bytes.push(b'%');
            after
        };
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8_lossy(&bytes).into_owned()
}

impl Family {
    /// The family of a model, whatever region or account stands before its name.
    fn of(model: &str) -> Self {
        let has = |part: &str| model.contains(part);
        match () {
            () if has("anthropic.") || has("claude") => Self::Claude,
            () if has("meta.") || has("llama") => Self::Llama,
            () if has("nova") => Self::Nova,
            () => Self::Other,
        }
    }
}

/// The headers of everything that Bedrock answers.
fn headers(moment: &Moment, content_type: &'static str) -> Fields {
    vec![("content-type", content_type.into()), ("x-amzn-requestid", moment.uuid("request").into())]
}

/// The region that a request was signed for.
fn region(headers: &Headers) -> Option<&str> {
    let (_, credential) = headers.get("authorization")?.split_once("Credential=")?;
    let region = credential.split([',', ' ']).next()?.split('/').nth(2)?;
    let plain = |letter: char| letter.is_ascii_alphanumeric() || letter == '-';
    (!region.is_empty() && region.chars().all(plain)).then_some(region)
}

/// The scheme of a request that is signed and does not carry its key.
const SIGNED: &str = "AWS4-HMAC-SHA256";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_a_model_and_what_is_asked_of_it() {
        for (path, expected) in [
            (
                "/model/us.amazon.nova-lite-v1%3A0/converse",
                Some(("us.amazon.nova-lite-v1:0", Operation::Converse)),
            ),
            ("/bedrock/model/m/converse-stream", Some(("m", Operation::ConverseStream))),
            (
                "/model/arn%3Aaws%3Abedrock%3Aeu-west-1%3A1%3Ainference-profile%2Feu.m/count-tokens",
                Some((
                    "arn:aws:bedrock:eu-west-1:1:inference-profile/eu.m",
                    Operation::CountTokens,
                )),
            ),
            ("/model/arn:aws:x/y/converse", Some(("arn:aws:x/y", Operation::Converse))),
            ("/model/m/invoke", None),
            ("/model/converse", None),
        ] {
            let found =
                operation(path).map(|(model, operation)| (percent_decoded(model), operation));
            let expected = expected.map(|(model, operation)| (model.to_owned(), operation));
            assert_eq!(found, expected, "{path}");
        }
    }

    #[test]
    fn what_is_no_escape_stays_as_it_is() {
        for (text, decoded) in [
            ("a%", "a%"),
            ("%zz", "%zz"),
            ("%4", "%4"),
            ("%é", "%é"),
            ("%c3%a9", "é"),
            ("%+1", "%+1"),
        ] {
            assert_eq!(percent_decoded(text), decoded);
        }
    }
}
