//! Every form of a server hint and of a limit header, and their order.

use std::time::{Duration, SystemTime};

use proptest::prelude::*;
use resilience_core::hint::{self, Hint, Observed, Signals, Source};
use resilience_core::{Cost, Dimension, Provider};

/// 29 September 2023, 16:26:37 UTC: the instant at which the SDKs' own tests read their dates.
const WALL: u64 = 1_696_004_797;

fn wall() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(WALL)
}

fn of(provider: Provider, headers: &[(&str, &str)], message: &str) -> Option<Hint> {
    let wall = Some(wall());
    hint::read(&Signals {
        provider,
        headers,
        message,
        retry_delay: None,
        limited: true,
        wall,
        cost: None,
    })
}

fn header(name: &str, value: &str) -> Option<Duration> {
    of(Provider::OpenAi, &[(name, value)], "").map(|hint| hint.after)
}

fn secs(secs: f64) -> Duration {
    Duration::from_secs_f64(secs)
}

#[test]
fn each_header_has_its_own_unit() {
    for (name, value, after) in [
        ("retry-after-ms", "4321", Some(secs(4.321))),
        ("Retry-After-Ms", " 1.5 ", Some(secs(0.0015))),
        ("x-ms-retry-after-ms", "1500", Some(secs(1.5))),
        ("x-amz-retry-after", "1500", Some(secs(1.5))),
        ("retry-after", "20", Some(secs(20.0))),
        ("retry-after", "0.5", Some(secs(0.5))),
        ("retry-after", "0", Some(secs(0.0))),
        ("retry-after", "-10", None),
        ("retry-after", "", None),
        ("retry-after", "inf", None),
        ("retry-after", "nan", None),
        ("retry-after", "NaN", None),
        ("retry-after", "-0.5", None),
        ("retry-after", "+5", None),
        ("retry-after-ms", "-1", None),
        ("retry-after-ms", "inf", None),
        ("retry-after", "1e3", None),
        ("retry-after", "20s", None),
        ("retry-after", "Zun, 29 Sep 2023 16:26:27 GMT", None),
        ("retry-after", "Fri, 29 Sep 2023 16:26:57 GMT", Some(secs(20.0))),
        ("retry-after", "Fri, 29 Sep 2023 16:26:37 GMT", Some(secs(0.0))),
        ("retry-after", "Fri, 29 Sep 2023 16:26:27 GMT", Some(secs(0.0))),
        ("retry-after", "Friday, 29-Sep-23 16:27:37 GMT", Some(secs(60.0))),
        ("retry-after", "Fri Sep 29 16:27:37 2023", Some(secs(60.0))),
    ] {
        assert_eq!(header(name, value), after, "{name}: {value}");
    }
    // Longer than any clock: saturated, never wrapped into something short.
    let huge = header("retry-after", "99999999999999999999999999999999999").unwrap();
    assert!(huge > Duration::from_secs(1_000_000_000));
}

#[test]
fn a_date_is_read_by_the_servers_own_clock() {
    let headers = [
        ("date", "Fri, 29 Sep 2023 10:00:00 GMT"),
        ("retry-after", "Fri, 29 Sep 2023 10:00:07 GMT"),
    ];
    assert_eq!(of(Provider::OpenAi, &headers, "").unwrap().after, Duration::from_secs(7));
}

#[test]
fn a_date_without_any_clock_is_no_hint() {
    let headers = [("retry-after", "Fri, 29 Sep 2023 16:26:57 GMT")];
    let signals = Signals {
        provider: Provider::OpenAi,
        headers: &headers,
        message: "",
        retry_delay: None,
        limited: true,
        wall: None,
        cost: None,
    };
    assert_eq!(hint::read(&signals), None);
}

#[test]
fn forms_have_an_order() {
    let all = [
        ("retry-after", "4"),
        ("x-amz-retry-after", "3000"),
        ("x-ms-retry-after-ms", "2000"),
        ("retry-after-ms", "1000"),
    ];
    let message =
        "on requests per min (RPM): Limit 3, Used 3, Requested 1. Please try again in 20s.";
    let expected = [
        (Source::RetryAfterMs, 1.0),
        (Source::MsRetryAfterMs, 2.0),
        (Source::AmzRetryAfter, 3.0),
        (Source::RetryAfter, 4.0),
        (Source::Limits(Dimension::Rpm), 20.0),
    ];
    for (gone, (source, after)) in expected.into_iter().enumerate() {
        let hint = of(Provider::OpenAi, &all[..4 - gone], message);
        assert_eq!(hint, Some(Hint { after: Duration::from_secs_f64(after), source }));
    }
    let hint = of(Provider::OpenAi, &[], "Please try again in 20s.").unwrap();
    assert_eq!(hint.source, Source::Message);
}

