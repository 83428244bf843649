//! OpenAI's failures; texts and layers as recorded, or as quoted in public.

use std::sync::LazyLock;

use super::{
    chat,
    error::{
        application, bad_gateway, challenged, edge, gateway, identified, limited, missing_key,
        policy, written,
    },
    responses::{self, Failure},
};
use crate::{
    action::ErrorKind,
    dialect::{Body, CLOUDFLARE_PAGE, Case, Provenance, cloudflare_page},
    plan::Route::{
        self, AzureChat, AzureCompletions, AzureEmbeddings, AzureResponses, OpenAiChat,
        OpenAiCompletions, OpenAiEmbeddings, OpenAiModels, OpenAiResponses,
    },
};

use ErrorKind::{
    Authentication, BadGateway, BadRequest, ContentPolicy, ContextLength, GatewayTimeout,
    InsufficientQuota, NotFound, Overloaded, Permission, RateLimited, RequestTooLarge, ServerError,
    Unavailable,
};
use Provenance::{Documented, Quoted, Recorded};

/// An error of the gateway: four spaces, a newline at the end.
macro_rules! gateway {
    ($message:expr, $kind:literal, $code:literal) => {
        Body::Json(concat!(
            "{\n    \"error\": {\n        \"message\": \"",
            $message,
            "\",\n        \"type\": \"",
            $kind,
            "\",\n        \"param\": null,\n        \"code\": ",
            $code,
            "\n    }\n}\n"
        ))
    };
}

/// An error of the application: two spaces, no newline.
macro_rules! application {
    ($message:expr, $kind:literal, $param:literal, $code:literal) => {
        Body::Json(concat!(
            "{\n  \"error\": {\n    \"message\": \"",
            $message,
            "\",\n    \"type\": \"",
            $kind,
            "\",\n    \"param\": ",
            $param,
            ",\n    \"code\": ",
            $code,
            "\n  }\n}"
        ))
    };
}

/// An error of the application in one line, as an event of a stream.
macro_rules! event {
    ($message:expr, $kind:literal, $code:literal) => {
        Body::Json(concat!(
            "data: {\"error\":{\"message\":\"",
            $message,
            "\",\"type\":\"",
            $kind,
            "\",\"param\":null,\"code\":",
            $code,
            "}}\n\n"
        ))
    };
}

/// The end of a stream of the Responses API that fails.
macro_rules! failure {
    ($message:expr, $kind:literal, $code:expr) => {
        Body::Made(|exchange| {
            responses::failed(
                exchange,
                &Failure {
                    message: $message,
                    kind: $kind,
                    code: $code,
                    form: responses::Form::Nested,
                },
            )
        })
    };
}

/// One error of the gateway, and how the Responses API, which has none before it, words it.
macro_rules! layers {
    (
        $kind:expr, $name:literal, $status:literal, $gateway:ident, $application:ident,
        $message:expr, $type:literal, $code:literal, $provenance:expr, $source:literal
    ) => {
        layers!(
            $kind,
            $name,
            $status,
            $gateway,
            $application,
            $message,
            $type,
            $code,
            $provenance,
            $source,
            $source
        )
    };
    (
        $kind:expr, $name:literal, $status:literal, $gateway:ident, $application:ident,
        $message:expr, $type:literal, $code:literal, $provenance:expr, $gated:literal,
        $responses:literal
    ) => {
        [
            Case::new($kind, $name, $status, $gateway, gateway!($message, $type, $code))
                .on(GATED)
                .known($provenance, $gated),
            Case::new(
                $kind,
                $name,
                $status,
                $application,
                application!($message, $type, "null", $code),
            )
            .on(RESPONSES)
            .known($provenance, $responses),
        ]
    };
}

/// A refusal of what makes no sense.
macro_rules! check {
    ($name:literal, $message:expr, $param:literal, $code:literal) => {
        Case::new(
            BadRequest,
            $name,
            400,
            application,
            application!($message, "invalid_request_error", $param, $code),
        )
    };
}

const RATE_LIMIT: &str = "Rate limit reached for {{model}} in organization {{organization}} on \
                          {{unit}}: Limit {{limit}}, Used {{used}}, Requested {{requested}}. \
                          Please try again in {{wait}}. Visit \
                          https://platform.openai.com/account/rate-limits to learn more.";

