//! Every form of a server hint, and their order.

use std::time::{Duration, SystemTime};

use proptest::prelude::*;
use resilience_core::hint::{self, Hint, Signals, Source};
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
    for (message, nanos, dimension) in [
        ("(TPM): Limit 30000, Used 29937, Requested 385.", 644_000_000, Dimension::Tpm),
        ("(TPM): Limit 200,000, Used 199,700, Requested 1,031.", 219_300_000, Dimension::Tpm),
        ("(RPM): Limit 3, Used 3, Requested 1.", 20_000_000_000, Dimension::Rpm),
        ("(RPD): Limit 200, Used 200, Requested 1.", 432_000_000_000, Dimension::Rpd),
    ] {
        let hint = of(Provider::OpenAi, &[], message).unwrap();
        assert_eq!(hint.after, Duration::from_nanos(nanos), "{message}");
        assert_eq!(hint.source, Source::Limits(dimension), "{message}");
    }
    assert_eq!(of(Provider::OpenAi, &[], "(TPM): Limit 30000, Requested 31538."), None);
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

#[test]
fn a_bare_reset_is_seconds_or_an_instant() {
    // Nobody counted the tokens and none are left, so the reset itself is the wait.
    for (reset, after) in [
        ("42", 42.001),
        ("1696004827", 30.001),
        ("1696004827000", 30.001),
        ("1m0s", 60.001),
        ("1.5s", 1.501),
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

proptest! {
    #[test]
    fn any_text_is_read_without_panic(text in "\\PC*", bytes: Vec<u8>) {
        let lossy = String::from_utf8_lossy(&bytes);
        for text in [&text, &*lossy] {
            for name in [
                "retry-after", "retry-after-ms", "x-ratelimit-reset-tokens", "date",
                "anthropic-ratelimit-requests-reset", "x-ratelimit-limit-tokens",
            ] {
                of(Provider::OpenAi, &[(name, text), ("x-ratelimit-remaining-tokens", "0")], text);
                of(Provider::Anthropic, &[(name, text)], text);
                of(Provider::Azure, &[(name, text)], text);
            }
            of(Provider::Generic, &[], &format!("retry in {text}"));
            of(Provider::Generic, &[], &format!("(TPM) Limit {text}, Used {text}, Requested {text}"));
        }
    }

    #[test]
    fn a_go_duration_survives_the_round_trip(nanos in 1..1_000_000_000_000_000u64) {
        let span = Duration::from_nanos(nanos);
        let headers = [
            ("x-ratelimit-limit-tokens", "1000000"),
            ("x-ratelimit-remaining-tokens", "0"),
            ("x-ratelimit-reset-tokens", &*go(span)),
        ];
        let hint = of(Provider::OpenAi, &headers, "").unwrap();
        prop_assert_eq!(hint.after, span + Duration::from_millis(1));
        // The sentence adds one nanosecond for the last digit.
        let hint = of(Provider::Generic, &[], &format!("try again in {}", go(span))).unwrap();
        prop_assert_eq!(hint.after, span + Duration::from_nanos(1));
    }

    #[test]
    fn a_http_date_survives_the_round_trip(ahead in 0..100_000_000u64) {
        let date = httpdate::fmt_http_date(wall() + Duration::from_secs(ahead));
        prop_assert_eq!(header("retry-after", &date), Some(Duration::from_secs(ahead)));
    }

    #[test]
    fn an_instant_survives_the_round_trip(ahead in 1..4_000_000_000u64, offset in -14 * 60..=14 * 60i64) {
        // Written in a zone of its own; read, it is the same instant.
        let at = i64::try_from(WALL + ahead).unwrap() + offset * 60;
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(at).unwrap());
        let date = httpdate::HttpDate::from(at).to_string();
        let [_, day, month, year, time, _] = date.split(' ').collect::<Vec<_>>()[..] else { panic!() };
        let month = "JanFebMarAprMayJunJulAugSepOctNovDec".find(month).unwrap() / 3 + 1;
        let (sign, offset) = if offset < 0 { ('-', -offset) } else { ('+', offset) };
        let text = format!("{year}-{month:02}-{day}T{time}{sign}{:02}:{:02}", offset / 60, offset % 60);
        let headers = [
            ("anthropic-ratelimit-requests-limit", "1"),
            ("anthropic-ratelimit-requests-remaining", "0"),
            ("anthropic-ratelimit-requests-reset", &*text),
        ];
        let hint = of(Provider::Anthropic, &headers, "").unwrap();
        let full = Duration::from_secs(ahead + 1);
        prop_assert_eq!(hint.after, full.min(Duration::from_secs(60)), "{}", text);
    }
}