/// Azure has sent `retry-after: 1` beside `retry-after-ms: 0`.
#[test]
fn a_zero_gives_way_to_a_later_form_above_zero() {
    let headers = [("retry-after-ms", "0"), ("retry-after", "1")];
    let hint = of(Provider::Azure, &headers, "").unwrap();
    assert_eq!(hint, Hint { after: Duration::from_secs(1), source: Source::RetryAfter });
    let headers = [("retry-after-ms", "0"), ("retry-after", "0")];
    assert_eq!(of(Provider::Azure, &headers, "").unwrap().after, Duration::ZERO);
}

#[test]
fn sentences_are_read_and_look_alikes_are_not() {
    let ms = |ms| Some(Duration::from_millis(ms));
    for (message, after) in [
        ("Please try again in 634ms. Visit https://…", ms(635)),
        ("Rate limit reached. Please try again in 20s.", ms(20_001)),
        ("try again in 7m12s", ms(432_001)),
        ("your quota will reset after 2h7m23s.", ms(7_643_001)),
        ("Please retry after 33 seconds.", ms(33_000)),
        ("RETRY AFTER 1 second", ms(1_000)),
        ("try again in 1.5 minutes", ms(90_000)),
        ("retry after 5", ms(5_000)),
        ("retry after 5.", ms(5_000)),
        ("Modify your prompt and retry. Please retry in 250 milliseconds", ms(250)),
        ("Please try again later.", None),
        (
            "If you created the deployment within the last 5 minutes, please wait a moment and try again.",
            None,
        ),
        ("retry after 2 attempts", None),
        ("retry in the 90s", None),
        ("retrying in 5s", None),
        ("we could not retry in 5xyz", None),
        ("", None),
    ] {
        let hint = of(Provider::Generic, &[], message).map(|hint| hint.after);
        assert_eq!(hint, after, "{message}");
    }
    let hint = of(Provider::Generic, &[], "Please retry in 39.872014112s.").unwrap();
    assert_eq!(hint.after, Duration::from_nanos(39_872_014_113));
}

/// The wait is `(cost − remaining) · period / limit`, and it equals what OpenAI announced.
#[test]
fn the_binding_dimension_decides_exactly() {
    for (message, nanos, dimension, announced) in [
        ("(TPM): Limit 30000, Used 29937, Requested 385.", 644_000_000, Dimension::Tpm, "644ms"),
        (
            "(TPM): Limit 200,000, Used 199,700, Requested 1,031.",
            219_300_000,
            Dimension::Tpm,
            "219ms",
        ),
        ("(TPM): Limit 10000, Used 8554, Requested 3082.", 9_816_000_000, Dimension::Tpm, "9.816s"),
        ("(RPM): Limit 3, Used 3, Requested 1.", 20_000_000_000, Dimension::Rpm, "20s"),
        ("(RPD): Limit 200, Used 200, Requested 1.", 432_000_000_000, Dimension::Rpd, "7m12s"),
    ] {
        let hint = of(Provider::OpenAi, &[], message).unwrap();
        assert_eq!(hint.after, Duration::from_nanos(nanos), "{message}");
        assert_eq!(hint.source, Source::Limits(dimension), "{message}");
        // What is announced is cut to milliseconds, so the sentence alone is taken to mean one more.
        let sentence = format!("Please try again in {announced}.");
        let told = of(Provider::OpenAi, &[], &sentence).unwrap().after;
        let beyond = told.checked_sub(hint.after).expect("not too early");
        assert!(beyond <= Duration::from_millis(1), "{announced}");
    }
    assert_eq!(of(Provider::OpenAi, &[], "(TPM): Limit 30000, Requested 31538."), None);
}