macro_rules! rate_limit {
    ($where:literal, $suffix:literal) => {
        concat!(
            "Rate limit reached for {{model}} in ",
            $where,
            "organization {{organization}} on {{unit}}: Limit {{limit}}, Used {{used}}, Requested \
             {{requested}}. Please try again in {{wait}}. Visit \
             https://platform.openai.com/account/rate-limits to learn more.",
            $suffix
        )
    };
}

macro_rules! server_error {
    () => {
        "The server had an error processing your request. Sorry about that! You can retry your \
         request, or contact us through our help center at help.openai.com if you keep seeing \
         this error. (Please include the request ID {{request-id}} in your email.)"
    };
}

macro_rules! quota {
    () => {
        "You exceeded your current quota, please check your plan and billing details. For more \
         information on this error, read the docs: \
         https://platform.openai.com/docs/guides/error-codes/api-errors."
    };
}

macro_rules! servers_overloaded {
    () => {
        "Our servers are currently overloaded. Please try again later."
    };
}

/// The routes behind the gateway.
const GATED: &[Route] = &[OpenAiChat, OpenAiCompletions, OpenAiEmbeddings, OpenAiModels];
const CHATS: &[Route] = &[OpenAiChat, AzureChat];
const RESPONSES: &[Route] = &[OpenAiResponses];
const ALL_RESPONSES: &[Route] = &[OpenAiResponses, AzureResponses];
const PROMPTS: &[Route] = &[OpenAiCompletions, OpenAiEmbeddings, AzureCompletions, AzureEmbeddings];
const CHUNKED: &[Route] = &[OpenAiChat, OpenAiCompletions, AzureChat, AzureCompletions];
/// The routes whose output limit is called `max_tokens`.
const WRITTEN: &[Route] = &[OpenAiChat, OpenAiCompletions, AzureChat, AzureCompletions];

/// Everything that OpenAI refuses or fails with.
pub(super) static CASES: LazyLock<Vec<Case>> =
    LazyLock::new(|| [CHECKS, LAYERED.as_flattened(), APPLICATION, CONTEXT, EVENTS].concat());

