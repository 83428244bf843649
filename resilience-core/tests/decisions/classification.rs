//! Error bodies as providers have sent them, each with the public source it was found in, and look-alikes that are something else.

use resilience_core::{Blame, Class, Failure, Phase, Provider, Sent, classify};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::time::Duration;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Payload {
    case: String,
    source: String,
    status: u16,
    headers: BTreeMap<String, String>,
    body: String,
    class: String,
    hint_us: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StreamError {
    case: String,
    provider: String,
    source: String,
    payload: String,
    class: String,
}

fn payloads(provider: Provider) -> Vec<Payload> {
    let text = match provider {
        Provider::Anthropic => include_str!("../fixtures/anthropic.json"),
        Provider::Azure => include_str!("../fixtures/azure.json"),
        _ => include_str!("../fixtures/openai.json"),
    };
    serde_json::from_str(text).unwrap()
}

fn classified(provider: Provider, payload: &Payload) -> Failure {
    let headers: Vec<_> =
        payload.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    classify::response(provider, payload.status, &headers, payload.body.as_bytes(), None)
}

fn classes_hold(provider: Provider) {
    for payload in payloads(provider) {
        let failure = classified(provider, &payload);
        let at = format!("{provider} {} ({})", payload.case, payload.source);
        assert_eq!(failure.class.to_string(), payload.class, "{at}");
        assert_eq!(failure.status, Some(payload.status), "{at}");
        assert_eq!(failure.sent, Sent::Yes, "{at}");
        assert!(!failure.message.is_empty(), "{at}");
        let hint = failure.hint.map(|hint| hint.after);
        assert_eq!(hint, payload.hint_us.map(Duration::from_micros), "{at}");
    }
}

#[test]
fn openai_bodies_are_what_they_are() {
    classes_hold(Provider::OpenAi);
}

#[test]
fn azure_bodies_are_what_they_are() {
    classes_hold(Provider::Azure);
}

#[test]
fn anthropic_bodies_are_what_they_are() {
    classes_hold(Provider::Anthropic);
}

/// Errors that arrive after a 200 are judged by their body; the status says nothing.
#[test]
fn a_stream_error_is_judged_by_its_body() {
    let errors: Vec<StreamError> =
        serde_json::from_str(include_str!("../fixtures/streams.json")).unwrap();
    assert_eq!(errors.len(), 8);
    for error in errors {
        let provider = match error.provider.as_str() {
            "anthropic" => Provider::Anthropic,
            _ => Provider::OpenAi,
        };
        let failure = classify::stream_error(provider, error.payload.as_bytes());
        assert_eq!(failure.class.to_string(), error.class, "{} ({})", error.case, error.source);
        let failure = classify::response(provider, 200, &[], error.payload.as_bytes(), None);
        assert_eq!(failure.class.to_string(), error.class, "{} in a 200", error.case);
    }
}

#[test]
fn a_window_is_read_from_the_message() {
    for (provider, case, limit, requested) in [
        (Provider::OpenAi, "400_context_length_chat", Some(128_000), Some(204_308)),
        (Provider::OpenAi, "400_context_length_chat_gpt5", Some(272_000), Some(300_007)),
        (Provider::OpenAi, "400_context_length_completions", Some(4_097), Some(4_116)),
        (Provider::OpenAi, "400_context_length_responses", None, None),
        (Provider::Anthropic, "400_context_length", Some(200_000), Some(3_333_404)),
        (Provider::Anthropic, "400_input_plus_max_tokens", Some(200_000), Some(207_653)),
    ] {
        let all = payloads(provider);
        let payload = all.iter().find(|payload| payload.case == case).unwrap();
        let class = classified(provider, payload).class;
        assert_eq!(class, Class::ContextOverflow { limit, requested }, "{case}");
    }
}

/// What the retryable statuses are must not depend on anybody's wording.
#[test]
fn bare_statuses_have_their_usual_meaning() {
    let retried = [408, 409, 425, 429, 499, 500, 502, 503, 504, 520, 524, 529];
    let never = [400, 401, 402, 403, 404, 405, 413, 418, 422, 501, 505];
    for provider in [Provider::Anthropic, Provider::Azure, Provider::Generic, Provider::OpenAi] {
        for body in ["", "upstream connect error", "<html><title>Oops</title></html>", "[1", "null"]
        {
            for status in retried {
                let class = classify::response(provider, status, &[], body.as_bytes(), None).class;
                assert!(class.retryable(), "{provider} {status} {body:?} is {class}");
            }
            for status in never {
                let class = classify::response(provider, status, &[], body.as_bytes(), None).class;
                assert!(!class.retryable(), "{provider} {status} {body:?} is {class}");
            }
        }
    }
}

/// Substring lists for overflows are known to catch these.
#[test]
fn look_alikes_of_an_overflow_are_invalid_requests() {
    let bodies = [
        r#"{"error":{"message":"Invalid 'messages[0].content': string too long. Expected a string with maximum length 1048576, but got a string with length 1200000 instead.","type":"invalid_request_error","param":"messages[0].content","code":"string_above_max_length"}}"#,
        r#"{"error":{"message":"Invalid 'user': string too long. Expected a string with maximum length 64, but got a string with length 70 instead.","type":"invalid_request_error","param":"user","code":"string_above_max_length"}}"#,
        r#"{"error":{"message":"max_tokens is too large: 24576. This model supports at most 16384 completion tokens, whereas you provided 24576.","type":"invalid_request_error","param":"max_tokens","code":"invalid_value"}}"#,
    ];
    for body in bodies {
        for provider in [Provider::OpenAi, Provider::Azure, Provider::Generic] {
            let class = classify::response(provider, 400, &[], body.as_bytes(), None).class;
            assert_eq!(class, Class::InvalidRequest, "{provider} {body}");
        }
    }
    let body = br#"{"type":"error","error":{"type":"invalid_request_error","message":"max_tokens: 100000 > 8192, which is the maximum allowed number of output tokens"}}"#;
    let class = classify::response(Provider::Anthropic, 400, &[], body, None).class;
    assert_eq!(class, Class::InvalidRequest);
}

/// A user's own words, quoted back by the server, are no evidence.
#[test]
fn a_code_outweighs_the_message() {
    let body = br#"{"error":{"message":"Unknown parameter: 'maximum context length is'.","type":"invalid_request_error","code":"unknown_parameter"}}"#;
    let failure = classify::response(Provider::OpenAi, 400, &[], body, None);
    assert_eq!(failure.class, Class::InvalidRequest);
    let body = br#"{"error":{"message":"Rate limit reached. Did you exceeded your current quota?","type":"tokens","code":"rate_limit_exceeded"}}"#;
    let failure = classify::response(Provider::OpenAi, 429, &[], body, None);
    assert_eq!(failure.class, Class::RateLimited { dimension: None });
}

/// A limiter that compared the code with "429" never paused for OpenAI, which sends a word.
#[test]
fn a_numeric_code_and_a_word_both_mean_a_limit() {
    for code in ["\"429\"", "429", "\"rate_limit_exceeded\"", "\"too_many_requests\"", "null"] {
        let body = format!(r#"{{"error":{{"message":"slow","code":{code}}}}}"#);
        for provider in [Provider::OpenAi, Provider::Azure, Provider::Generic, Provider::Anthropic]
        {
            let failure = classify::response(provider, 429, &[], body.as_bytes(), None);
            assert_eq!(failure.class, Class::RateLimited { dimension: None }, "{provider} {code}");
        }
    }
}

#[test]
fn a_quota_is_spent_in_every_spelling() {
    for code in [
        "insufficient_quota",
        "billing_not_active",
        "credit_balance_exhausted",
        "organization_spend_limit_exceeded",
        "project_spend_limit_exceeded",
        "organization_usage_limit_exceeded",
    ] {
        let body = format!(r#"{{"error":{{"message":"no","type":"x","code":"{code}"}}}}"#);
        let failure = classify::response(Provider::OpenAi, 429, &[], body.as_bytes(), None);
        assert_eq!(failure.class, Class::QuotaExhausted, "{code}");
    }
    // By type alone, with a hint that must not matter and a word for a retry that must not either.
    let body = br#"{"error":{"message":"no","type":"insufficient_quota","code":null}}"#;
    let headers = [("retry-after", "1"), ("x-should-retry", "true")];
    let failure = classify::response(Provider::OpenAi, 429, &headers, body, None);
    assert_eq!(failure.class, Class::QuotaExhausted);
    assert_eq!(failure.retries(), resilience_core::Retries::No);
}

/// More than a whole period's limit: no wait helps, whatever words announce it.
#[test]
fn numbers_that_never_fit_are_no_rate_limit() {
    let body = br#"{"error":{"message":"Rate limit reached on tokens per min (TPM): Limit 30,000, Used 0, Requested 31,538.","type":"tokens","code":"rate_limit_exceeded"}}"#;
    let failure = classify::response(Provider::OpenAi, 429, &[], body, None);
    let class = Class::RequestExceedsLimit { limit: Some(30_000), requested: Some(31_538) };
    assert_eq!((failure.class, failure.hint), (class, None));
}

#[test]
fn an_unknown_status_is_retried_only_on_the_servers_word() {
    let headers = [("x-should-retry", "true")];
    assert!(!classify::response(Provider::OpenAi, 418, &[], b"", None).class.retryable());
    assert!(classify::response(Provider::OpenAi, 418, &headers, b"", None).class.retryable());
    assert!(!classify::response(Provider::OpenAi, 400, &headers, b"", None).class.retryable());
}

#[test]
fn a_refusal_is_no_answer_to_retry() {
    let body = br#"{"type":"message","role":"assistant","content":[],"stop_reason":"refusal"}"#;
    let failure = classify::response(Provider::Anthropic, 200, &[], body, None);
    assert_eq!(failure.class, Class::ContentPolicy);
    let failure = classify::response(Provider::Anthropic, 200, &[], b"{\"type\":\"mess", None);
    assert_eq!(failure.class, Class::Decode);
}

#[test]
fn a_transport_fault_knows_whether_anything_was_sent() {
    use classify::Transport;
    for (fault, class, sent, blame) in [
        (Transport::Connect, Class::Connect, Sent::No, Blame::Network),
        (Transport::Timeout(Phase::Connect), Class::Connect, Sent::No, Blame::Network),
        (
            Transport::Timeout(Phase::Idle),
            Class::Timeout { phase: Phase::Idle },
            Sent::Maybe,
            Blame::Target,
        ),
        (Transport::Timeout(Phase::Call), Class::Cancelled, Sent::Maybe, Blame::Caller),
        (Transport::NotProcessed, Class::NotProcessed, Sent::No, Blame::Target),
        (Transport::Reset, Class::Network, Sent::Maybe, Blame::Network),
        (Transport::Decode, Class::Decode, Sent::Yes, Blame::Target),
        (
            Transport::StreamCut { committed: true },
            Class::StreamInterrupted { committed: true },
            Sent::Yes,
            Blame::Network,
        ),
        (Transport::Cancelled, Class::Cancelled, Sent::Maybe, Blame::Caller),
    ] {
        let failure = classify::transport(fault, "so it was");
        assert_eq!((failure.class, failure.sent, failure.blame), (class, sent, blame));
    }
}

#[test]
fn the_request_id_is_kept_for_the_ticket() {
    let failure =
        classify::response(Provider::OpenAi, 500, &[("X-Request-ID", "req_1")], b"", None);
    assert_eq!(failure.request_id.as_deref(), Some("req_1"));
    let body =
        br#"{"type":"error","error":{"type":"api_error","message":"no"},"request_id":"req_2"}"#;
    let failure = classify::response(Provider::Anthropic, 500, &[], body, None);
    assert_eq!(failure.request_id.as_deref(), Some("req_2"));
    assert_eq!(failure.code.as_deref(), Some("api_error"));
}

proptest::proptest! {
    #[test]
    fn any_body_gives_a_failure(status: u16, body: Vec<u8>) {
        for provider in [Provider::Anthropic, Provider::Azure, Provider::Generic, Provider::OpenAi] {
            let failure = classify::response(provider, status, &[], &body, None);
            proptest::prop_assert!(failure.message.chars().count() <= resilience_core::MESSAGE_CHARS_MAX + 1);
            classify::stream_error(provider, &body);
        }
    }
}