/// What OpenAI's 200s print: the reset is the time until full, cut to milliseconds, and tells a day from a minute.
#[test]
fn a_reset_tells_the_period() {
    use Dimension::{Rpd, Rpm, Tpm};
    for (limit, remaining, reset, dimension) in [
        (10_000, 9_999, "6ms", Rpm),
        (500, 499, "120ms", Rpm),
        (200_000, 199_973, "8ms", Tpm),
        (2_000_000, 1_999_770, "6ms", Tpm),
        (30_000, 29_993, "14ms", Tpm),
        (10_000, 9_999, "8.64s", Rpd),
        (200, 199, "7m12s", Rpd),
        (10_000, 9_990, "1m26.4s", Rpd),
    ] {
        let what = if dimension == Tpm { "tokens" } else { "requests" };
        let headers = [
            (format!("x-ratelimit-limit-{what}"), limit.to_string()),
            (format!("x-ratelimit-remaining-{what}"), remaining.to_string()),
            (format!("x-ratelimit-reset-{what}"), reset.to_owned()),
        ];
        let headers = headers.each_ref().map(|(name, value)| (name.as_str(), value.as_str()));
        let observed = hint::observed(Provider::OpenAi, &headers, None);
        assert_eq!(observed, [Observed { dimension, limit: Some(limit), remaining }], "{reset}");
        if dimension == Tpm {
            // Whoever asks for the whole bucket waits until it is full: exactly, not as it was cut.
            let signals = Signals {
                provider: Provider::OpenAi,
                headers: &headers,
                message: "",
                retry_delay: None,
                limited: true,
                wall: None,
                cost: Some(Cost::request(limit, 0)),
            };
            let full = ((limit - remaining) * 60_000_000_000).div_ceil(limit);
            assert_eq!(hint::read(&signals).unwrap().after, Duration::from_nanos(full), "{reset}");
        }
    }
}

const OPENAI: [(&str, &str); 6] = [
    ("x-ratelimit-limit-requests", "500"),
    ("x-ratelimit-remaining-requests", "499"),
    ("x-ratelimit-reset-requests", "120ms"),
    ("x-ratelimit-limit-tokens", "30000"),
    ("x-ratelimit-remaining-tokens", "63"),
    ("x-ratelimit-reset-tokens", "59.874s"),
];

/// Taking the requests' reset hides the wait for tokens; taking the largest reset waits a minute for nothing.
#[test]
fn a_reset_is_not_the_wait() {
    let signals = Signals {
        provider: Provider::OpenAi,
        headers: &OPENAI,
        message: "",
        retry_delay: None,
        limited: true,
        wall: None,
        cost: Some(Cost::request(300, 85)),
    };
    let hint = hint::read(&signals).unwrap();
    assert_eq!(hint.after, Duration::from_millis(644));
    assert_eq!(hint.source, Source::Limits(Dimension::Tpm));
}

/// Limit headers come with every answer.
#[test]
fn an_overload_takes_no_hint_from_limit_headers() {
    let signals = Signals {
        provider: Provider::OpenAi,
        headers: &OPENAI,
        message: "",
        retry_delay: None,
        limited: false,
        wall: None,
        cost: Some(Cost::request(300, 85)),
    };
    assert_eq!(hint::read(&signals), None);
}

#[test]
fn a_daily_limit_is_told_by_its_reset() {
    let headers = [
        ("x-ratelimit-limit-requests", "200"),
        ("x-ratelimit-remaining-requests", "0"),
        ("x-ratelimit-reset-requests", "24h0m0s"),
    ];
    let hint = of(Provider::OpenAi, &headers, "").unwrap();
    assert_eq!(hint.source, Source::Limits(Dimension::Rpd));
    assert_eq!(hint.after, Duration::from_secs(432));
}

/// P46: a reset comes as a duration, as seconds, or as an instant in seconds or milliseconds.
#[test]
fn a_bare_reset_is_seconds_or_an_instant() {
    // Nobody counted the tokens and none are left, so the reset itself is the wait.
    for (reset, after) in [
        ("42", 42.001),
        ("1696004827", 30.001),
        ("1696004827000", 30.001),
        ("1m0s", 60.001),
        ("1.5s", 1.501),
        ("1.5", 1.501),
        ("17ms", 0.018),
        ("2m59.56s", 179.561),
        ("23h47m36.648s", 85_656.649),
    ] {
        let headers = [
            ("x-ratelimit-limit-tokens", "100"),
            ("x-ratelimit-remaining-tokens", "0"),
            ("x-ratelimit-reset-tokens", reset),
        ];
        let hint = of(Provider::OpenAi, &headers, "").unwrap();
        assert_eq!(hint.after, Duration::from_secs_f64(after), "{reset}");
    }
}

