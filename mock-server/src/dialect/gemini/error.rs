//! Gemini's failures; texts as quoted in public recordings and issues.

use std::time::Duration;

use serde_json::{Value, json};

use super::{JSON, Target, headers, success};
use crate::{
    action::{Dimension, ErrorKind},
    dialect::{Body, Case, Exchange, Fields, Place, Provenance, ReplyBody},
    plan::Route,
    quota::Level,
};

use ErrorKind::{
    Authentication, BadGateway, BadRequest, Cancelled, ContentPolicy, ContextLength,
    GatewayTimeout, InsufficientQuota, NotFound, Overloaded, Permission, RateLimited,
    RequestTooLarge, ServerError, Unavailable,
};
use Provenance::{Documented, Quoted, Recorded};

/// An error; a stream that is a list wraps it in one.
macro_rules! error {
    ($code:literal, $status:literal, $message:expr) => {
        Body::Json(concat!(
            "{{open}}{\n  \"error\": {\n    \"code\": ",
            $code,
            ",\n    \"message\": \"",
            $message,
            "\",\n    \"status\": \"",
            $status,
            "\"\n  }\n}\n{{close}}"
        ))
    };
    ($code:literal, $status:literal, $message:expr, $details:expr) => {
        Body::Json(concat!(
            "{{open}}{\n  \"error\": {\n    \"code\": ",
            $code,
            ",\n    \"message\": \"",
            $message,
            "\",\n    \"status\": \"",
            $status,
            "\",\n    \"details\": [\n",
            $details,
            "\n    ]\n  }\n}\n{{close}}"
        ))
    };
}

/// An error inside a stream: bare, not an event, and in a read of its own. Recorded with the line
/// ends of the events around it.
macro_rules! event {
    ($code:literal, $status:literal, $message:expr) => {
        event!($code, $status, $message, "")
    };
    ($code:literal, $status:literal, $message:expr, $details:expr) => {
        Body::Text(concat!(
            "{{next}}{\r\n  \"error\": {\r\n    \"code\": ",
            $code,
            ",\r\n    \"message\": \"",
            $message,
            "\",\r\n    \"status\": \"",
            $status,
            "\"",
            $details,
            "\r\n  }\r\n}\r\n{{close}}"
        ))
    };
}

/// The same inside an event, where the stream has any.
macro_rules! data_frame {
    ($code:literal, $status:literal, $message:expr) => {
        Body::Text(concat!(
            "{{data}}{\"error\": {\"code\": ",
            $code,
            ",\"message\": \"",
            $message,
            "\",\"status\": \"",
            $status,
            "\"}}\r\n{{end}}"
        ))
    };
}

/// A page of Google's front end.
macro_rules! page {
    ($status:literal, $title:literal, $reason:literal) => {
        Body::Text(concat!(
            "<!DOCTYPE html>\n<html lang=en>\n  <meta charset=utf-8>\n  <title>Error ",
            $title,
            "!!1</title>\n  <p><b>",
            $status,
            ".</b> <ins>That’s an error.</ins>\n  <p>",
            $reason,
            "  <ins>That’s all we know.</ins>\n"
        ))
    };
}

/// The details of a key that is not taken.
macro_rules! key_details {
    ($message:expr) => {
        concat!(
            r#"      {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": "API_KEY_INVALID",
        "domain": "googleapis.com",
        "metadata": {
          "service": "generativelanguage.googleapis.com"
        }
      },
      {
        "@type": "type.googleapis.com/google.rpc.LocalizedMessage",
        "locale": "en-US",
        "message": ""#,
            $message,
            r#""
      }"#
        )
    };
}

/// The words for a limit that is hit; `$retry` says when to come back.
macro_rules! quota_text {
    ($metric:literal, $retry:literal) => {
        concat!(
            "You exceeded your current quota, please check your plan and billing details. For more \
             information on this error, head to: \
             https://ai.google.dev/gemini-api/docs/rate-limits. To monitor your current usage, \
             head to: https://ai.dev/rate-limit. \\n* Quota exceeded for metric: \
             generativelanguage.googleapis.com/",
            $metric,
            ", limit: {{limit}}, model: {{model}}",
            $retry
        )
    };
}