/// What of a request makes no sense, whoever serves the models.
pub(in crate::dialect) static CHECKS: &[Case] = &[
    check!(
        "decimal-above-max-value",
        "Invalid '{{param}}': decimal above maximum value. Expected a value <= {{most}}, but got \
         {{found}} instead.",
        "\"{{param}}\"",
        "\"decimal_above_max_value\""
    )
    .such_as(&[("param", "temperature"), ("most", "2"), ("found", "3")]),
    check!(
        "decimal-below-min-value",
        "Invalid '{{param}}': decimal below minimum value. Expected a value >= {{least}}, but got \
         {{found}} instead.",
        "\"{{param}}\"",
        "\"decimal_below_min_value\""
    )
    .such_as(&[("param", "temperature"), ("least", "0"), ("found", "-1")])
    .known(
        Recorded,
        "pydantic/pydantic-ai, tests/models/cassettes/test_openai_responses/\
         test_openai_responses_model_http_error.yaml",
    ),
    check!(
        "missing-parameter",
        "Missing required parameter: '{{param}}'.",
        "\"{{param}}\"",
        "\"missing_required_parameter\""
    )
    .such_as(&[("param", "messages")])
    .known(Quoted, "https://github.com/neuron-core/neuron-ai/issues/76"),
    check!(
        "wrong-type",
        "Invalid type for '{{param}}': expected {{expected}}, but got {{found}} instead.",
        "\"{{param}}\"",
        "\"invalid_type\""
    )
    .such_as(&[("param", "stream"), ("expected", "a boolean"), ("found", "a string")]),
    check!(
        "wrong-value",
        "Invalid value: '{{found}}'. Supported values are: {{supported}}.",
        "\"{{param}}\"",
        "\"invalid_value\""
    )
    .such_as(&[
        ("param", "encoding_format"),
        ("found", "hex"),
        ("supported", "'float' and 'base64'"),
    ]),
    check!(
        "below-minimum",
        "Invalid '{{param}}': integer below minimum value. Expected a value >= {{least}}, but got \
         {{found}} instead.",
        "\"{{param}}\"",
        "\"integer_below_min_value\""
    )
    .such_as(&[("param", "max_tokens"), ("least", "1"), ("found", "0")]),
    check!(
        "above-maximum",
        "Invalid '{{param}}': integer above maximum value. Expected a value <= {{most}}, but got \
         {{found}} instead.",
        "\"{{param}}\"",
        "\"integer_above_max_value\""
    )
    .such_as(&[("param", "n"), ("most", "128"), ("found", "129")]),
    check!(
        "empty-array",
        "Invalid '{{param}}': empty array. Expected an array with minimum length 1, but got an \
         empty array instead.",
        "\"{{param}}\"",
        "\"empty_array\""
    )
    .such_as(&[("param", "messages")]),
    check!(
        "long-array",
        "Invalid '{{param}}': array too long. Expected an array with maximum length {{most}}, but \
         got an array with length {{found}} instead.",
        "\"{{param}}\"",
        "\"array_above_max_length\""
    )
    .such_as(&[("param", "stop"), ("most", "4"), ("found", "5")]),
    check!(
        "pattern",
        "Invalid '{{param}}': string does not match pattern. Expected a string that matches the \
         pattern '^[a-zA-Z0-9_-]+$'.",
        "\"{{param}}\"",
        "\"invalid_value\""
    )
    .such_as(&[("param", "tools[0].function.name")]),
    check!(
        "unknown-parameter",
        "Unknown parameter: '{{param}}'.",
        "\"{{param}}\"",
        "\"unknown_parameter\""
    )
    .such_as(&[("param", "quality")])
    .known(
        Recorded,
        "traceloop/openllmetry, packages/opentelemetry-instrumentation-openai/\
         tests/metrics/cassettes/test_openai_metrics/test_image_gen_metrics.yaml",
    ),
    check!(
        "unsupported-max-tokens",
        "Unsupported parameter: 'max_tokens' is not supported with this model. Use \
         'max_completion_tokens' instead.",
        "\"max_tokens\"",
        "\"unsupported_parameter\""
    )
    .on(CHATS)
    .known(Quoted, "https://github.com/sipeed/picoclaw/issues/16"),
    check!(
        "moved-parameter",
        "Unsupported parameter: '{{param}}'. In the Responses API, this parameter has moved to \
         '{{moved}}'. Try again with the new parameter. See the API documentation for more \
         information: https://platform.openai.com/docs/api-reference/responses/create.",
        "\"{{param}}\"",
        "\"unsupported_parameter\""
    )
    .on(ALL_RESPONSES)
    .such_as(&[("param", "max_tokens"), ("moved", "max_output_tokens")]),
    check!(
        "unsupported-value",
        "Unsupported value: '{{param}}' does not support {{found}} with this model. Only the \
         default (1) value is supported.",
        "\"{{param}}\"",
        "\"unsupported_value\""
    )
    .on(CHATS)
    .such_as(&[("param", "temperature"), ("found", "0.2")])
    .known(Quoted, "https://github.com/vercel/ai/issues/6034"),
    check!(
        "unsupported-role",
        "Unsupported value: '{{param}}' does not support 'system' with this model.",
        "\"{{param}}\"",
        "\"unsupported_value\""
    )
    .on(CHATS)
    .such_as(&[("param", "messages[0].role")])
    .known(
        Recorded,
        "pydantic/pydantic-ai, tests/models/cassettes/test_openai/\
         test_openai_o1_mini_system_role[system].yaml",
    ),
    check!(
        "max-tokens-too-large",
        "{{param}} is too large: {{found}}. This model supports at most {{most}} completion \
         tokens, whereas you provided {{found}}.",
        "\"{{param}}\"",
        "\"invalid_value\""
    )
    .on(WRITTEN)
    .such_as(&[("param", "max_tokens"), ("found", "24576"), ("most", "16384")])
    .known(Quoted, "public issues"),
    check!(
        "stream-options",
        "The 'stream_options' parameter is only allowed when 'stream' is enabled.",
        "\"stream_options\"",
        "null"
    ),
    check!(
        "only-with",
        "Invalid value for '{{param}}': '{{param}}' is only allowed when '{{other}}' {{are}} \
         specified.",
        "\"{{param}}\"",
        "null"
    )
    .such_as(&[("param", "tool_choice"), ("other", "tools"), ("are", "are")]),
    check!(
        "calls-unanswered",
        "An assistant message with 'tool_calls' must be followed by tool messages responding to \
         each 'tool_call_id'. The following tool_call_ids did not have response messages: {{ids}}",
        "\"messages.[{{index}}].role\"",
        "null"
    )
    .on(CHATS)
    .such_as(&[("ids", "call_cbOOTyEMjpo5hs9HK0T0eqgc"), ("index", "3")])
    .known(Quoted, "https://github.com/sdcb/chats/pull/132"),
    check!(
        "answer-uncalled",
        "Invalid parameter: messages with role 'tool' must be a response to a preceeding message \
         with 'tool_calls'.",
        "\"messages.[{{index}}].role\"",
        "null"
    )
    .on(CHATS)
    .such_as(&[("index", "1")])
    .known(Quoted, "https://github.com/sdcb/chats/pull/132"),
    check!(
        "output-uncalled",
        "No tool call found for function call output with call_id {{id}}.",
        "\"input\"",
        "null"
    )
    .on(ALL_RESPONSES)
    .such_as(&[("id", "call_cbOOTyEMjpo5hs9HK0T0eqgc")])
    .known(Quoted, "https://github.com/microsoft/vscode/issues/320060"),
    check!("output-missing", "No tool output found for function call {{id}}.", "\"input\"", "null")
        .on(ALL_RESPONSES)
        .such_as(&[("id", "call_cbOOTyEMjpo5hs9HK0T0eqgc")]),
    check!(
        "json-unsaid",
        "'messages' must contain the word 'json' in some form, to use 'response_format' of type \
         'json_object'.",
        "\"messages\"",
        "null"
    )
    .on(CHATS)
    .known(Quoted, "https://github.com/ultimatejimmy/xray.koplugin/issues/33"),
    check!(
        "input",
        "'$.input' is invalid. Please check the API reference: \
         https://platform.openai.com/docs/api-reference.",
        "null",
        "null"
    )
    .on(&[OpenAiEmbeddings, AzureEmbeddings]),
    check!("dimensions", "This model does not support specifying dimensions.", "null", "null")
        .on(&[OpenAiEmbeddings, AzureEmbeddings]),
    check!(
        "unverified-organization",
        "Your organization must be verified to stream this model. Please go to: \
         https://platform.openai.com/settings/organization/general and click on Verify \
         Organization. If you just verified, it can take up to 15 minutes for access to propagate.",
        "\"stream\"",
        "\"unsupported_value\""
    )
    .known(Quoted, "https://github.com/lobehub/lobehub/issues/9385"),
];