/// On Azure a bare reset is milliseconds until full on a 200 and seconds on a 429: no wait can be read from it.
#[test]
fn azures_reset_is_no_wait() {
    let headers = [
        ("x-ratelimit-limit-tokens", "1000"),
        ("x-ratelimit-remaining-tokens", "0"),
        ("x-ratelimit-reset-tokens", "500"),
    ];
    assert_eq!(of(Provider::Azure, &headers, ""), None);
    let headers = [
        ("x-ratelimit-limit-requests", "10"),
        ("x-ratelimit-remaining-requests", "0"),
        ("x-ratelimit-renewalperiod-requests", "60"),
    ];
    assert_eq!(of(Provider::Azure, &headers, "").unwrap().after, Duration::from_secs(6));
}

#[test]
fn anthropics_remaining_tokens_are_rounded() {
    let headers = [
        ("date", "Wed, 19 Aug 2026 14:34:17 GMT"),
        ("anthropic-ratelimit-input-tokens-limit", "30000"),
        ("anthropic-ratelimit-input-tokens-remaining", "1000"),
        ("anthropic-ratelimit-input-tokens-reset", "2026-08-19T14:35:15.5Z"),
    ];
    let wait = |input| {
        let signals = Signals {
            provider: Provider::Anthropic,
            headers: &headers,
            message: "",
            retry_delay: None,
            limited: true,
            wall: None,
            cost: Some(Cost::request(input, 0)),
        };
        hint::read(&signals).map(|hint| hint.after)
    };
    assert_eq!(wait(500), None);
    // Printed as 1000, perhaps 500: 500 more come at 500 a second.
    assert_eq!(wait(1_000), Some(Duration::from_secs(1)));
    // No wait is longer than until the bucket is full.
    assert_eq!(wait(30_000), Some(Duration::from_secs(59)));
}

#[test]
fn should_retry_is_a_word_not_a_number() {
    assert_eq!(hint::should_retry(&[("X-Should-Retry", "true")]), Some(true));
    assert_eq!(hint::should_retry(&[("x-should-retry", " False ")]), Some(false));
    assert_eq!(hint::should_retry(&[("x-should-retry", "1")]), None);
    assert_eq!(hint::should_retry(&[]), None);
}

/// The very sentence that Go would print.
fn go(span: Duration) -> String {
    let (secs, nanos) = (span.as_secs(), span.subsec_nanos());
    format!("{}h{}m{}.{nanos:09}s", secs / 3600, secs / 60 % 60, secs % 60)
}