/// The first detail of a limit: where to read more.
macro_rules! help_detail {
    () => {
        r#"      {
        "@type": "type.googleapis.com/google.rpc.Help",
        "links": [
          {
            "description": "Learn more about Gemini API quotas",
            "url": "https://ai.google.dev/gemini-api/docs/rate-limits"
          }
        ]
      }"#
    };
}

/// The limit itself; `$dimensions` are in the order of the tier.
macro_rules! quota_detail {
    ($metric:literal, $id:literal, $dimensions:expr) => {
        concat!(
            r#"      {
        "@type": "type.googleapis.com/google.rpc.QuotaFailure",
        "violations": [
          {
            "quotaMetric": "generativelanguage.googleapis.com/"#,
            $metric,
            r#"",
            "quotaId": ""#,
            $id,
            r#"",
            "quotaDimensions": {
"#,
            $dimensions,
            r#"
            },
            "quotaValue": "{{limit}}"
          }
        ]
      }"#
        )
    };
}

/// The dimensions of a limit in the free tier.
macro_rules! free_dimensions {
    () => {
        r#"              "location": "global",
              "model": "{{model}}""#
    };
}

/// The dimensions of a limit in a paid tier.
macro_rules! paid_dimensions {
    () => {
        r#"              "model": "{{model}}",
              "location": "global""#
    };
}

/// When to come back, in whole seconds.
macro_rules! retry_detail {
    () => {
        r#"      {
        "@type": "type.googleapis.com/google.rpc.RetryInfo",
        "retryDelay": "{{delay-seconds}}s"
      }"#
    };
}