/// What the gateway refuses.
static LAYERED: &[[Case; 2]] = &[
    layers!(
        Authentication,
        "invalid-key",
        401,
        gateway,
        challenged,
        "Incorrect API key provided: {{masked-key}}. You can find your API key at \
         https://platform.openai.com/account/api-keys.",
        "invalid_request_error",
        "\"invalid_api_key\"",
        Recorded,
        "DataDog/dd-trace-py, tests/contrib/llama_index/cassettes/\
         llama_index_chat_error.yaml",
        "crmne/ruby_llm, spec/fixtures/vcr_cassettes/\
         chat_error_handling_with_openai_gpt-5-nano_raises_appropriate_auth_\
         error.yml"
    ),
    layers!(
        Authentication,
        "missing-key",
        401,
        missing_key,
        challenged,
        "You didn't provide an API key. You need to provide your API key in an Authorization \
         header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY), or as the password field \
         (with blank username) if you're accessing the API from your browser and are prompted for \
         a username and password. You can obtain an API key from \
         https://platform.openai.com/account/api-keys.",
        "invalid_request_error",
        "null",
        Quoted,
        "public issues"
    ),
    layers!(
        Authentication,
        "no-organization",
        401,
        gateway,
        challenged,
        "You must be a member of an organization to use the API. Please contact us through our \
         help center at help.openai.com.",
        "invalid_request_error",
        "\"no_organization\"",
        Quoted,
        "https://github.com/abi/screenshot-to-code/issues/9"
    ),
    layers!(
        Authentication,
        "mismatched-organization",
        401,
        gateway,
        challenged,
        "OpenAI-Organization header should match organization for API key",
        "invalid_request_error",
        "\"mismatched_organization\"",
        Quoted,
        "https://github.com/Azure-Samples/ai-rag-chat-evaluator/issues/76"
    ),
    layers!(
        Authentication,
        "account-deactivated",
        401,
        gateway,
        challenged,
        "The OpenAI account associated with this API key has been deactivated. If you are the \
         developer for this OpenAI app, please check your email for more information. If you are \
         seeing this error while using another app or site, please reach out to them for more help.",
        "invalid_request_error",
        "\"account_deactivated\"",
        Quoted,
        "https://github.com/ChatGPTNextWeb/NextChat/issues/4175"
    ),
    layers!(
        BadRequest,
        "malformed-json",
        400,
        gateway,
        application,
        "We could not parse the JSON body of your request. (HINT: This likely means you aren't \
         using your HTTP library correctly. The OpenAI API expects a JSON payload, but what was \
         sent was not valid JSON. If you have trouble figuring out how to fix this, please \
         contact us through our help center at help.openai.com.)",
        "invalid_request_error",
        "null",
        Quoted,
        "public issues"
    ),
    layers!(
        BadRequest,
        "missing-model",
        400,
        gateway,
        application,
        "you must provide a model parameter",
        "invalid_request_error",
        "null",
        Quoted,
        "https://github.com/lss233/kirara-ai/issues/800"
    ),
    layers!(
        BadRequest,
        "method",
        405,
        gateway,
        application,
        "Only {{allowed}} requests are accepted.",
        "invalid_request_error",
        "\"method_not_supported\"",
        Quoted,
        "https://github.com/openai/openai-python/issues/2703"
    ),
    layers!(
        InsufficientQuota,
        "quota",
        429,
        gateway,
        application,
        quota!(),
        "insufficient_quota",
        "\"insufficient_quota\"",
        Quoted,
        "public issues"
    ),
    layers!(
        InsufficientQuota,
        "billing-not-active",
        429,
        gateway,
        application,
        "Your account is not active, please check your billing details on our website.",
        "billing_not_active",
        "\"billing_not_active\"",
        Quoted,
        "https://github.com/InfiniteXyz/ai-research-assistant/issues/174"
    ),
    layers!(
        InsufficientQuota,
        "credit-balance",
        429,
        gateway,
        application,
        quota!(),
        "insufficient_quota",
        "\"credit_balance_exhausted\"",
        Documented,
        "https://platform.openai.com/docs/guides/error-codes"
    ),
    layers!(
        Permission,
        "project-model",
        403,
        gateway,
        application,
        "Project `{{project}}` does not have access to model `{{model}}`",
        "invalid_request_error",
        "\"model_not_found\"",
        Quoted,
        "https://github.com/Aider-AI/aider/issues/1903"
    ),
];