/// P26: there is no form that is not understood.
#[test]
fn every_form_is_read() {
    use Provider::{Anthropic, Azure, Bedrock, Gemini, Generic, Mistral, OpenAi, OpenRouter};
    type Fields = &'static [(&'static str, &'static str)];
    let forms: [(&str, Provider, Fields, &str, Source, f64); 16] = [
        ("H1", OpenAi, &[("retry-after-ms", "4321")], "", Source::RetryAfterMs, 4.321),
        ("H2", Azure, &[("x-ms-retry-after-ms", "1500")], "", Source::MsRetryAfterMs, 1.5),
        ("H3", OpenAi, &[("retry-after", "20")], "", Source::RetryAfter, 20.0),
        ("H4", OpenAi, &[("retry-after", "0.5")], "", Source::RetryAfter, 0.5),
        (
            "H5",
            OpenAi,
            &[
                ("retry-after", "Wed, 21 Oct 2026 07:28:00 GMT"),
                ("date", "Wed, 21 Oct 2026 07:27:00 GMT"),
            ],
            "",
            Source::RetryAfter,
            60.0,
        ),
        (
            "H8",
            OpenAi,
            &[
                ("x-ratelimit-limit-requests", "3"),
                ("x-ratelimit-remaining-requests", "0"),
                ("x-ratelimit-reset-requests", "1m0s"),
            ],
            "",
            Source::Limits(Dimension::Rpm),
            20.0,
        ),
        (
            "H9",
            OpenRouter,
            &[
                ("x-ratelimit-limit", "20"),
                ("x-ratelimit-remaining", "0"),
                ("x-ratelimit-reset", "1696004814000"),
            ],
            "",
            Source::Limits(Dimension::Rpm),
            17.001,
        ),
        (
            "H11",
            Anthropic,
            &[
                ("anthropic-ratelimit-requests-limit", "50"),
                ("anthropic-ratelimit-requests-remaining", "0"),
                ("anthropic-ratelimit-requests-reset", "2023-09-29T16:27:37Z"),
            ],
            "",
            Source::Limits(Dimension::Rpm),
            1.2,
        ),
        (
            "H12",
            Azure,
            &[
                ("x-ratelimit-limit-requests", "10"),
                ("x-ratelimit-remaining-requests", "0"),
                ("x-ratelimit-renewalperiod-requests", "60"),
            ],
            "",
            Source::Limits(Dimension::Rpm),
            6.0,
        ),
        (
            "H13",
            Mistral,
            &[
                ("x-ratelimit-limit-tokens-minute", "100000"),
                ("x-ratelimit-remaining-tokens-minute", "98308"),
                ("x-ratelimit-tokens-query-cost", "99308"),
            ],
            "",
            Source::Limits(Dimension::Tpm),
            0.6,
        ),
        (
            "H13, before",
            Mistral,
            &[("ratelimit-limit", "1"), ("ratelimit-remaining", "0"), ("ratelimit-reset", "1")],
            "",
            Source::Limits(Dimension::Rpm),
            1.001,
        ),
        (
            "H13, by size",
            Mistral,
            &[
                ("ratelimitbysize-limit", "500000"),
                ("ratelimitbysize-remaining", "307190"),
                ("ratelimitbysize-reset", "46"),
                ("ratelimitbysize-query-cost", "320100"),
            ],
            "",
            Source::Limits(Dimension::Tpm),
            46.001,
        ),
        ("H15", Generic, &[], "Please retry after 33 seconds.", Source::Message, 33.0),
        (
            "H16",
            OpenAi,
            &[],
            "(TPM): Limit 30000, Used 29937, Requested 385",
            Source::Limits(Dimension::Tpm),
            0.644,
        ),
        ("H17", Gemini, &[("grpc-retry-pushback-ms", "250")], "", Source::GrpcPushback, 0.25),
        ("H18", Bedrock, &[("x-amz-retry-after", "1500")], "", Source::AmzRetryAfter, 1.5),
    ];
    for (form, provider, headers, message, source, after) in forms {
        let hint = of(provider, headers, message).expect(form);
        assert_eq!(hint, Hint { after: secs(after), source }, "{form}");
    }
    // H14 stands in the body, H7 and H19 are no spans; H10 must not be read, see below.
    let hint = retry_info("45.837906927s", "").unwrap();
    assert_eq!(
        hint,
        Hint { after: Duration::from_nanos(45_837_906_927), source: Source::RetryInfo }
    );
}

fn retry_info(delay: &str, message: &str) -> Option<Hint> {
    hint::read(&Signals {
        provider: Provider::Gemini,
        headers: &[],
        message,
        retry_delay: Some(delay),
        limited: true,
        wall: None,
        cost: None,
    })
}

/// Google cuts `retryDelay` to whole seconds more often than not, and the message to nothing.
#[test]
fn the_larger_of_googles_delays_counts() {
    let message = "Please retry in 39.872014112s.";
    let exact = Duration::from_nanos(39_872_014_113);
    assert_eq!(retry_info("39s", message).unwrap().after, exact);
    assert_eq!(retry_info("41s", message).unwrap().after, Duration::from_secs(41));
    assert_eq!(retry_info("0s", message).unwrap().after, exact);
    // Unreadable, and the sentence speaks for itself.
    for delay in ["-3s", "soon", "", "39"] {
        let hint = retry_info(delay, message).unwrap();
        assert_eq!(hint, Hint { after: exact, source: Source::Message }, "{delay}");
    }
}