/// Everything that Gemini refuses or fails with.
pub(super) static CASES: &[Case] = &[
    Case::new(
        Authentication,
        "invalid-key",
        400,
        failed,
        error!(
            "400",
            "INVALID_ARGUMENT",
            "API key not valid. Please pass a valid API key.",
            key_details!("API key not valid. Please pass a valid API key.")
        ),
    )
    .known(
        Recorded,
        "crmne/ruby_llm, spec/fixtures/vcr_cassettes/\
         chat_error_handling_with_gemini_gemini-2_5-flash_raises_appropriate_\
         auth_error.yml",
    ),
    Case::new(
        Authentication,
        "expired-key",
        400,
        failed,
        error!(
            "400",
            "INVALID_ARGUMENT",
            "API key expired. Please renew the API key.",
            key_details!("API key expired. Please renew the API key.")
        ),
    )
    .known(Quoted, "public issues"),
    Case::new(
        Authentication,
        "missing-key",
        403,
        failed,
        error!(
            "403",
            "PERMISSION_DENIED",
            "Method doesn't allow unregistered callers (callers without established identity). \
             Please use API Key or other form of API consumer identity to call this API."
        ),
    )
    .known(Quoted, "public issues"),
    // The page of Google's front end.
    Case::new(
        BadGateway,
        "front-end",
        502,
        page,
        page!(
            "502",
            "502 (Server Error)",
            "The server encountered a temporary error and could not complete your \
             request.<p>Please try again in 30 seconds."
        ),
    ),
    Case::new(BadRequest, "invalid", 400, failed, error!("400", "INVALID_ARGUMENT", "{{message}}"))
        .such_as(&[("message", "* GenerateContentRequest.contents: contents is not specified\n")])
        .known(Quoted, "public issues"),
    Case::new(
        BadRequest,
        "invalid-argument",
        400,
        failed,
        error!("400", "INVALID_ARGUMENT", "Request contains an invalid argument."),
    )
    .known(Quoted, "https://github.com/lbjlaq/Antigravity-Manager/issues/3102"),
    // What it does not know is made by the reader, which escapes it too.
    Case::new(
        BadRequest,
        "fields",
        400,
        failed,
        Body::Text(
            "{{open}}{\n  \"error\": {\n    \"code\": 400,\n    \"message\": \
             \"{{message}}\",\n    \"status\": \"INVALID_ARGUMENT\",\n    \"details\": \
             [\n      {\n        \"@type\": \
             \"type.googleapis.com/google.rpc.BadRequest\",\n        \"fieldViolations\": \
             {{violations}}\n      }\n    ]\n  }\n}\n{{close}}",
        ),
    )
    .such_as(&[
        (
            "message",
            "Invalid JSON payload received. Unknown name \\\"stream\\\": Cannot find \
                 field.",
        ),
        ("violations", "[]"),
    ])
    .known(Quoted, "https://github.com/zed-industries/zed/issues/44875"),
    // The form of Google's parser.
    Case::new(
        BadRequest,
        "malformed-json",
        400,
        failed,
        error!("400", "INVALID_ARGUMENT", "Invalid JSON payload received. {{message}}"),
    )
    .such_as(&[("message", "Expected an object key or }.\n{\"contents\": [\n              ^")]),
    Case::new(
        Cancelled,
        "cancelled",
        499,
        failed,
        error!("499", "CANCELLED", "The operation was cancelled."),
    )
    .known(Quoted, "public issues"),
    // What is blocked is a success without candidates.
    Case::new(ContentPolicy, "prompt", 200, success::head, Body::Made(prompt_blocked))
        .on(&[Route::GeminiGenerate])
        .known(
            Recorded,
            "FirebaseExtended/vertexai-sdk-test-data, mock-responses/googleai/\
             streaming-failure-prompt-blocked-safety.txt",
        ),
    Case::new(
        ContentPolicy,
        "prompt-prohibited",
        200,
        success::head,
        Body::Made(prompt_prohibited),
    )
    .on(&[Route::GeminiGenerate])
    .known(Documented, "https://ai.google.dev/api/generate-content"),
    Case::new(ContentPolicy, "output", 200, success::head, Body::Made(output_blocked))
        .on(&[Route::GeminiGenerate])
        .known(
            Recorded,
            "pydantic/pydantic-ai, tests/models/cassettes/test_google/\
             test_google_model_safety_settings.yaml",
        ),
    Case::new(ContentPolicy, "other", 200, success::head, Body::Made(output_failed))
        .on(&[Route::GeminiGenerate])
        .known(Recorded, "public recordings"),
    Case::new(
        ContextLength,
        "input",
        400,
        failed,
        error!(
            "400",
            "INVALID_ARGUMENT",
            "The input token count ({{input}}) exceeds the maximum number of tokens allowed \
             ({{window}})."
        ),
    )
    .known(
        Recorded,
        "crmne/ruby_llm, spec/fixtures/vcr_cassettes/\
         chat_real_error_scenarios_vertexai_gemini-2_5-flash_handles_context_\
         length_exceeded_errors.yml",
    ),
    Case::new(
        ContextLength,
        "input-without-numbers",
        400,
        failed,
        error!(
            "400",
            "INVALID_ARGUMENT",
            "The input token count exceeds the maximum number of tokens allowed."
        ),
    )
    .known(Quoted, "public issues"),
    Case::new(
        GatewayTimeout,
        "deadline",
        504,
        failed,
        error!("504", "DEADLINE_EXCEEDED", "Deadline expired before operation could complete."),
    ),
    // A limit by the day is used up, and still asks to come back within a minute.
    Case::new(
        InsufficientQuota,
        "free-tier-day",
        429,
        metered,
        error!(
            "429",
            "RESOURCE_EXHAUSTED",
            quota_text!("generate_content_free_tier_requests", "\\nPlease retry in {{delay}}s."),
            concat!(
                help_detail!(),
                ",\n",
                quota_detail!(
                    "generate_content_free_tier_requests",
                    "GenerateRequestsPerDayPerProjectPerModel-FreeTier",
                    free_dimensions!()
                ),
                ",\n",
                retry_detail!()
            )
        ),
    )
    .such_as(&[("limit", "20"), ("delay", "39.872014112"), ("delay-seconds", "39")])
    .known(Quoted, "public issues of 2025 and 2026"),
    Case::new(
        NotFound,
        "model",
        404,
        failed,
        error!(
            "404",
            "NOT_FOUND",
            "models/{{model}} is not found for API version {{version}}, or is not supported for \
             {{rpc}}. Call ModelService.ListModels to see the list of available models and their \
             supported methods."
        ),
    )
    .known(
        Recorded,
        "pydantic/pydantic-ai, tests/cassettes/test_model_name_suggestions/\
         test_model_name_suggestion[google].yaml",
    ),
    Case::new(
        NotFound,
        "model-2025",
        404,
        failed,
        error!(
            "404",
            "NOT_FOUND",
            "models/{{model}} is not found for API version {{version}}, or is not supported for \
             {{rpc}}. Call ListModels to see the list of available models and their supported \
             methods."
        ),
    )
    .known(Recorded, "public recordings"),
    Case::new(
        NotFound,
        "get-model",
        404,
        failed,
        error!(
            "404",
            "NOT_FOUND", "Model is not found: models/{{model}} for api version {{version}}"
        ),
    ),
    // Google's imitation of OpenAI answers with lists.
    Case::new(
        NotFound,
        "imitation",
        404,
        failed,
        Body::Json(
            "[{\n  \"error\": {\n    \"code\": 404,\n    \"message\": \"Requested entity was not \
             found.\",\n    \"status\": \"NOT_FOUND\"\n  }\n}\n]",
        ),
    ),
    Case::new(
        NotFound,
        "route",
        404,
        page,
        page!(
            "404",
            "404 (Not Found)",
            "The requested URL <code>{{path}}</code> was not found on this server."
        ),
    )
    .such_as(&[("path", "/v1beta/foo")]),
    Case::new(
        Overloaded,
        "overloaded",
        503,
        failed,
        error!("503", "UNAVAILABLE", "The model is overloaded. Please try again later."),
    )
    .known(Quoted, "public issues"),
    Case::new(
        Overloaded,
        "high-demand",
        503,
        failed,
        error!(
            "503",
            "UNAVAILABLE",
            "This model is currently experiencing high demand. Spikes in demand are usually \
             temporary. Please try again later."
        ),
    )
    .known(Quoted, "public issues of 2026"),
    Case::new(
        Permission,
        "leaked-key",
        403,
        failed,
        error!(
            "403",
            "PERMISSION_DENIED", "Your API key was reported as leaked. Please use another API key."
        ),
    )
    .known(Quoted, "public issues of 2025 and 2026"),
    Case::new(
        Permission,
        "service-disabled",
        403,
        failed,
        error!(
            "403",
            "PERMISSION_DENIED",
            "Generative Language API has not been used in project {{project}} before or it is \
             disabled. Enable it by visiting https://console.developers.google.com/apis/api/\
             generativelanguage.googleapis.com/overview?project={{project}} then retry. If you \
             enabled this API recently, wait a few minutes for the action to propagate to our \
             systems and retry.",
            concat!(
                r#"      {
        "@type": "type.googleapis.com/google.rpc.Help",
        "links": [
          {
            "description": "Google developers console API activation",
            "url": "https://console.developers.google.com/apis/api/"#,
                "generativelanguage.googleapis.com/overview?project={{project}}",
                r#""
          }
        ]
      },
      {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": "SERVICE_DISABLED",
        "domain": "googleapis.com",
        "metadata": {
          "service": "generativelanguage.googleapis.com",
          "consumer": "projects/{{project}}"
        }
      }"#
            )
        ),
    )
    .such_as(&[("project", "12345678")])
    .known(
        Recorded,
        "FirebaseExtended/vertexai-sdk-test-data, mock-responses/googleai/\
         unary-failure-generativelanguage-api-not-enabled.json",
    ),
    Case::new(
        Permission,
        "location",
        400,
        failed,
        error!("400", "FAILED_PRECONDITION", "User location is not supported for the API use."),
    )
    .known(Recorded, "FirebaseExtended/vertexai-sdk-test-data, mock-responses"),
    Case::new(
        RateLimited,
        "free-tier",
        429,
        metered,
        error!(
            "429",
            "RESOURCE_EXHAUSTED",
            quota_text!("{{free-metric}}", "\\nPlease retry in {{delay}}s."),
            concat!(
                help_detail!(),
                ",\n",
                quota_detail!("{{free-metric}}", "{{free-id}}", free_dimensions!()),
                ",\n",
                retry_detail!()
            )
        ),
    )
    .known(Quoted, "public issues of 2025 and 2026"),
    Case::new(
        RateLimited,
        "paid-tier",
        429,
        metered,
        error!(
            "429",
            "RESOURCE_EXHAUSTED",
            quota_text!("{{paid-metric}}", "\\nPlease retry in {{delay}}s."),
            concat!(
                help_detail!(),
                ",\n",
                quota_detail!("{{paid-metric}}", "{{paid-id}}", paid_dimensions!()),
                ",\n",
                retry_detail!()
            )
        ),
    )
    .known(
        Recorded,
        "crmne/ruby_llm, spec/fixtures/vcr_cassettes/\
         chat_real_error_scenarios_gemini_gemini-2_5-flash_handles_context_\
         length_exceeded_errors.yml",
    ),
    Case::new(
        RateLimited,
        "free-tier-2025",
        429,
        metered,
        error!(
            "429",
            "RESOURCE_EXHAUSTED",
            "You exceeded your current quota, please check your plan and billing details. For \
             more information on this error, head to: \
             https://ai.google.dev/gemini-api/docs/rate-limits.",
            concat!(
                quota_detail!("{{free-metric}}", "{{free-id}}", free_dimensions!()),
                ",\n",
                help_detail!(),
                ",\n",
                retry_detail!()
            )
        ),
    )
    .known(Quoted, "public issues of 2025"),
    // A request that is larger than the limit: no wait helps, and none is announced.
    Case::new(
        RateLimited,
        "never",
        429,
        metered,
        error!(
            "429",
            "RESOURCE_EXHAUSTED",
            quota_text!("{{free-metric}}", ""),
            concat!(
                help_detail!(),
                ",\n",
                quota_detail!("{{free-metric}}", "{{free-id}}", free_dimensions!())
            )
        ),
    ),
    Case::new(
        RateLimited,
        "plain",
        429,
        metered,
        error!("429", "RESOURCE_EXHAUSTED", "Resource has been exhausted (e.g. check quota)."),
    )
    .known(Quoted, "public issues"),
    Case::new(
        RateLimited,
        "vertex",
        429,
        metered,
        error!(
            "429",
            "RESOURCE_EXHAUSTED",
            "Resource exhausted. Please try again later. Please refer to \
             https://cloud.google.com/vertex-ai/generative-ai/docs/error-code-429 for more details."
        ),
    )
    .known(Quoted, "public issues"),
    // A 400 here, not a 413.
    Case::new(
        RequestTooLarge,
        "body",
        400,
        failed,
        error!(
            "400",
            "INVALID_ARGUMENT", "Request payload size exceeds the limit: 20971520 bytes."
        ),
    )
    .known(Quoted, "https://github.com/MaKTaiL/gemini-srt-translator/issues/63"),
    Case::new(
        ServerError,
        "internal",
        500,
        failed,
        error!(
            "500",
            "INTERNAL",
            "An internal error has occurred. Please retry or report in \
             https://developers.generativeai.google/guide/troubleshooting"
        ),
    )
    .known(Quoted, "public issues"),
    Case::new(
        ServerError,
        "encountered",
        500,
        failed,
        error!("500", "INTERNAL", "Internal error encountered."),
    )
    .known(Quoted, "public issues"),
    Case::new(
        Unavailable,
        "high-demand",
        503,
        failed,
        error!(
            "503",
            "UNAVAILABLE",
            "This model is currently experiencing high demand. Spikes in demand are usually \
             temporary. Please try again later."
        ),
    )
    .known(Quoted, "public issues of 2026"),
    Case::new(
        Unavailable,
        "service",
        503,
        failed,
        error!("503", "UNAVAILABLE", "The service is currently unavailable."),
    ),
    Case::event(
        Cancelled,
        "cancelled",
        event!(
            "499",
            "CANCELLED",
            "The operation was cancelled.",
            ",\r\n    \"details\": [\r\n      {\r\n        \"@type\": \
             \"type.googleapis.com/google.rpc.DebugInfo\",\r\n        \"detail\": \"[ORIGINAL \
             ERROR] generic::cancelled: \"\r\n      }\r\n    ]"
        ),
    )
    .later(GAP)
    .known(
        Recorded,
        "FirebaseExtended/vertexai-sdk-test-data, mock-responses/vertexai/\
         streaming-failure-error-mid-stream.txt",
    ),
    Case::event(ContentPolicy, "output", Body::Made(output_blocked))
        .known(Recorded, "FirebaseExtended/vertexai-sdk-test-data, mock-responses"),
    Case::event(
        GatewayTimeout,
        "deadline",
        event!("504", "DEADLINE_EXCEEDED", "Deadline expired before operation could complete."),
    )
    .later(GAP),
    Case::event(
        Overloaded,
        "overloaded",
        event!("503", "UNAVAILABLE", "The model is overloaded. Please try again later."),
    )
    .later(GAP)
    .known(
        Quoted,
        "FirebaseExtended/vertexai-sdk-test-data, mock-responses/vertexai/\
         streaming-failure-error-mid-stream.txt",
    ),
    Case::event(
        Overloaded,
        "data-frame",
        data_frame!("503", "UNAVAILABLE", "The model is overloaded. Please try again later."),
    )
    .later(GAP),
    Case::event(
        RateLimited,
        "plain",
        event!("429", "RESOURCE_EXHAUSTED", "Resource has been exhausted (e.g. check quota)."),
    )
    .later(GAP),
    Case::event(ServerError, "internal", event!("500", "INTERNAL", "Internal error encountered."))
        .later(GAP),
    Case::event(
        ServerError,
        "data-frame",
        data_frame!("500", "INTERNAL", "Internal error encountered."),
    )
    .later(GAP),
    Case::event(
        Unavailable,
        "high-demand",
        event!(
            "503",
            "UNAVAILABLE",
            "This model is currently experiencing high demand. Spikes in demand are usually \
             temporary. Please try again later."
        ),
    )
    .later(GAP),
];

