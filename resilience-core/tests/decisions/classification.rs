//! Error bodies as providers have sent them, each with the public source it was found in, and look-alikes that are something else.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use resilience_core::hint::Observed;
use resilience_core::{
    Blame, Class, Dimension, Failure, LocalReject, MovesOn, Phase, Provider, Retries, Sent,
    classify,
};
use serde::Deserialize;

/// One answer: a body, or the payloads of a stream's events.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Payload {
    case: String,
    source: String,
    status: u16,
    headers: BTreeMap<String, String>,
    #[serde(default)]
    body: String,
    #[serde(default)]
    events: Vec<String>,
    /// The `:exception-type` of the last event.
    exception: Option<String>,
    /// None for a good answer.
    class: Option<String>,
    hint_ns: Option<u64>,
}

impl Payload {
    fn headers(&self) -> Vec<(&str, &str)> {
        self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }

    fn classified(&self, provider: Provider) -> Failure {
        classify::response(provider, self.status, &self.headers(), self.body.as_bytes(), None)
    }

    /// The first failure in the body or the events of a 2xx.
    fn hidden(&self, provider: Provider) -> Option<Failure> {
        if self.events.is_empty() {
            return classify::hidden(provider, self.body.as_bytes());
        }
        let plain =
            self.events.iter().find_map(|event| classify::hidden(provider, event.as_bytes()));
        let exception = self.exception.as_deref().map(|name| {
            let last = self.events.last().expect("an exception is an event");
            classify::stream_exception(provider, name, last.as_bytes())
        });
        plain.or(exception)
    }
}

const SPEAKING: [Provider; 9] = [
    Provider::Anthropic,
    Provider::Azure,
    Provider::Bedrock,
    Provider::Cohere,
    Provider::Gemini,
    Provider::Mistral,
    Provider::Ollama,
    Provider::OpenAi,
    Provider::OpenRouter,
];

fn payloads(provider: Provider) -> Vec<Payload> {
    let text = match provider {
        Provider::Anthropic => include_str!("../fixtures/anthropic.json"),
        Provider::Azure => include_str!("../fixtures/azure.json"),
        Provider::Bedrock => include_str!("../fixtures/bedrock.json"),
        Provider::Cohere => include_str!("../fixtures/cohere.json"),
        Provider::Gemini => include_str!("../fixtures/gemini.json"),
        Provider::Generic => "[]",
        Provider::Mistral => include_str!("../fixtures/mistral.json"),
        Provider::Ollama => include_str!("../fixtures/ollama.json"),
        Provider::OpenAi => include_str!("../fixtures/openai.json"),
        Provider::OpenRouter => include_str!("../fixtures/openrouter.json"),
    };
    serde_json::from_str(text).unwrap()
}

fn payload(provider: Provider, case: &str) -> Payload {
    payloads(provider).into_iter().find(|payload| payload.case == case).expect(case)
}

fn named(provider: &str) -> Provider {
    Provider::ALL.into_iter().find(|known| known.name() == provider).expect(provider)
}

#[test]
fn every_error_seen_has_its_class_and_its_hint() {
    let mut errors = 0;
    for provider in SPEAKING {
        for payload in payloads(provider).iter().filter(|payload| payload.status >= 300) {
            let failure = payload.classified(provider);
            let at = format!("{provider} {} ({})", payload.case, payload.source);
            assert_eq!(Some(failure.class.to_string()), payload.class, "{at}");
            assert_eq!(failure.status, Some(payload.status), "{at}");
            assert_eq!(failure.sent, Sent::Yes, "{at}");
            assert!(!failure.message.is_empty(), "{at}");
            let hint = failure.hint.map(|hint| hint.after);
            assert_eq!(hint, payload.hint_ns.map(Duration::from_nanos), "{at}");
            errors += 1;
        }
    }
    assert_eq!(errors, 210);
}

