//! Ollama's failures, each in the form of the route: `{"error":"…"}`, or OpenAI's envelope.

use super::{V1, golang, is_v1, uuid};
use crate::{
    action::ErrorKind,
    dialect::{Body, Case, Exchange, Fields, Provenance, case},
    plan::Route,
};

use ErrorKind::{
    Authentication, BadGateway, BadRequest, Cancelled, ContextLength, GatewayTimeout,
    InsufficientQuota, NotFound, Overloaded, Permission, RateLimited, RequestTooLarge, ServerError,
    Unavailable,
};
use Provenance::{Documented, Quoted, Recorded};

/// An error in the form of its route; OpenAI's envelope names a type that depends on the status.
macro_rules! error {
    (400, $text:expr) => {
        Body::Text(concat!("{{open}}", $text, "{{close-400}}"))
    };
    (404, $text:expr) => {
        Body::Text(concat!("{{open}}", $text, "{{close-404}}"))
    };
    ($text:expr) => {
        Body::Text(concat!("{{open}}", $text, "{{close}}"))
    };
}

/// The same as an event of a stream.
macro_rules! event {
    ($text:expr) => {
        Body::Text(concat!("{{event-open}}", $text, "{{event-close}}"))
    };
}

/// Its own routes that write a text.
const NATIVE: &[Route] = &[Route::OllamaChat, Route::OllamaGenerate];

/// The routes that write a text.
const WRITING: &[Route] =
    &[Route::OllamaChat, Route::OllamaGenerate, Route::OllamaV1Chat, Route::OllamaV1Completions];

/// The routes that make vectors.
const EMBEDDING: &[Route] =
    &[Route::OllamaEmbed, Route::OllamaEmbeddings, Route::OllamaV1Embeddings];

/// Its own routes that take a body.
const WITH_BODY: &[Route] = &[
    Route::OllamaChat,
    Route::OllamaEmbed,
    Route::OllamaEmbeddings,
    Route::OllamaGenerate,
    Route::OllamaShow,
];

const ROUTES_GO: &str = "ollama/ollama, server/routes.go";