/// The failures for a limit whose bodies announce no wait, so that a header has to.
pub(super) const MUTE: [&str; 2] = ["plain", "vertex"];

/// Long enough for a client to read what came before; one that reads both at once takes the error
/// for a part of the event.
const GAP: Duration = Duration::from_millis(100);

/// The usual failure, where the numbers say which it is.
pub(super) fn usual(
    kind: ErrorKind,
    place: Place,
    exchange: &Exchange<'_>,
) -> Option<&'static str> {
    let limited = exchange.decision.limited?;
    let never = kind == RateLimited && place == Place::Answer && limited.never_fits();
    never.then_some("never")
}

/// What the placeholders of Gemini's texts stand for.
pub(super) fn word(name: &str, exchange: &Exchange<'_>) -> Option<String> {
    let target = Target::of(&exchange.request.headers);
    let limited = exchange.decision.limited;
    let delay = limited.and_then(|limited| limited.wait);
    // Only what goes into a stream is told how much of it was sent.
    let streams = exchange.words.iter().any(|(name, _)| *name == "events");
    let text = match name {
        "open" if target.lists_errors() => "[",
        "close" if target.lists_errors() && !streams => "]",
        "close" | "end" if target.is_list() => "]",
        "next" | "data" if target.is_list() => {
            let first = exchange.words.contains(&("events", "0".into()));
            if first { "[" } else { ",\n" }
        }
        "open" | "close" | "next" => "",
        "data" => "data: ",
        "end" => "\r\n",
        "free-metric" => free(&limited?.level)[0],
        "free-id" => free(&limited?.level)[1],
        "paid-metric" => paid(&limited?.level)[0],
        "paid-id" => paid(&limited?.level)[1],
        "delay" => return delay.map(seconds),
        "delay-seconds" => return delay.map(|delay| delay.as_secs().to_string()),
        "version" => target.version,
        "rpc" => target.method.map_or("generateContent", |method| method.name()),
        _ => return None,
    };
    Some(text.to_owned())
}