/// What the application refuses or fails with, and what Cloudflare answers before it.
static APPLICATION: &[Case] = &[
    Case::new(
        BadGateway,
        "cloudflare",
        502,
        bad_gateway,
        Body::Json(
            r#"{"error":{"code":502,"message":"Bad gateway.","param":null,"type":"cf_bad_gateway"}}"#,
        ),
    )
    .known(Quoted, "public issues"),
    Case::new(BadGateway, "page", 502, cloudflare_page, CLOUDFLARE_PAGE)
        .such_as(&[("title", "502 Bad Gateway")])
        .known(Quoted, "public issues"),
    Case::new(
        ContentPolicy,
        "invalid-prompt",
        400,
        policy,
        application!(
            "Invalid prompt: your prompt was flagged as potentially violating our usage policy. \
             Please try again with a different prompt: \
             https://platform.openai.com/docs/guides/reasoning#advice-on-prompting",
            "invalid_request_error",
            "null",
            "\"invalid_prompt\""
        ),
    )
    .known(Quoted, "https://github.com/BeehiveInnovations/pal-mcp-server/issues/178"),
    Case::new(
        ContentPolicy,
        "safety-system",
        400,
        application,
        application!(
            "Your request was rejected as a result of our safety system. Your prompt may contain \
             text that is not allowed by our safety system.",
            "invalid_request_error",
            "null",
            "\"content_policy_violation\""
        ),
    )
    .known(Quoted, "public issues"),
    Case::new(ContentPolicy, "refusal", 200, written, Body::Made(chat::refusal))
        .on(&[OpenAiChat])
        .known(
            Recorded,
            "traceloop/openllmetry, packages/opentelemetry-instrumentation-openai/\
             tests/traces/cassettes/test_chat_parse/\
             test_parsed_refused_completion_with_events_with_no_content.yaml",
        ),
    Case::new(ContentPolicy, "refusal", 200, written, Body::Made(responses::refusal))
        .on(RESPONSES)
        .known(Documented, "https://platform.openai.com/docs/guides/structured-outputs"),
    Case::new(ContentPolicy, "content-filter", 200, written, Body::Made(chat::filtered))
        .on(&[OpenAiChat])
        .known(Documented, "https://github.com/openai/openai-openapi"),
    Case::new(GatewayTimeout, "cloudflare", 504, cloudflare_page, CLOUDFLARE_PAGE)
        .such_as(&[("title", "504 Gateway Time-out")]),
    Case::new(
        NotFound,
        "model",
        404,
        identified,
        gateway!(
            "The model `{{model}}` does not exist or you do not have access to it.",
            "invalid_request_error",
            "\"model_not_found\""
        ),
    )
    .on(&[OpenAiChat, OpenAiCompletions, OpenAiEmbeddings])
    .known(Recorded, "elastic/elastic-otel-python-instrumentations, \
         test_chat_with_model_not_found.yaml"),
    Case::new(
        NotFound,
        "model",
        404,
        application,
        application!(
            "The model '{{model}}' does not exist",
            "invalid_request_error",
            "\"model\"",
            "\"model_not_found\""
        ),
    )
    .on(&[OpenAiModels]),
    Case::new(
        NotFound,
        "model",
        400,
        application,
        application!(
            "The requested model '{{model}}' does not exist.",
            "invalid_request_error",
            "\"model\"",
            "\"model_not_found\""
        ),
    )
    .on(RESPONSES)
    .known(
        Recorded,
        "DataDog/dd-trace-py, tests/contrib/openai/cassettes/v1/\
         response_create_error.yaml",
    ),
    Case::new(
        NotFound,
        "deprecated",
        404,
        identified,
        gateway!(
            "The model `{{model}}` has been deprecated, learn more here: \
             https://platform.openai.com/docs/deprecations",
            "invalid_request_error",
            "\"model_not_found\""
        ),
    )
    .on(&[OpenAiChat, OpenAiCompletions, OpenAiEmbeddings])
    .known(
        Recorded,
        "traceloop/openllmetry, packages/\
         opentelemetry-instrumentation-llamaindex/tests/cassettes/test_agents/\
         test_agents_and_tools.yaml",
    ),
    Case::new(
        NotFound,
        "no-chat-model",
        404,
        application,
        application!(
            "This is not a chat model and thus not supported in the v1/chat/completions endpoint. \
             Did you mean to use v1/completions?",
            "invalid_request_error",
            "\"model\"",
            "null"
        ),
    )
    .on(&[OpenAiChat])
    .known(Quoted, "https://github.com/egoist/chatwise-releases/issues/1256"),
    Case::new(
        NotFound,
        "chat-model",
        404,
        application,
        application!(
            "This is a chat model and not supported in the v1/completions endpoint. Did you mean \
             to use v1/chat/completions?",
            "invalid_request_error",
            "\"model\"",
            "null"
        ),
    )
    .on(&[OpenAiCompletions])
    .known(Quoted, "https://github.com/RomanHotsiy/commitgpt/issues/43"),
    // The gateway words this one in the application's style.
    Case::new(
        NotFound,
        "url",
        404,
        gateway,
        application!("Invalid URL ({{method}} {{path}})", "invalid_request_error", "null", "null"),
    )
    .such_as(&[("method", "POST"), ("path", "/v1/chat/completion")])
    .known(Quoted, "https://github.com/ChatGPTNextWeb/NextChat/issues/423"),
    Case::new(
        Overloaded,
        "servers",
        503,
        application,
        application!(
            servers_overloaded!(),
            "service_unavailable_error",
            "null",
            "\"server_is_overloaded\""
        ),
    )
    .known(Quoted, "https://github.com/Wei-Shaw/sub2api/issues/6631"),
    Case::new(
        Permission,
        "country",
        403,
        edge,
        Body::Json(
            r#"{"error":{"code":"unsupported_country_region_territory","message":"Country, region, or territory not supported","param":null,"type":"request_forbidden"}}"#,
        ),
    )
    .known(Quoted, "https://github.com/home-assistant/core/issues/120072"),
    Case::new(
        RateLimited,
        "limit",
        429,
        limited,
        application!(rate_limit!("", ""), "{{dimension}}", "null", "\"rate_limit_exceeded\""),
    )
    .known(Quoted, "https://github.com/rotemweiss57/gpt-newspaper/issues/10"),
    Case::new(
        RateLimited,
        "unpaid-limit",
        429,
        limited,
        application!(
            rate_limit!(
                "",
                " You can increase your rate limit by adding a payment method to your account at \
                 https://platform.openai.com/account/billing."
            ),
            "{{dimension}}",
            "null",
            "\"rate_limit_exceeded\""
        ),
    )
    .known(Quoted, "public issues"),
    Case::new(
        RateLimited,
        "project-limit",
        429,
        limited,
        application!(
            rate_limit!("project {{project}} ", ""),
            "{{dimension}}",
            "null",
            "\"rate_limit_exceeded\""
        ),
    )
    .known(Quoted, "public issues"),
    Case::new(
        RateLimited,
        "request-too-large",
        429,
        limited,
        application!(
            "Request too large for {{model}} in organization {{organization}} on {{unit}}: Limit \
             {{limit}}, Requested {{requested}}. The input or output tokens must be reduced in \
             order to run successfully. Visit https://platform.openai.com/account/rate-limits to \
             learn more.",
            "{{dimension}}",
            "null",
            "\"rate_limit_exceeded\""
        ),
    )
    .known(Quoted, "https://github.com/TheR1D/shell_gpt/issues/653"),
    Case::new(
        RateLimited,
        "slow-down",
        429,
        application,
        application!(
            "Your request rate has increased too quickly. Please slow down and gradually increase \
             your traffic.",
            "rate_limit_error",
            "null",
            "\"slow_down\""
        ),
    )
    .known(Documented, "https://platform.openai.com/docs/guides/error-codes"),
    Case::new(RequestTooLarge, "body", 413, cloudflare_page, CLOUDFLARE_PAGE)
        .such_as(&[("title", "413 Request Entity Too Large")]),
    Case::new(
        ServerError,
        "request-id",
        500,
        application,
        application!(server_error!(), "server_error", "null", "null"),
    )
    .known(Quoted, "https://github.com/sashabaranov/go-openai/issues/69"),
    Case::new(
        ServerError,
        "sorry",
        500,
        application,
        application!(
            "The server had an error while processing your request. Sorry about that!",
            "server_error",
            "null",
            "null"
        ),
    )
    .known(Quoted, "public issues"),
    Case::new(
        Unavailable,
        "engine",
        503,
        application,
        application!(
            "The engine is currently overloaded, please try again later",
            "server_error",
            "null",
            "null"
        ),
    )
    .known(Documented, "https://platform.openai.com/docs/guides/error-codes"),
    Case::new(
        Unavailable,
        "model",
        503,
        application,
        application!(
            "That model is currently overloaded with other requests. You can retry your request, \
             or contact us through our help center at help.openai.com if the error persists. \
             (Please include the request ID {{request-id}} in your message.)",
            "server_error",
            "null",
            "null"
        ),
    )
    .known(Quoted, "https://github.com/openai/chatgpt-retrieval-plugin/issues/125"),
];