/// A server that pushes back with a negative or unreadable number wants no retry at all.
#[test]
fn a_pushback_is_a_wait_or_a_stop() {
    for (value, word, after) in [
        ("250", None, Some(Duration::from_millis(250))),
        ("0", None, Some(Duration::ZERO)),
        ("-1", Some(false), None),
        ("", Some(false), None),
        ("1.5", Some(false), None),
        ("2147483648", Some(false), None),
    ] {
        let headers = [("grpc-retry-pushback-ms", value), ("x-should-retry", "true")];
        let expected = word.or(Some(true));
        assert_eq!(hint::should_retry(&headers), expected, "{value:?}");
        assert_eq!(hint::should_retry(&headers[..1]), word, "{value:?}");
        let hint = of(Provider::Generic, &headers, "").map(|hint| hint.after);
        assert_eq!(hint, after, "{value:?}");
    }
}

/// P46: what is left is read from every provider's headers, at its lowest, and nothing is made up.
#[test]
fn what_is_left_is_read_from_the_headers() {
    use Dimension::{Itpm, Otpm, Rpd, Rpm, Tpm};
    use Provider::{Anthropic, Azure, Bedrock, Cohere, Gemini, Mistral, OpenAi, OpenRouter};
    type Fields = &'static [(&'static str, &'static str)];
    type Seen = &'static [(Dimension, Option<u64>, u64)];
    let cases: [(Provider, Fields, Seen); 15] = [
        (OpenAi, &OPENAI, &[(Rpm, Some(500), 499), (Tpm, Some(30_000), 63)]),
        (OpenAi, &[("X-RateLimit-Remaining-Tokens", "-5")], &[(Tpm, None, 0)]),
        (OpenAi, &[("x-ratelimit-limit-tokens", "30000")], &[]),
        (OpenAi, &[("x-ratelimit-remaining-tokens", "many")], &[]),
        (OpenAi, &[("x-ratelimit-limit-tokens", "0"), ("x-ratelimit-remaining-tokens", "0")], &[]),
        (
            Anthropic,
            &[
                ("anthropic-ratelimit-requests-limit", "50"),
                ("anthropic-ratelimit-requests-remaining", "49"),
                ("anthropic-ratelimit-input-tokens-limit", "30000"),
                ("anthropic-ratelimit-input-tokens-remaining", "1000"),
                ("anthropic-ratelimit-output-tokens-remaining", "0"),
            ],
            &[(Rpm, Some(50), 49), (Itpm, Some(30_000), 500), (Otpm, None, 0)],
        ),
        (
            Azure,
            &[
                ("x-ratelimit-limit-requests", "120"),
                ("x-ratelimit-remaining-requests", "119"),
                ("x-ratelimit-reset-requests", "500"),
                ("x-ratelimit-renewalperiod-requests", "60"),
            ],
            &[(Rpm, Some(120), 119)],
        ),
        // Of ten seconds, which is no dimension of ours.
        (
            Azure,
            &[
                ("x-ratelimit-limit-requests", "2"),
                ("x-ratelimit-remaining-requests", "0"),
                ("x-ratelimit-renewalperiod-requests", "10"),
            ],
            &[],
        ),
        (
            Cohere,
            &[("x-trial-endpoint-call-limit", "40"), ("x-trial-endpoint-call-remaining", "7")],
            &[(Rpm, Some(40), 7)],
        ),
        (
            Mistral,
            &[
                ("x-ratelimit-limit-req-minute", "100"),
                ("x-ratelimit-remaining-req-minute", "98"),
                ("x-ratelimit-limit-tokens-minute", "100000"),
                ("x-ratelimit-remaining-tokens-minute", "98308"),
                ("ratelimitbysize-remaining", "1"),
            ],
            &[(Rpm, Some(100), 98), (Tpm, Some(100_000), 98_308)],
        ),
        (
            Mistral,
            &[
                ("ratelimit-limit", "1"),
                ("ratelimit-remaining", "0"),
                ("x-ratelimit-limit-second", "1"),
                ("ratelimitbysize-limit", "500000"),
                ("ratelimitbysize-remaining", "307190"),
            ],
            &[(Tpm, Some(500_000), 307_190)],
        ),
        (
            OpenRouter,
            &[
                ("x-ratelimit-limit", "20"),
                ("x-ratelimit-remaining", "3"),
                ("x-ratelimit-reset", "1696004820000"),
            ],
            &[(Rpm, Some(20), 3)],
        ),
        (
            OpenRouter,
            &[
                ("x-ratelimit-limit", "50"),
                ("x-ratelimit-remaining", "0"),
                ("x-ratelimit-reset", "1696032000000"),
            ],
            &[(Rpd, Some(50), 0)],
        ),
        (Gemini, &OPENAI, &[]),
        (Bedrock, &OPENAI, &[]),
    ];
    for (provider, headers, expected) in cases {
        let observed: Vec<_> = hint::observed(provider, headers, Some(wall()))
            .iter()
            .map(|seen| (seen.dimension, seen.limit, seen.remaining))
            .collect();
        assert_eq!(observed, expected, "{provider} {headers:?}");
    }
}