/// Metric and name of a limit in the free tier; of output and concurrency nothing was quoted.
fn free(level: &Level) -> [&'static str; 2] {
    let tokens = "generate_content_free_tier_input_token_count";
    let requests = "generate_content_free_tier_requests";
    match (level.dimension, level.period_name()) {
        (Dimension::Requests, "day") => {
            [requests, "GenerateRequestsPerDayPerProjectPerModel-FreeTier"]
        }
        (Dimension::Requests, _) => {
            [requests, "GenerateRequestsPerMinutePerProjectPerModel-FreeTier"]
        }
        (Dimension::InputTokens | Dimension::Tokens, "day") => {
            [tokens, "GenerateContentInputTokensPerModelPerDay-FreeTier"]
        }
        (Dimension::InputTokens | Dimension::Tokens, _) => {
            [tokens, "GenerateContentInputTokensPerModelPerMinute-FreeTier"]
        }
        (Dimension::OutputTokens, _) => [
            "generate_content_free_tier_output_token_count",
            "GenerateContentOutputTokensPerModelPerMinute-FreeTier",
        ],
        (Dimension::Concurrency, _) => [
            "generate_content_free_tier_concurrent_requests",
            "GenerateContentConcurrentRequestsPerProjectPerModel-FreeTier",
        ],
    }
}