/// What is too long, whoever serves the models.
pub(in crate::dialect) static CONTEXT: &[Case] = &[
    Case::new(
        ContextLength,
        "messages",
        400,
        application,
        application!(
            "This model's maximum context length is {{window}} tokens. However, your messages \
             resulted in {{input}} tokens. Please reduce the length of the messages.",
            "invalid_request_error",
            "\"messages\"",
            "\"context_length_exceeded\""
        ),
    )
    .on(CHATS)
    .known(Quoted, "https://github.com/webtimemachine/wtm2/issues/579"),
    Case::new(
        ContextLength,
        "messages-and-completion",
        400,
        application,
        application!(
            "This model's maximum context length is {{window}} tokens. However, you requested \
             {{total}} tokens ({{input}} in the messages, {{output}} in the completion). Please \
             reduce the length of the messages or completion.",
            "invalid_request_error",
            "\"messages\"",
            "\"context_length_exceeded\""
        ),
    )
    .on(CHATS)
    .known(Quoted, "https://github.com/ChatGPTNextWeb/NextChat/issues/3195"),
    Case::new(
        ContextLength,
        "functions",
        400,
        application,
        application!(
            "This model's maximum context length is {{window}} tokens. However, you requested \
             {{total}} tokens ({{messages}} in the messages, {{functions}} in the functions, and \
             {{output}} in the completion). Please reduce the length of the messages, functions, \
             or completion.",
            "invalid_request_error",
            "\"messages\"",
            "\"context_length_exceeded\""
        ),
    )
    .on(CHATS),
    Case::new(
        ContextLength,
        "input-tokens",
        400,
        application,
        application!(
            "Input tokens exceed the configured limit of {{window}} tokens. Your messages resulted \
             in {{input}} tokens. Please reduce the length of the messages.",
            "invalid_request_error",
            "\"messages\"",
            "\"context_length_exceeded\""
        ),
    )
    .on(CHATS)
    .known(Quoted, "https://github.com/cline/cline/issues/5474"),
    Case::new(
        ContextLength,
        "input",
        400,
        application,
        application!(
            "Your input exceeds the context window of this model. Please adjust your input and try \
             again.",
            "invalid_request_error",
            "\"input\"",
            "\"context_length_exceeded\""
        ),
    )
    .on(ALL_RESPONSES)
    .known(
        Recorded,
        "crmne/ruby_llm, spec/fixtures/vcr_cassettes/\
         chat_real_error_scenarios_openai_gpt-5-nano_handles_context_length_\
         exceeded_errors.yml",
    ),
    Case::new(
        ContextLength,
        "prompt",
        400,
        application,
        application!(
            "This model's maximum context length is {{window}} tokens, however you requested \
             {{needed}} tokens ({{longest}} in your prompt; {{output}} for the completion). Please \
             reduce your prompt; or completion length.",
            "invalid_request_error",
            "null",
            "null"
        ),
    )
    .on(PROMPTS)
    .known(Quoted, "https://github.com/fierceX/Document_QA/issues/3"),
];

