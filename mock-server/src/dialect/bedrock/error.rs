//! Bedrock's failures: a message in JSON, and a header that tells which one it is.

use serde_json::json;

use super::{
    Family, frame, headers, region,
    success::{Block, Said, answer_headers},
};
use crate::{
    action::{Dimension, ErrorKind},
    dialect::{Body, Case, Exchange, Fields, Place, Provenance, ReplyBody},
    plan::Route,
    quota::Limited,
};

use ErrorKind::{
    Authentication, BadGateway, BadRequest, ContentPolicy, ContextLength, GatewayTimeout,
    InsufficientQuota, NotFound, Overloaded, Permission, RateLimited, RequestTimeout,
    RequestTooLarge, ServerError, Unavailable,
};
use Provenance::{Documented, Quoted, Recorded};

/// The body of almost every error.
macro_rules! message {
    ($message:expr) => {
        Body::Json(concat!("{\"message\":\"", $message, "\"}"))
    };
}

/// An error of the service itself: its type, its message.
macro_rules! service {
    ($kind:ident, $name:literal, $status:literal, $type:literal, $message:expr) => {
        Case::new($kind, $name, $status, json, message!($message)).with(&[(
            "x-amzn-errortype",
            concat!($type, ":http://internal.amazon.com/coral/com.amazon.bedrock/"),
        )])
    };
}

/// An error of what stands before every service of AWS.
macro_rules! front {
    ($kind:ident, $name:literal, $status:literal, $type:literal, $message:expr) => {
        Case::new($kind, $name, $status, json, message!($message)).with(&[(
            "x-amzn-errortype",
            concat!($type, ":http://internal.amazon.com/coral/com.amazon.coral.service/"),
        )])
    };
}

/// An error inside a stream: its name, its message.
macro_rules! event {
    ($kind:ident, $name:literal, $type:literal, $message:expr) => {
        Case::event(
            $kind,
            $name,
            Body::Made(|_| ReplyBody::Whole(frame::exception($type, &message($message)))),
        )
    };
}