/// Metric and name of a limit in a paid tier.
fn paid(level: &Level) -> [&'static str; 2] {
    match (level.dimension, level.period_name()) {
        (Dimension::Requests, "day") => {
            ["generate_requests_per_model_per_day", "GenerateRequestsPerDayPerProjectPerModel"]
        }
        (Dimension::Requests, _) => {
            ["generate_requests_per_model", "GenerateRequestsPerMinutePerProjectPerModel"]
        }
        (Dimension::InputTokens | Dimension::Tokens, _) => [
            "generate_content_paid_tier_input_token_count",
            "GenerateContentPaidTierInputTokensPerModelPerMinute",
        ],
        (Dimension::OutputTokens, _) => [
            "generate_content_paid_tier_output_token_count",
            "GenerateContentPaidTierOutputTokensPerModelPerMinute",
        ],
        (Dimension::Concurrency, _) => [
            "generate_content_paid_tier_concurrent_requests",
            "GenerateContentPaidTierConcurrentRequestsPerProjectPerModel",
        ],
    }
}

/// A wait as Google prints it: seconds, with as many digits as it needs.
fn seconds(wait: Duration) -> String {
    let (whole, rest) = (wait.as_secs(), wait.subsec_nanos());
    if rest == 0 {
        return whole.to_string();
    }
    format!("{whole}.{rest:09}").trim_end_matches('0').to_owned()
}