/// Everything that Ollama refuses or fails with.
pub(super) static CASES: &[Case] = &[
    Case::new(Authentication, "cloud", 401, cloud, error!("Unauthorized")).on(V1).known(
        Recorded,
        "crmne/ruby_llm, spec/fixtures/vcr_cassettes/\
         chat_error_handling_with_ollama_cloud_gpt-oss_120b_raises_appropriate_\
         auth_error.yml",
    ),
    Case::new(BadGateway, "remote", 502, local, error!("remote model is unavailable"))
        .known(Documented, ROUTES_GO),
    Case::new(BadRequest, "model-required", 400, local, error!(400, "model is required"))
        .known(Documented, ROUTES_GO),
    Case::new(BadRequest, "malformed-json", 400, local, error!(400, "{{text}}"))
        .such_as(&[("text", "invalid character '}' looking for beginning of object key string")])
        .known(Documented, ROUTES_GO),
    Case::new(BadRequest, "missing-body", 400, local, error!(400, "missing request body"))
        .on(WITH_BODY)
        .known(Documented, ROUTES_GO),
    Case::new(BadRequest, "missing-body", 400, local, error!(400, "EOF"))
        .on(V1)
        .known(Documented, "ollama/ollama, middleware/openai.go"),
    Case::new(BadRequest, "wrong-type", 400, local, error!(400, "{{text}}"))
        .such_as(&[(
            "text",
            "json: cannot unmarshal number into Go struct field ChatRequest.model of type string",
        )])
        .known(Documented, "https://pkg.go.dev/encoding/json"),
    Case::new(BadRequest, "option", 400, local, error!(400, "{{text}}"))
        .on(NATIVE)
        .such_as(&[("text", r#"option \"num_predict\" must be of type integer"#)])
        .known(Documented, "ollama/ollama, api/types.go"),
    Case::new(BadRequest, "format", 500, local, error!("{{text}}"))
        .on(NATIVE)
        .such_as(&[(
            "text",
            r#"invalid format: \"yaml\"; expected \"json\" or a valid JSON Schema object"#,
        )])
        .known(Documented, "ollama/ollama, llm/server.go"),
    Case::new(BadRequest, "keep-alive", 400, local, error!(400, "{{text}}"))
        .on(NATIVE)
        .such_as(&[("text", r#"time: missing unit in duration \"5\""#)])
        .known(Documented, "https://pkg.go.dev/time#ParseDuration"),
    Case::new(BadRequest, "think", 400, local, error!(400, "{{text}}"))
        .on(NATIVE)
        .such_as(&[("text", "think must be a boolean or string")])
        .known(Documented, "ollama/ollama, api/types.go"),
    Case::new(BadRequest, "no-thinking", 400, local, error!(400, "{{text}}"))
        .on(NATIVE)
        .such_as(&[("text", r#"\"llama3\" does not support thinking"#)])
        .known(Documented, ROUTES_GO),
    Case::new(BadRequest, "no-tools", 400, local, error!(400, "{{text}}"))
        .on(&[Route::OllamaChat, Route::OllamaV1Chat])
        .such_as(&[("text", "registry.ollama.ai/library/llama3:latest does not support tools")])
        .known(Documented, "ollama/ollama, server/images.go"),
    Case::new(
        BadRequest,
        "raw",
        400,
        local,
        error!(400, "raw mode does not support template, system, or context"),
    )
    .on(&[Route::OllamaGenerate])
    .known(Documented, ROUTES_GO),
    Case::new(BadRequest, "input-type", 400, local, error!(400, "{{text}}"))
        .on(&[Route::OllamaEmbed, Route::OllamaV1Embeddings])
        .such_as(&[("text", "invalid input type")])
        .known(Documented, ROUTES_GO),
    Case::new(BadRequest, "no-messages", 400, local, error!(400, "[] is too short - 'messages'"))
        .on(&[Route::OllamaV1Chat])
        .known(Documented, "ollama/ollama, middleware/openai.go"),
    Case::new(BadRequest, "message-content", 400, local, error!(400, "{{text}}"))
        .on(&[Route::OllamaV1Chat])
        .such_as(&[("text", "invalid message content type: <nil>")])
        .known(Documented, "ollama/ollama, openai/openai.go"),
    Case::new(BadRequest, "method", 405, plain, Body::Text("405 method not allowed"))
        .known(Documented, "https://github.com/gin-gonic/gin"),
    Case::new(Cancelled, "canceled", 499, local, error!("request canceled"))
        .known(Documented, ROUTES_GO),
    Case::new(
        ContextLength,
        "cloud",
        400,
        cloud,
        error!(
            400,
            "prompt too long; exceeded max context length by {{excess}} tokens (ref: {{ref}})"
        ),
    )
    .on(WRITING)
    .known(
        Recorded,
        "crmne/ruby_llm, spec/fixtures/vcr_cassettes/\
         chat_real_error_scenarios_ollama_cloud_gpt-oss_120b_handles_context_\
         length_exceeded_errors.yml",
    ),
    Case::new(
        ContextLength,
        "embed",
        400,
        local,
        error!(400, "the input length exceeds the context length"),
    )
    .on(EMBEDDING)
    .known(Documented, ROUTES_GO),
    Case::new(GatewayTimeout, "upstream", 504, plain, Body::Text("upstream request timeout")),
    Case::new(
        InsufficientQuota,
        "weekly",
        429,
        cloud,
        error!("you've reached your weekly usage limit, please wait or upgrade to continue"),
    )
    .known(Quoted, "https://github.com/HomericIntelligence/Scylla/issues/346"),
    Case::new(NotFound, "model", 404, local, error!(404, "model '{{model-name}}' not found"))
        .known(Recorded, "Arize-ai/openinference, test_chat_error_records_model_name.yaml"),
    Case::new(NotFound, "path", 404, plain, Body::Text("404 page not found"))
        .known(Documented, "https://github.com/gin-gonic/gin"),
    Case::new(
        Overloaded,
        "busy",
        503,
        local,
        error!("server busy, please try again.  maximum pending requests exceeded"),
    )
    .known(Documented, "ollama/ollama, server/sched.go"),
    Case::new(
        Overloaded,
        "cloud",
        503,
        cloud,
        error!("Server overloaded, please retry shortly (ref: {{ref}})"),
    )
    .known(Quoted, "https://github.com/ollama/ollama/issues/15934"),
    Case::event(
        Overloaded,
        "cloud",
        event!("Server overloaded, please retry shortly (ref: {{ref}})"),
    )
    .on(WRITING),
    Case::new(
        Permission,
        "subscription",
        403,
        cloud,
        error!(
            "this model requires a subscription, upgrade for access: https://ollama.com/upgrade \
             (ref: {{ref}})"
        ),
    ),
    Case::new(
        RateLimited,
        "session",
        429,
        cloud,
        error!(
            "you (brownout) have reached your session usage limit, upgrade for higher limits: \
             https://ollama.com/upgrade"
        ),
    )
    .known(Quoted, "https://github.com/continuedev/continue/issues/11444"),
    Case::new(
        RateLimited,
        "hourly",
        429,
        cloud,
        error!("you've reached your hourly usage limit, please wait or upgrade to continue"),
    )
    .known(Quoted, "https://github.com/continuedev/continue/issues/9233"),
    Case::new(
        RateLimited,
        "concurrency",
        429,
        cloud,
        error!("timed out waiting for a concurrent request slot"),
    )
    .known(Quoted, "https://github.com/devops-thiago/ThrillhouseBot/issues/838"),
    Case::new(
        RequestTooLarge,
        "body",
        413,
        page,
        Body::Text(
            "<html><head>\n<meta http-equiv=\"content-type\" content=\"text/html;charset=utf-8\">\n\
             <title>413 Request Entity Too Large</title>\n</head>\n<body text=#000000 \
             bgcolor=#ffffff>\n<h1>Error: Request Entity Too Large</h1>\n<h2>Your client issued a \
             request that was too large.\n</h2>\n<h2></h2>\n</body></html>\n",
        ),
    ),
    Case::new(
        ServerError,
        "runner",
        500,
        local,
        error!("llama runner process has terminated: exit status 2"),
    )
    .known(Quoted, "public issues"),
    Case::new(
        ServerError,
        "memory",
        500,
        local,
        error!("model requires more system memory (5.6 GiB) than is available (3.4 GiB)"),
    )
    .known(Documented, "ollama/ollama, llm/server.go"),
    Case::new(ServerError, "cloud", 500, cloud, error!("Internal Server Error (ref: {{ref}})")),
    Case::event(ServerError, "runner", event!("an error was encountered while running the model"))
        .on(WRITING)
        .known(Documented, "ollama/ollama, docs/api/errors.mdx"),
    Case::new(
        Unavailable,
        "cloud",
        503,
        cloud,
        error!("Service Temporarily Unavailable (ref: {{ref}})"),
    ),
    Case::event(Unavailable, "cloud", event!("Service Temporarily Unavailable (ref: {{ref}})"))
        .on(WRITING),
];

/// What the placeholders of these texts stand for.
pub(super) fn word(name: &str, exchange: &Exchange<'_>) -> Option<String> {
    let request = exchange.request;
    let compatible = is_v1(request.route);
    let close = |kind: &str| {
        if compatible {
            format!("\",\"type\":\"{kind}\",\"param\":null,\"code\":null}}}}\n")
        } else {
            "\"}".to_owned()
        }
    };
    Some(match name {
        "open" if compatible => "{\"error\":{\"message\":\"".to_owned(),
        "open" | "event-open" if !compatible => "{\"error\":\"".to_owned(),
        "event-open" => "data: {\"error\":{\"message\":\"".to_owned(),
        "close" => close("api_error"),
        "close-400" => close("invalid_request_error"),
        "close-404" => close("not_found_error"),
        "event-close" => close("api_error") + "\n",
        "excess" => request.input_tokens.saturating_sub(exchange.decision.window).to_string(),
        "model-name" => golang::written(&case::escaped(&request.model)),
        "ref" => uuid(&exchange.moment, "ref"),
        _ => return None,
    })
}

/// The headers of a server at home.
fn local(_: &Exchange<'_>) -> Fields {
    vec![("content-type", "application/json; charset=utf-8".into())]
}

/// The headers of a plain text of Go's web framework.
fn plain(_: &Exchange<'_>) -> Fields {
    vec![("content-type", "text/plain".into())]
}

/// The headers of Google's, in front of the cloud.
fn page(_: &Exchange<'_>) -> Fields {
    vec![("content-type", "text/html; charset=UTF-8".into())]
}

/// The headers of the cloud; the build is the recorded one.
fn cloud(exchange: &Exchange<'_>) -> Fields {
    let moment = &exchange.moment;
    let trace = moment.hex("trace", 32);
    let span = moment.hex("span", 16);
    let number = u64::from_str_radix(&span, 16).unwrap_or(1);
    vec![
        ("content-type", "application/json".into()),
        ("x-build-commit", "a083b15ea635ff93836cee498abde05672929e5d".into()),
        ("x-build-time", "2026-08-12T14:41:44-07:00".into()),
        ("x-frame-options", "DENY".into()),
        ("x-request-id", uuid(moment, "request").into()),
        ("server", "Google Frontend".into()),
        ("x-cloud-trace-context", format!("{trace}/{number}").into()),
        ("traceparent", format!("00-{trace}-{span}-00").into()),
        ("via", "1.1 google".into()),
        ("alt-svc", "h3=\":443\"; ma=2592000".into()),
    ]
}