/// P32: errors that arrive after a 200 are judged by their body; the status says nothing.
#[test]
fn an_error_behind_a_200_is_judged_by_its_body() {
    let mut hidden = 0;
    for provider in SPEAKING {
        for payload in payloads(provider) {
            let Some(class) = payload.class.as_ref().filter(|_| payload.status == 200) else {
                continue;
            };
            let at = format!("{provider} {} ({})", payload.case, payload.source);
            let failure = payload.hidden(provider).expect(&at);
            assert_eq!(failure.class.to_string(), *class, "{at}");
            assert_eq!((failure.status, failure.sent), (None, Sent::Yes), "{at}");
            for event in &payload.events {
                // As a body, and as an event known to be an error, it is the same.
                let Some(failure) = classify::hidden(provider, event.as_bytes()) else { continue };
                let whole = classify::response(provider, 200, &[], event.as_bytes(), None);
                assert_eq!((whole.class, whole.status), (failure.class, Some(200)), "{at}");
                if failure.class != Class::ContentPolicy {
                    let event = classify::stream_error(provider, event.as_bytes());
                    assert_eq!(event, failure, "{at}");
                }
            }
            hidden += 1;
        }
    }
    assert_eq!(hidden, 22);
}

#[test]
fn a_good_answer_hides_nothing() {
    let mut good = 0;
    for provider in SPEAKING {
        for payload in payloads(provider).iter().filter(|payload| payload.class.is_none()) {
            assert_eq!(payload.hidden(provider), None, "{provider} {}", payload.case);
            // Nor does it for whoever knows no better.
            assert_eq!(payload.hidden(Provider::Generic), None, "generic {}", payload.case);
            good += 1;
        }
    }
    assert_eq!(good, 61);
    // The code of an interpreter is no code of an error.
    let code = r#"{"type":"response.code_interpreter_call_code.done","code":"print(1)"}"#;
    for payload in ["[DONE]", "", "hello", "null", "3", "[]", "[1]", "\"text\"", "{}", code] {
        assert_eq!(classify::hidden(Provider::OpenAi, payload.as_bytes()), None, "{payload}");
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LookAlike {
    provider: String,
    why: String,
    status: u16,
    headers: Vec<(String, String)>,
    body: serde_json::Value,
    class: String,
}

/// P28: words of another error, quoted or in passing, make no error of them.
#[test]
fn look_alikes_are_what_they_are() {
    let all: Vec<LookAlike> =
        serde_json::from_str(include_str!("../fixtures/look_alikes.json")).unwrap();
    for provider in Provider::ALL {
        let count = all.iter().filter(|like| named(&like.provider) == provider).count();
        assert!(count >= 3, "{provider}");
    }
    for LookAlike { provider, why, status, headers, body, class } in all {
        let headers: Vec<_> =
            headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let body = body.to_string();
        let failure = classify::response(named(&provider), status, &headers, body.as_bytes(), None);
        assert_eq!(failure.class.to_string(), class, "{provider} {why}: {body}");
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
        (Provider::Bedrock, "400_context_length_claude", Some(200_000), Some(207_848)),
        (Provider::Bedrock, "400_context_length_nova", None, None),
        (Provider::Cohere, "400_too_many_tokens", Some(288_000), Some(313_836)),
        (Provider::Gemini, "400_context_length", Some(1_048_576), Some(1_250_074)),
        (Provider::Mistral, "400_context_length", Some(131_072), Some(159_202)),
        (Provider::OpenRouter, "400_context_length", Some(200_000), Some(2_500_021)),
    ] {
        let class = payload(provider, &format!("err_{case}")).classified(provider).class;
        assert_eq!(class, Class::ContextOverflow { limit, requested }, "{case}");
    }
}

/// P28: what the retryable statuses are must not depend on anybody's wording.
#[test]
fn bare_statuses_have_their_usual_meaning() {
    let retried = [408, 409, 425, 429, 499, 500, 502, 503, 504, 520, 524, 529];
    let never = [400, 401, 402, 403, 404, 405, 413, 418, 422, 501, 505];
    for provider in Provider::ALL {
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

/// P52: a limiter that compared the code with "429" never paused for OpenAI, which sends a word.
#[test]
fn a_numeric_code_and_a_word_both_mean_a_limit() {
    for code in ["\"429\"", "429", "\"rate_limit_exceeded\"", "\"too_many_requests\"", "null"] {
        let body = format!(r#"{{"error":{{"message":"slow","code":{code}}}}}"#);
        for provider in Provider::ALL {
            let failure = classify::response(provider, 429, &[], body.as_bytes(), None);
            assert_eq!(failure.class, Class::RateLimited { dimension: None }, "{provider} {code}");
        }
    }
}

/// P27: a spent quota is no rate limit, in whatever words, and no hint makes it one.
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
    for (provider, case) in [
        (Provider::Anthropic, "err_429_spend_limit"),
        (Provider::Bedrock, "err_429_throttle_tokens_day"),
        (Provider::Cohere, "err_429_trial_month"),
        (Provider::Gemini, "err_429_quota_free_rpd"),
        (Provider::OpenRouter, "err_429_free_per_day"),
    ] {
        let failure = payload(provider, case).classified(provider);
        assert_eq!((failure.class, failure.hint), (Class::QuotaExhausted, None), "{case}");
        assert_eq!(failure.retries(), Retries::No, "{case}");
    }
    // By type alone, with a hint that must not matter and a word for a retry that must not either.
    let body = br#"{"error":{"message":"no","type":"insufficient_quota","code":null}}"#;
    let headers = [("retry-after", "1"), ("x-should-retry", "true")];
    let failure = classify::response(Provider::OpenAi, 429, &headers, body, None);
    assert_eq!(failure.class, Class::QuotaExhausted);
    assert_eq!(failure.retries(), Retries::No);
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

/// P49: a 429 that is no JSON is still a 429.
#[test]
fn a_429_needs_no_json() {
    for provider in Provider::ALL {
        for body in
            ["", "Too Many Requests", "<html><title>429</title></html>", "{\"error\":", "[]"]
        {
            let headers = [("retry-after", "3")];
            let failure = classify::response(provider, 429, &headers, body.as_bytes(), None);
            assert_eq!(failure.class, Class::RateLimited { dimension: None }, "{provider} {body}");
            assert_eq!(failure.hint.unwrap().after, Duration::from_secs(3), "{provider} {body}");
        }
    }
}

/// P33: a 429 is a 4xx, and moves on all the same.
#[test]
fn a_rate_limit_moves_on_and_other_4xx_do_not() {
    let of = |status| classify::response(Provider::Generic, status, &[], b"", None).class;
    assert_eq!(of(429).moves_on(), MovesOn::Next);
    assert_eq!(of(408).moves_on(), MovesOn::Next);
    assert_eq!(of(402).moves_on(), MovesOn::OtherCredential);
    for status in [400, 405, 418, 422] {
        assert_eq!(of(status).moves_on(), MovesOn::Never, "{status}");
    }
}

/// P31: what our own side declined is never retried, and nobody is blamed for it.
#[test]
fn a_local_reject_is_not_retried() {
    for why in [LocalReject::LimiterTooLate, LocalReject::NeverFits, LocalReject::WindowTooSmall] {
        let failure = Failure::new(Class::Local(why), "");
        assert_eq!(failure.retries(), Retries::No, "{why:?}");
        assert_eq!((failure.sent, failure.blame), (Sent::No, Blame::Local), "{why:?}");
    }
}

/// The provider behind OpenRouter is at its limit, not our key.
#[test]
fn an_upstream_error_is_the_targets() {
    for (case, blame) in [
        ("err_429_provider", Blame::Target),
        ("err_502_provider", Blame::Target),
        ("err_429_free_per_min", Blame::Credential),
    ] {
        let failure = payload(Provider::OpenRouter, case).classified(Provider::OpenRouter);
        assert_eq!(failure.blame, blame, "{case}");
    }
    let body = br#"{"error":{"message":"Provider returned error","code":400,"metadata":{"raw":"This model's maximum context length is 10 tokens."}}}"#;
    let class = classify::response(Provider::OpenRouter, 400, &[], body, None).class;
    assert_eq!(class, Class::ContextOverflow { limit: Some(10), requested: None });
}

/// Gemini's 499 is the network's doing, unless we hung up ourselves.
#[test]
fn a_499_is_cancelled_only_by_us() {
    let answered = payload(Provider::Gemini, "err_499_cancelled").classified(Provider::Gemini);
    assert_eq!((answered.class, answered.blame), (Class::Network, Blame::Network));
    let ours = classify::transport(classify::Transport::Cancelled, "");
    assert_eq!((ours.class, ours.blame), (Class::Cancelled, Blame::Caller));
}

/// A spent allowance at Anthropic is told by what is missing, but only if there are headers to miss it in.
#[test]
fn a_limit_without_a_time_is_a_spent_allowance() {
    let body = br#"{"type":"error","error":{"type":"rate_limit_error","message":"No."}}"#;
    let of = |headers: &[(&str, &str)]| {
        classify::response(Provider::Anthropic, 429, headers, body, None).class
    };
    let limited = Class::RateLimited { dimension: None };
    assert_eq!(of(&[("request-id", "req_1")]), Class::QuotaExhausted);
    assert_eq!(of(&[("Retry-After", "5")]), limited);
    assert_eq!(of(&[("anthropic-ratelimit-requests-remaining", "0")]), limited);
    assert_eq!(of(&[]), limited);
    assert_eq!(classify::stream_error(Provider::Anthropic, body).class, limited);
}

/// A filter says so in the finish reason, and the rest of the answer looks like any other.
#[test]
fn a_filtered_answer_is_no_answer() {
    for reason in ["SAFETY", "PROHIBITED_CONTENT", "BLOCKLIST", "SPII"] {
        let body = format!(r#"{{"candidates":[{{"content":{{}},"finishReason":"{reason}"}}]}}"#);
        let failure = classify::response(Provider::Gemini, 200, &[], body.as_bytes(), None);
        assert_eq!(failure.class, Class::ContentPolicy, "{reason}");
        assert_eq!(failure.code.as_deref(), Some(reason));
    }
    for reason in ["STOP", "MAX_TOKENS", "OTHER"] {
        let body = format!(r#"{{"candidates":[{{"content":{{}},"finishReason":"{reason}"}}]}}"#);
        assert_eq!(classify::hidden(Provider::Gemini, body.as_bytes()), None, "{reason}");
    }
}

/// A quota that is spent says nothing about the next minute, whatever its headers count.
#[test]
fn what_is_left_is_kept_unless_the_quota_is_spent() {
    let headers = [
        ("x-ratelimit-limit-requests", "500"),
        ("x-ratelimit-remaining-requests", "499"),
        ("retry-after", "7"),
    ];
    let failure = classify::response(Provider::OpenAi, 503, &headers, b"", None);
    let left = Observed { dimension: Dimension::Rpm, limit: Some(500), remaining: 499 };
    assert_eq!(*failure.observed, [left]);
    let failure = classify::response(Provider::OpenAi, 200, &headers, b"{", None);
    assert_eq!((failure.class, &*failure.observed), (Class::Decode, &[left][..]));
    let body = br#"{"error":{"code":"insufficient_quota","message":"no"}}"#;
    let failure = classify::response(Provider::OpenAi, 429, &headers, body, None);
    assert_eq!(failure.class, Class::QuotaExhausted);
    assert_eq!((&*failure.observed, failure.hint), (&[][..], None));
}

/// A stream has no headers of its own, so OpenRouter quotes them; what an answer itself says goes first.
#[test]
fn headers_in_a_body_count_as_headers() {
    let limited = payload(Provider::OpenRouter, "err_429_free_per_min");
    let own = [("x-ratelimit-limit", "10"), ("x-ratelimit-remaining", "1")];
    for (headers, limit, remaining) in [(&[][..], 20, 0), (&own[..], 10, 1)] {
        let body = limited.body.as_bytes();
        let failure = classify::response(Provider::OpenRouter, 429, headers, body, None);
        let left = Observed { dimension: Dimension::Rpm, limit: Some(limit), remaining };
        assert_eq!(*failure.observed, [left]);
    }
    let failure = classify::stream_error(Provider::OpenRouter, limited.body.as_bytes());
    assert_eq!(failure.observed.len(), 1);
}

/// A chunk that ends in an error is one, even if it does not say which.
#[test]
fn a_chunk_that_finishes_in_an_error_is_one() {
    let chunk = br#"{"choices":[{"index":0,"delta":{"content":""},"finish_reason":"error"}]}"#;
    for provider in [Provider::OpenRouter, Provider::Mistral] {
        let failure = classify::hidden(provider, chunk).expect("an error");
        assert_eq!(failure.class, Class::Server, "{provider}");
    }
}

/// A search that began again at every word would take hours for these.
#[test]
fn a_megabyte_of_anything_is_read_once() {
    const MEGABYTE: usize = 1 << 20;
    let units = [
        "retry ",
        "retry in 5 ",
        "try again in 1s1",
        "reset after .",
        "limit 1,",
        "limit 1, used 1, ",
        "[",
        "{\"a\":",
        "<title>",
        " ",
        "1",
        "(tpm) limit 9,999,",
        "models/",
        "\u{1F980}",
    ];
    for (at, unit) in units.into_iter().enumerate() {
        let text = unit.repeat(MEGABYTE / unit.len() - 100);
        let body = serde_json::json!({ "error": { "message": text } }).to_string();
        let provider = Provider::ALL[at % Provider::ALL.len()];
        let failure = classify::response(provider, 429, &[], body.as_bytes(), None);
        assert!(failure.message.chars().count() <= resilience_core::MESSAGE_CHARS_MAX + 1);
    }
}

/// Words that parsers look for, so that arbitrary bodies get past the first byte.
fn bodies() -> impl Strategy<Value = Vec<u8>> {
    let word = prop::sample::select(vec![
        "{\"error\":{\"message\":\"",
        "\",\"code\":",
        "\"details\":[{\"retryDelay\":\"",
        "}]}}",
        "limit ",
        ", used ",
        ", requested ",
        "retry in ",
        "9999999999999999999999",
        "\"",
        "s",
        ".",
        "{\"status\":",
        "{\"candidates\":[{\"finishReason\":\"",
        "[",
        "{\"delta\":{\"stop_reason\":",
        "\"metadata\":{\"headers\":{\"x-ratelimit-reset\":",
        "\u{e4}",
        "(tpm)",
        " ",
    ]);
    prop_oneof![
        any::<Vec<u8>>(),
        prop::collection::vec(word, 0..12).prop_map(|words| words.concat().into_bytes()),
    ]
}

proptest! {
    /// Any status, headers and body give a failure, and a hint no longer than the clock can count.
    #[test]
    fn property_08_any_answer_is_classified(
        status in prop_oneof![any::<u16>(), 200..600_u16],
        fields in prop::collection::vec((prop::sample::select(FIELDS.to_vec()), "\\PC{0,24}"), 0..6),
        body in bodies(),
        name in "\\PC*",
    ) {
        let headers: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        for provider in Provider::ALL {
            let failures = [
                classify::response(provider, status, &headers, &body, None),
                classify::stream_error(provider, &body),
                classify::stream_exception(provider, &name, &body),
            ];
            for failure in failures.into_iter().chain(classify::hidden(provider, &body)) {
                prop_assert!(failure.message.chars().count() <= resilience_core::MESSAGE_CHARS_MAX + 1);
                prop_assert!(failure.hint.is_none_or(|hint| hint.after <= Duration::from_nanos(u64::MAX)));
                prop_assert!(failure.class != Class::QuotaExhausted || failure.hint.is_none());
            }
        }
    }
}

const FIELDS: [&str; 12] = [
    "date",
    "retry-after",
    "retry-after-ms",
    "x-should-retry",
    "grpc-retry-pushback-ms",
    "x-amzn-errortype",
    "x-ratelimit-limit-tokens",
    "x-ratelimit-remaining-tokens",
    "x-ratelimit-reset-tokens",
    "x-ratelimit-reset",
    "anthropic-ratelimit-requests-reset",
    "ratelimitbysize-remaining",
];