/// What ends a stream that began well, whoever serves the models.
pub(in crate::dialect) static EVENTS: &[Case] = &[
    Case::event(ContentPolicy, "content-filter", Body::Made(chat::filtered_event))
        .on(&[OpenAiChat])
        .known(Documented, "https://github.com/openai/openai-openapi"),
    Case::event(
        Overloaded,
        "servers",
        event!(servers_overloaded!(), "service_unavailable_error", "\"server_is_overloaded\""),
    )
    .on(CHUNKED),
    Case::event(
        RateLimited,
        "limit",
        event!(rate_limit!("", ""), "{{dimension}}", "\"rate_limit_exceeded\""),
    )
    .on(CHUNKED),
    Case::event(ServerError, "request-id", event!(server_error!(), "server_error", "null"))
        .on(CHUNKED)
        .known(Quoted, "https://github.com/sashabaranov/go-openai/issues/69"),
    Case::event(
        ContentPolicy,
        "invalid-prompt",
        failure!(
            "Invalid prompt: your prompt was flagged as potentially violating our usage policy. \
             Please try again with a different prompt: \
             https://platform.openai.com/docs/guides/reasoning#advice-on-prompting",
            "invalid_request_error",
            Some("invalid_prompt")
        ),
    )
    .on(ALL_RESPONSES)
    .known(Documented, "openai/codex, codex-rs/codex-api/src/sse/responses.rs"),
    Case::event(
        ContextLength,
        "input",
        failure!(
            "Your input exceeds the context window of this model. Please adjust your input and try \
             again.",
            "invalid_request_error",
            Some("context_length_exceeded")
        ),
    )
    .on(ALL_RESPONSES)
    .known(Documented, "openai/codex, codex-rs/codex-api/src/sse/responses.rs"),
    Case::event(
        InsufficientQuota,
        "quota",
        failure!(quota!(), "insufficient_quota", Some("insufficient_quota")),
    )
    .on(ALL_RESPONSES)
    .known(Documented, "openai/codex, codex-rs/codex-api/src/sse/responses.rs"),
    Case::event(
        Overloaded,
        "servers",
        failure!(servers_overloaded!(), "service_unavailable_error", Some("server_is_overloaded")),
    )
    .on(ALL_RESPONSES)
    .known(Quoted, "https://github.com/Wei-Shaw/sub2api/issues/6631"),
    Case::event(
        RateLimited,
        "limit",
        Body::Made(|exchange| {
            let code = Some("rate_limit_exceeded");
            let form = responses::Form::Silent;
            responses::failed(
                exchange,
                &Failure { message: RATE_LIMIT, kind: "tokens", code, form },
            )
        }),
    )
    .on(ALL_RESPONSES)
    .known(Documented, "openai/codex, codex-rs/codex-api/src/sse/responses.rs"),
    Case::event(
        ServerError,
        "request-id",
        failure!(server_error!(), "server_error", Some("server_error")),
    )
    .on(ALL_RESPONSES),
    Case::event(
        ServerError,
        "flat",
        Body::Made(|exchange| {
            let message =
                "The server had an error while processing your request. Sorry about that!";
            let (code, form) = (Some("server_error"), responses::Form::Flat);
            responses::failed(exchange, &Failure { message, kind: "server_error", code, form })
        }),
    )
    .on(ALL_RESPONSES)
    .known(Documented, "https://github.com/openai/openai-openapi"),
];