/// The headers of an error.
fn failed(_: &Exchange<'_>) -> Fields {
    headers(JSON)
}

/// The headers of an error for a limit, which belongs to a tier.
fn metered(_: &Exchange<'_>) -> Fields {
    let mut headers = headers(JSON);
    headers.push(("x-gemini-service-tier", "standard".into()));
    headers
}

/// The headers of a page.
fn page(_: &Exchange<'_>) -> Fields {
    vec![
        ("content-type", "text/html; charset=UTF-8".into()),
        ("referrer-policy", "no-referrer".into()),
        ("alt-svc", "h3=\":443\"; ma=2592000,h3-29=\":443\"; ma=2592000".into()),
    ]
}

/// A prompt that is not answered; recorded without costs and names.
fn prompt_blocked(exchange: &Exchange<'_>) -> ReplyBody {
    let ratings = ratings(&[
        ("HARM_CATEGORY_SEXUALLY_EXPLICIT", "NEGLIGIBLE"),
        ("HARM_CATEGORY_HATE_SPEECH", "HIGH"),
        ("HARM_CATEGORY_HARASSMENT", "NEGLIGIBLE"),
        ("HARM_CATEGORY_DANGEROUS_CONTENT", "NEGLIGIBLE"),
    ]);
    let feedback = json!({ "blockReason": "SAFETY", "safetyRatings": ratings });
    success::body(exchange, &[json!({ "promptFeedback": feedback })])
}