/// The headers of a form, with a value of so many milliseconds; what the message and the body say is beside them.
fn form(source: Source, millis: u64) -> Vec<(&'static str, String)> {
    match source {
        Source::RetryAfterMs => vec![("retry-after-ms", millis.to_string())],
        Source::MsRetryAfterMs => vec![("x-ms-retry-after-ms", millis.to_string())],
        Source::AmzRetryAfter => vec![("x-amz-retry-after", millis.to_string())],
        Source::RetryAfter => {
            vec![("retry-after", format!("{}.{:03}", millis / 1_000, millis % 1_000))]
        }
        Source::GrpcPushback => vec![("grpc-retry-pushback-ms", millis.to_string())],
        Source::Limits(_) => vec![
            ("x-ratelimit-remaining-tokens", "0".to_owned()),
            ("x-ratelimit-reset-tokens", format!("{millis}ms")),
        ],
        Source::RetryInfo | Source::Message => Vec::new(),
    }
}

const SOURCES: [Source; 8] = [
    Source::RetryAfterMs,
    Source::MsRetryAfterMs,
    Source::AmzRetryAfter,
    Source::RetryAfter,
    Source::GrpcPushback,
    Source::RetryInfo,
    Source::Limits(Dimension::Tpm),
    Source::Message,
];