/// Everything that Bedrock refuses or fails with.
pub(super) static CASES: &[Case] = &[
    front!(
        Authentication,
        "unrecognized-client",
        403,
        "UnrecognizedClientException",
        "The security token included in the request is invalid."
    )
    .known(
        Recorded,
        "crmne/ruby_llm, spec/fixtures/vcr_cassettes/\
         chat_error_handling_with_bedrock_amazon_nova-2-lite-v1_0_raises_\
         appropriate_auth_error.yml",
    ),
    front!(
        Authentication,
        "expired-token",
        403,
        "ExpiredTokenException",
        "The security token included in the request is expired"
    )
    .known(
        Recorded,
        "DataDog/dd-trace-py, tests/contrib/botocore/bedrock_cassettes/\
         bedrock_converse_error.yaml",
    ),
    front!(
        Authentication,
        "missing-key",
        403,
        "MissingAuthenticationTokenException",
        "Missing Authentication Token"
    ),
    front!(
        Authentication,
        "bad-signature",
        403,
        "InvalidSignatureException",
        "The request signature we calculated does not match the signature you provided. Check your \
         AWS Secret Access Key and signing method. Consult the service documentation for details."
    ),
    front!(
        Authentication,
        "incomplete-signature",
        403,
        "IncompleteSignatureException",
        "{{reason}}"
    )
    .such_as(&[(
        "reason",
        "'Basic' not a valid key=value pair (missing equal-sign) in Authorization header: 'Basic'.",
    )]),
    // The capital M is Bedrock's.
    Case::new(
        Authentication,
        "api-key",
        403,
        json,
        Body::Json(
            r#"{"Message":"Authentication failed: Please make sure your API Key is valid."}"#,
        ),
    )
    .with(&[("x-amzn-errortype", "AccessDeniedException")])
    .known(Quoted, "https://github.com/anomalyco/opencode/issues/47073"),
    Case::new(BadGateway, "load-balancer", 502, page, PAGE)
        .such_as(&[("title", "502 Bad Gateway")]),
    service!(BadRequest, "validation", 400, "ValidationException", "{{message}}").such_as(&[(
        "message",
        "1 validation error detected: Value 'system' at 'messages.1.member.role' failed to \
             satisfy constraint: Member must satisfy enum value set: [user, assistant]",
    )]),
    service!(
        BadRequest,
        "starts-with-user",
        400,
        "ValidationException",
        "A conversation must start with a user message. Try again with a conversation that starts \
         with a user message."
    )
    .on(CONVERSE)
    .known(Quoted, "https://github.com/langgenius/dify/issues/12340"),
    service!(
        BadRequest,
        "ends-with-user",
        400,
        "ValidationException",
        "A conversation must end with a user message. Try again with a conversation that ends with \
         a user message."
    )
    .on(CONVERSE),
    service!(
        BadRequest,
        "alternates",
        400,
        "ValidationException",
        "A conversation must alternate between user and assistant roles. Make sure the \
         conversation alternates between user and assistant roles and try again."
    )
    .on(CONVERSE)
    .known(Quoted, "https://github.com/langchain-ai/langchain-aws/issues/130"),
    service!(
        BadRequest,
        "empty-content",
        400,
        "ValidationException",
        "The content field in the Message object at messages.{{index}} is empty. Add a \
         ContentBlock object to the content field and try again."
    )
    .such_as(&[("index", "0")]),
    service!(
        BadRequest,
        "blank-text",
        400,
        "ValidationException",
        "The text field in the ContentBlock object at messages.{{index}}.content.{{block}} is \
         blank. Add text to the text field, and try again."
    )
    .such_as(&[("index", "0"), ("block", "0")])
    .known(Quoted, "https://github.com/OpenHands/OpenHands/issues/5339"),
    service!(
        BadRequest,
        "unsupported-block",
        400,
        "ValidationException",
        "This model doesn't support the {{block}} content block that you provided. Update the \
         content block and try again."
    )
    .such_as(&[("block", "video")])
    .known(Recorded, "pydantic/pydantic-ai, test_multimodal_tool_return_matrix cassettes"),
    service!(
        BadRequest,
        "tool-config",
        400,
        "ValidationException",
        "The toolConfig field must be defined when using toolUse and toolResult content blocks."
    )
    .known(Quoted, "https://github.com/langgenius/dify/issues/17545"),
    service!(
        BadRequest,
        "tool-results-missing",
        400,
        "ValidationException",
        "Expected toolResult blocks at messages.{{index}}.content for the following Ids: {{ids}}"
    )
    .such_as(&[("index", "2"), ("ids", "tooluse_BigeomN58tdc2quDxFA56w")]),
    service!(
        BadRequest,
        "tool-results-exceed",
        400,
        "ValidationException",
        "The number of toolResult blocks at messages.{{index}}.content exceeds the number of \
         toolUse blocks of previous turn."
    )
    .such_as(&[("index", "0")]),
    service!(
        BadRequest,
        "max-tokens",
        400,
        "ValidationException",
        "The maximum tokens you requested exceeds the model limit of {{most}}. Try again with a \
         maximum tokens value that is lower than {{most}}."
    )
    .on(CONVERSE)
    .such_as(&[("most", "10000")])
    .known(Quoted, "https://github.com/aws-samples/bedrock-access-gateway/issues/41"),
    service!(
        BadRequest,
        "on-demand-unsupported",
        400,
        "ValidationException",
        "Invocation of model ID {{model}} with on-demand throughput isn’t supported. Retry your \
         request with the ID or ARN of an inference profile that contains this model."
    )
    .known(Quoted, "quoted in public issues of several clients"),
    Case::new(BadRequest, "serialization", 400, json, Body::Json(r#"{"Message":"{{reason}}"}"#))
        .with(&[(
            "x-amzn-errortype",
            "SerializationException:http://internal.amazon.com/coral/com.amazon.coral.service/",
        )])
        .such_as(&[("reason", "STRING_VALUE can not be converted to an Integer")]),
    // A guardrail lets nothing through and calls that an answer.
    Case::new(ContentPolicy, "guardrail", 200, answer_headers, Body::Made(guardrail))
        .on(CONVERSE)
        .known(Documented, "https://docs.aws.amazon.com/bedrock/latest/userguide/guardrails.html"),
    Case::new(ContentPolicy, "content-filtered", 200, answer_headers, Body::Made(filtered))
        .on(CONVERSE)
        .known(Documented, "botocore, bedrock-runtime service model"),
    service!(
        ContentPolicy,
        "output",
        400,
        "ValidationException",
        "The model returned the following errors: Output blocked by content filtering policy"
    )
    .on(CONVERSE),
    service!(
        ContextLength,
        "input-too-long",
        400,
        "ValidationException",
        "The model returned the following errors: Input is too long for requested model."
    )
    .known(Quoted, "quoted in public issues of several clients"),
    service!(
        ContextLength,
        "claude",
        400,
        "ValidationException",
        "The model returned the following errors: prompt is too long: {{input}} tokens > \
         {{window}} maximum"
    )
    .known(Quoted, "quoted in public issues of several clients"),
    service!(
        ContextLength,
        "llama",
        400,
        "ValidationException",
        "This model's maximum context length is {{window}} tokens. Please reduce the length of the \
         prompt"
    ),
    service!(
        ContextLength,
        "nova",
        400,
        "ValidationException",
        "The model returned the following errors: Input Tokens Exceeded: Number of input tokens \
         exceeds maximum length. Please update the input to try again."
    )
    .known(
        Recorded,
        "crmne/ruby_llm, spec/fixtures/vcr_cassettes/\
         chat_real_error_scenarios_bedrock_amazon_nova-2-lite-v1_0_handles_\
         context_length_exceeded_errors.yml",
    ),
    Case::new(GatewayTimeout, "load-balancer", 504, page, PAGE)
        .such_as(&[("title", "504 Gateway Time-out")]),
    // No quota of Converse is a prepaid one; a day's tokens come nearest.
    service!(
        InsufficientQuota,
        "tokens-per-day",
        429,
        "ThrottlingException",
        "Too many tokens per day, please wait before trying again."
    )
    .on(CONVERSE)
    .known(Quoted, "quoted in public issues of several clients"),
    service!(
        InsufficientQuota,
        "payment-instrument",
        403,
        "AccessDeniedException",
        "Model access is denied due to INVALID_PAYMENT_INSTRUMENT:A valid payment instrument must \
         be provided. Your AWS Marketplace subscription for this model cannot be completed at this \
         time. If you recently fixed this issue, try again after 2 minutes."
    ),
    service!(
        NotFound,
        "resource",
        404,
        "ResourceNotFoundException",
        "Could not resolve the foundation model from the provided model identifier."
    )
    .known(Quoted, "botocore, bedrock-runtime service model; quoted in public issues"),
    // A model that never existed is no 404 here.
    service!(
        NotFound,
        "model",
        400,
        "ValidationException",
        "The provided model identifier is invalid."
    )
    .known(
        Recorded,
        "pydantic/pydantic-ai, tests/models/cassettes/test_bedrock/\
         test_bedrock_count_tokens_error.yaml",
    ),
    Case::new(
        NotFound,
        "operation",
        404,
        json,
        Body::Json(
            "{\"Output\":{\"__type\":\"com.amazon.coral.service#UnknownOperationException\"},\
             \"Version\":\"1.0\"}",
        ),
    )
    .known(Quoted, "quoted in public issues of several clients"),
    service!(
        Overloaded,
        "connections",
        503,
        "ServiceUnavailableException",
        "Too many connections, please wait before trying again."
    )
    .known(Quoted, "https://github.com/anthropics/claude-code/issues/562"),
    service!(
        Permission,
        "model-access",
        403,
        "AccessDeniedException",
        "You don't have access to the model with the specified model ID."
    )
    .known(Quoted, "quoted in public issues of several clients"),
    service!(
        Permission,
        "not-authorized",
        403,
        "AccessDeniedException",
        "User: arn:aws:iam::123456789012:user/test is not authorized to perform: \
         bedrock:{{action}} on resource: {{arn}} because no identity-based policy allows the \
         bedrock:{{action}} action"
    )
    .known(Quoted, "IAM's own words, quoted in public issues"),
    service!(
        Permission,
        "marketplace",
        403,
        "AccessDeniedException",
        "Model access is denied due to IAM user or service role is not authorized to perform the \
         required AWS Marketplace actions (aws-marketplace:ViewSubscriptions, \
         aws-marketplace:Subscribe) to enable access to this model. Refer to the Amazon Bedrock \
         documentation for further details. Your AWS Marketplace subscription for this model \
         cannot be completed at this time. If you recently fixed this issue, try again after 2 \
         minutes."
    )
    .known(
        Quoted,
        "https://github.com/aws-samples/sample-host-openclaw-on-amazon-bedrock-agentcore/issues/41",
    ),
    service!(
        RateLimited,
        "requests",
        429,
        "ThrottlingException",
        "Too many requests, please wait before trying again."
    )
    .known(Quoted, "quoted in public issues of several clients"),
    service!(
        RateLimited,
        "tokens",
        429,
        "ThrottlingException",
        "Too many tokens, please wait before trying again."
    )
    .known(Quoted, "quoted in public issues of several clients"),
    service!(
        RateLimited,
        "tokens-per-day",
        429,
        "ThrottlingException",
        "Too many tokens per day, please wait before trying again."
    )
    .known(Quoted, "quoted in public issues of several clients"),
    service!(
        RequestTimeout,
        "model-timeout",
        408,
        "ModelTimeoutException",
        "Model has timed out in processing the request. Try your request again."
    )
    .on(CONVERSE),
    front!(
        RequestTooLarge,
        "body",
        413,
        "RequestEntityTooLargeException",
        "Request Entity Too Large"
    ),
    service!(
        ServerError,
        "internal",
        500,
        "InternalServerException",
        "The system encountered an unexpected error during processing. Try your request again."
    )
    .known(Quoted, "botocore, bedrock-runtime service model; quoted in public issues"),
    Case::new(
        ServerError,
        "model-error",
        424,
        json,
        Body::Json(
            "{\"message\":\"The system encountered an unexpected error during processing. Try your \
             request again.\",\"originalStatusCode\":500,\"resourceName\":\"{{model}}\"}",
        ),
    )
    .with(&[(
        "x-amzn-errortype",
        "ModelErrorException:http://internal.amazon.com/coral/com.amazon.bedrock/",
    )])
    .on(CONVERSE),
    service!(
        Unavailable,
        "unavailable",
        503,
        "ServiceUnavailableException",
        "Bedrock is unable to process your request."
    )
    .known(Quoted, "https://github.com/darko-mesaros/bedrust/issues/47"),
    service!(
        Unavailable,
        "model-not-ready",
        429,
        "ModelNotReadyException",
        "Model is not ready for inference. Wait and try your request again."
    )
    .on(CONVERSE),
    event!(
        BadRequest,
        "validation",
        "validationException",
        "The model returned the following errors: Malformed input request, please reformat your \
         input and try again."
    )
    .on(CONVERSE),
    // Some models notice only then that a prompt is too long.
    event!(
        ContextLength,
        "input-too-long",
        "validationException",
        "Input is too long for requested model."
    )
    .on(CONVERSE),
    event!(ContextLength, "nova", "modelStreamErrorException", TOO_MANY_TOKENS).on(CONVERSE),
    event!(
        Overloaded,
        "unavailable",
        "serviceUnavailableException",
        "Too many connections, please wait before trying again."
    )
    .on(CONVERSE),
    event!(
        RateLimited,
        "tokens",
        "throttlingException",
        "Too many tokens, please wait before trying again."
    )
    .on(CONVERSE)
    .known(Documented, "botocore, bedrock-runtime service model"),
    event!(
        RateLimited,
        "requests",
        "throttlingException",
        "Too many requests, please wait before trying again."
    )
    .on(CONVERSE)
    .known(Documented, "botocore, bedrock-runtime service model"),
    event!(
        ServerError,
        "internal",
        "internalServerException",
        "The system encountered an unexpected error during processing. Try your request again."
    )
    .on(CONVERSE)
    .known(Documented, "botocore, bedrock-runtime service model"),
    event!(
        ServerError,
        "model-stream-error",
        "modelStreamErrorException",
        "The system encountered an unexpected error during processing. Try your request again."
    )
    .on(CONVERSE),
    event!(
        Unavailable,
        "unavailable",
        "serviceUnavailableException",
        "Bedrock is unable to process your request."
    )
    .on(CONVERSE)
    .known(Quoted, "https://github.com/aws-samples/foundation-model-benchmarking-tool/issues/247"),
];

/// The usual failure, where the model or the limit says which it is.
pub(super) fn usual(
    kind: ErrorKind,
    place: Place,
    exchange: &Exchange<'_>,
) -> Option<&'static str> {
    let limited = || exchange.decision.limited.unwrap_or_else(|| scripted(exchange));
    match (kind, place, Family::of(&exchange.request.model)) {
        (ContextLength, Place::Answer, Family::Claude) => Some("claude"),
        (ContextLength, Place::Answer, Family::Llama) => Some("llama"),
        (ContextLength, _, Family::Nova) => Some("nova"),
        (RateLimited, Place::Answer, _) => {
            let level = limited().level;
            Some(match level.dimension {
                Dimension::Concurrency | Dimension::Requests => "requests",
                _ if level.period_name() == "day" => "tokens-per-day",
                _ => "tokens",
            })
        }
        _ => None,
    }
}

/// What the placeholders of Bedrock's texts stand for.
pub(super) fn word(name: &str, exchange: &Exchange<'_>) -> Option<String> {
    let request = exchange.request;
    Some(match name {
        "action" => match (request.route, request.streaming) {
            (Route::BedrockCountTokens, _) => "CountTokens",
            (_, true) => "InvokeModelWithResponseStream",
            (_, false) => "InvokeModel",
        }
        .to_owned(),
        "arn" => arn(&request.model, region(&request.headers).unwrap_or("us-east-1")),
        _ => return None,
    })
}

/// The resource that a model is to IAM.
fn arn(model: &str, region: &str) -> String {
    let profile = ["us.", "eu.", "apac.", "global."].iter().any(|area| model.starts_with(area));
    match model {
        model if model.starts_with("arn:") => model.to_owned(),
        model if profile => {
            format!("arn:aws:bedrock:{region}:123456789012:inference-profile/{model}")
        }
        model => format!("arn:aws:bedrock:{region}::foundation-model/{model}"),
    }
}

fn scripted(exchange: &Exchange<'_>) -> Limited {
    Limited::scripted(Dimension::Requests, None, exchange.request.input_tokens)
}

/// The headers of an error in JSON.
fn json(exchange: &Exchange<'_>) -> Fields {
    headers(&exchange.moment, "application/json")
}

/// The headers of a page of the load balancer's.
fn page(_: &Exchange<'_>) -> Fields {
    vec![("server", "awselb/2.0".into()), ("content-type", "text/html".into())]
}

/// The page that a load balancer of AWS shows when nobody behind it answers.
const PAGE: Body = Body::Text(
    "<html>\r\n<head><title>{{title}}</title></head>\r\n<body>\r\n<center><h1>{{title}}</h1>\
     </center>\r\n</body>\r\n</html>\r\n",
);

/// The payload of an exception.
fn message(text: &str) -> String {
    json!({ "message": text }).to_string()
}

/// What a guardrail says instead of the model, and why.
fn guardrail(exchange: &Exchange<'_>) -> ReplyBody {
    let trace = json!({
        "guardrail": {
            "inputAssessment": {
                "gr0example0id": {
                    "contentPolicy": {
                        "filters": [{
                            "action": "BLOCKED",
                            "confidence": "HIGH",
                            "type": "VIOLENCE",
                        }],
                    },
                },
            },
        },
    });
    let traced = exchange.request.body.pointer("/guardrailConfig/trace");
    let traced = traced.is_some_and(|trace| trace != "disabled");
    refused(exchange, "guardrail_intervened", traced.then_some(trace))
}

/// What is left when the model's own filter lets nothing through.
fn filtered(exchange: &Exchange<'_>) -> ReplyBody {
    refused(exchange, "content_filtered", None)
}

/// An answer that says only that there is none.
fn refused(
    exchange: &Exchange<'_>,
    stop_reason: &'static str,
    trace: Option<serde_json::Value>,
) -> ReplyBody {
    let blocks = vec![Block::Text("Sorry, the model cannot answer this question.".into())];
    let said = Said { blocks, stop_reason, stop_sequence: None, output_tokens: 0, trace };
    said.body(exchange)
}

/// The routes that write.
const CONVERSE: &[Route] = &[Route::BedrockConverse];

/// What Nova says of a prompt that is too long.
const TOO_MANY_TOKENS: &str = "The model returned the following errors: Input Tokens Exceeded: \
                               Number of input tokens exceeds maximum length. Please update the \
                               input to try again.";