/// A prompt that nobody may send.
fn prompt_prohibited(exchange: &Exchange<'_>) -> ReplyBody {
    let mut usage = success::usage(exchange, None, 0);
    // What is not served has no tier.
    if let Some(usage) = usage.as_object_mut() {
        usage.shift_remove("serviceTier");
    }
    let said = json!({
        "promptFeedback": { "blockReason": "PROHIBITED_CONTENT" },
        "usageMetadata": usage,
        "modelVersion": exchange.request.model,
        "responseId": success::response_id(exchange),
    });
    success::body(exchange, &[said])
}

/// An answer that is taken back; in a stream what was said before stays.
fn output_blocked(exchange: &Exchange<'_>) -> ReplyBody {
    let streaming = exchange.request.streaming;
    let (blocked, mut candidate) = if streaming {
        let mut ratings = ratings(&[
            ("HARM_CATEGORY_HATE_SPEECH", "NEGLIGIBLE"),
            ("HARM_CATEGORY_DANGEROUS_CONTENT", "NEGLIGIBLE"),
            ("HARM_CATEGORY_HARASSMENT", "MEDIUM"),
            ("HARM_CATEGORY_SEXUALLY_EXPLICIT", "NEGLIGIBLE"),
        ]);
        ratings[2]["blocked"] = json!(true);
        (ratings, json!({ "finishReason": "SAFETY", "index": 0 }))
    } else {
        let mut ratings = ratings(&[
            ("HARM_CATEGORY_HATE_SPEECH", "LOW"),
            ("HARM_CATEGORY_DANGEROUS_CONTENT", "NEGLIGIBLE"),
            ("HARM_CATEGORY_HARASSMENT", "NEGLIGIBLE"),
            ("HARM_CATEGORY_SEXUALLY_EXPLICIT", "NEGLIGIBLE"),
        ]);
        ratings[0]["blocked"] = json!(true);
        (ratings, json!({ "content": {}, "finishReason": "SAFETY" }))
    };
    candidate["safetyRatings"] = blocked;
    let sent = exchange.words.iter().find(|(name, _)| *name == "events");
    let sent = sent.and_then(|(_, sent)| sent.parse::<u64>().ok());
    let said = json!({
        "candidates": [candidate],
        "usageMetadata": success::usage(exchange, sent, 0),
        "modelVersion": exchange.request.model,
        "responseId": success::response_id(exchange),
    });
    match (sent, Target::of(&exchange.request.headers).is_list()) {
        // After a piece of a list there is another.
        (Some(1..), true) => {
            let pretty = crate::dialect::indented(&said, b"  ");
            ReplyBody::Whole(format!(",\n{pretty}\n]").into())
        }
        _ => success::body(exchange, &[said]),
    }
}

/// An answer that did not come about.
fn output_failed(exchange: &Exchange<'_>) -> ReplyBody {
    let message = "Model failed to generate content due to internal error.";
    let said = json!({ "candidates": [{ "finishReason": "OTHER", "finishMessage": message }] });
    success::body(exchange, &[said])
}

fn ratings(ratings: &[(&str, &str)]) -> Value {
    let ratings = ratings.iter();
    ratings
        .map(|(category, probability)| json!({ "category": category, "probability": probability }))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_printed_to_the_nanosecond() {
        for (nanos, text) in [
            (48_939_935_699, "48.939935699"),
            (2_000_000_000, "2"),
            (120_000_000, "0.12"),
            (0, "0"),
        ] {
            assert_eq!(seconds(Duration::from_nanos(nanos)), text);
        }
    }
}