proptest! {
    /// The first form above zero wins, in one order, however the fields are arranged.
    #[test]
    fn property_09_the_order_of_forms_is_total(
        forms in prop::collection::vec(prop::option::of(0..3_000_u64), SOURCES.len()),
        turn: prop::sample::Index,
    ) {
        let unit = Duration::from_millis(1);
        let message = forms[7].map(|millis| format!("try again in {millis}ms")).unwrap_or_default();
        let delay = forms[5].map(|millis| format!("{}.{:03}s", millis / 1_000, millis % 1_000));
        let mut fields: Vec<_> = SOURCES
            .iter()
            .zip(&forms)
            .filter_map(|(source, millis)| Some(form(*source, (*millis)?)))
            .flatten()
            .collect();
        let by = turn.index(fields.len().max(1));
        fields.rotate_left(by);
        let headers: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let hint = hint::read(&Signals {
            provider: Provider::OpenAi,
            headers: &headers,
            message: &message,
            retry_delay: delay.as_deref(),
            limited: true,
            wall: None,
            cost: None,
        });

        let told = forms[7].map(|millis| Duration::from_millis(millis) + unit);
        let known = SOURCES.iter().zip(&forms).filter_map(|(source, millis)| {
            let after = Duration::from_millis((*millis)?);
            let after = match source {
                Source::RetryInfo => after.max(told.unwrap_or_default()),
                // Printed values that are cut are taken to mean one unit more.
                Source::Limits(_) | Source::Message => after + unit,
                _ => after,
            };
            Some(Hint { after, source: *source })
        });
        let known: Vec<_> = known.collect();
        let first = known.iter().find(|hint| hint.after > Duration::ZERO).or(known.first());
        prop_assert_eq!(hint, first.copied());
    }

    /// Any bytes in any field, the message and the body give a hint that the clock can count, or none.
    #[test]
    fn property_08_any_text_is_read(
        text in "\\PC*",
        bytes: Vec<u8>,
        digits in "[0-9]{0,40}s?|[-+.0-9eEinfNaTZ:]{0,40}",
        provider in prop::sample::select(Provider::ALL.to_vec()),
    ) {
        let lossy = String::from_utf8_lossy(&bytes);
        for text in [&text, &*lossy, &digits] {
            for name in NAMES {
                let headers = [(name, text), ("x-ratelimit-remaining-tokens", "0")];
                let hint = hint::read(&Signals {
                    provider,
                    headers: &headers,
                    message: &format!("(TPM) Limit {text}, Used {text}, Requested {text} retry in {text}"),
                    retry_delay: Some(text),
                    limited: true,
                    wall: Some(wall()),
                    cost: Some(Cost::request(1, 1)),
                });
                prop_assert!(hint.is_none_or(|hint| hint.after <= Duration::from_nanos(u64::MAX)));
                hint::should_retry(&headers);
                hint::observed(provider, &headers, None);
            }
        }
    }

    /// What has a sign, an exponent or no digits is no number.
    #[test]
    fn property_08_what_is_no_number_is_no_hint(number: u32, sign in "[-+]|nan|inf|NaN|infinity") {
        for name in ["retry-after", "retry-after-ms", "x-ms-retry-after-ms", "x-amz-retry-after"] {
            prop_assert_eq!(header(name, &format!("{sign}{number}")), None);
            prop_assert_eq!(header(name, &format!("{sign}.{number}")), None);
            prop_assert_eq!(header(name, &sign), None);
        }
    }

    #[test]
    fn property_08_a_go_duration_survives_the_round_trip(nanos in 0..10_000_000_000_000_000_u64) {
        let span = Duration::from_nanos(nanos);
        let headers = [("x-ratelimit-remaining-tokens", "0"), ("x-ratelimit-reset-tokens", &*go(span))];
        // One millisecond is the unit of the printed value.
        let hint = of(Provider::OpenAi, &headers, "").unwrap();
        prop_assert_eq!(hint.after, span + Duration::from_millis(1));
        // The sentence adds one nanosecond for the last digit.
        let hint = of(Provider::Generic, &[], &format!("try again in {}", go(span))).unwrap();
        prop_assert_eq!(hint.after, span + Duration::from_nanos(1));
    }

    #[test]
    fn property_08_a_http_date_survives_the_round_trip(ahead in 0..100_000_000_u64, ago in 0..WALL) {
        let date = httpdate::fmt_http_date(wall() + Duration::from_secs(ahead));
        prop_assert_eq!(header("retry-after", &date), Some(Duration::from_secs(ahead)));
        // What is past is over.
        let date = httpdate::fmt_http_date(wall() - Duration::from_secs(ago));
        prop_assert_eq!(header("retry-after", &date), Some(Duration::ZERO));
    }

    #[test]
    fn property_08_an_instant_survives_the_round_trip(
        ahead in -1_000_000_000..4_000_000_000_i64,
        nanos in 0..1_000_000_000_u32,
        offset in -14 * 60..=14 * 60_i64,
    ) {
        // Written in a zone of its own; read, it is the same instant.
        let at = i64::try_from(WALL).unwrap() + ahead + offset * 60;
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(at).unwrap());
        let date = httpdate::HttpDate::from(at).to_string();
        let [_, day, month, year, time, _] = date.split(' ').collect::<Vec<_>>()[..] else { panic!() };
        let month = "JanFebMarAprMayJunJulAugSepOctNovDec".find(month).unwrap() / 3 + 1;
        let (sign, offset) = if offset < 0 { ('-', -offset) } else { ('+', offset) };
        let text = format!(
            "{year}-{month:02}-{day}T{time}.{nanos:09}{sign}{:02}:{:02}",
            offset / 60,
            offset % 60,
        );
        // Without a limit the reset is all there is to know.
        let headers = [
            ("anthropic-ratelimit-requests-remaining", "0"),
            ("anthropic-ratelimit-requests-reset", &*text),
        ];
        let hint = of(Provider::Anthropic, &headers, "").unwrap();
        let span = u64::try_from(ahead).map_or(Duration::ZERO, |ahead| Duration::new(ahead, nanos));
        // A second is the unit of the printed value.
        prop_assert_eq!(hint.after, span + Duration::from_secs(1), "{}", text);
    }
}

const NAMES: [&str; 12] = [
    "retry-after",
    "retry-after-ms",
    "date",
    "grpc-retry-pushback-ms",
    "x-ratelimit-limit-tokens",
    "x-ratelimit-reset-tokens",
    "x-ratelimit-remaining",
    "x-ratelimit-renewalperiod-tokens",
    "anthropic-ratelimit-requests-reset",
    "x-ratelimit-tokens-query-cost",
    "ratelimit-reset",
    "ratelimitbysize-remaining",
];
