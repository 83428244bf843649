//! Azure's failures; texts as recorded, or as quoted in public.

use std::sync::LazyLock;

use super::{behind, openai, success, uuid};
use crate::{
    action::{Dimension, ErrorKind},
    dialect::{Body, Case, Exchange, Fields, Place, Provenance},
    plan::Route::{self, AzureChat, AzureCompletions, AzureEmbeddings, AzureResponses},
    quota::{Limited, whole_millis},
};

use ErrorKind::{
    Authentication, BadGateway, BadRequest, ContentPolicy, GatewayTimeout, NotFound, Overloaded,
    Permission, RateLimited, RequestTimeout, RequestTooLarge, ServerError, Unavailable,
};
use Provenance::{Documented, Quoted, Recorded};

/// Everything that Azure refuses or fails with: its own, and what the models behind it do.
pub(super) static CASES: LazyLock<Vec<Case>> = LazyLock::new(|| {
    let azure = |case: &Case| {
        case.routes.is_empty() || case.routes.iter().any(|route| ROUTES.contains(route))
    };
    let shared = [openai::CHECKS, openai::CONTEXT, openai::EVENTS].into_iter().flatten();
    let shared = shared.filter(|case| azure(case)).map(|case| {
        if case.place == Place::Answer { Case { style: application, ..*case } } else { *case }
    });
    shared.chain(OWN.iter().copied()).collect()
});

const ROUTES: [Route; 4] = [AzureChat, AzureCompletions, AzureEmbeddings, AzureResponses];

/// The page of the proxy in front of everything, as it names itself; `{{title}}` is the row's.
const PAGE: Body = Body::Text(
    "<html>\r\n<head><title>{{title}}</title></head>\r\n<body>\r\n<center><h1>{{title}}</h1>\
     </center>\r\n<hr><center>Microsoft-Azure-Application-Gateway/v2</center>\r\n</body>\r\n\
     </html>\r\n",
);

macro_rules! filtered {
    ($inner:literal) => {
        Body::Json(concat!(
            r#"{"error":{"message":"The response was filtered due to the prompt triggering Azure OpenAI's content management policy. Please modify your prompt and retry. To learn more about our content filtering policies please read our documentation: https://go.microsoft.com/fwlink/?linkid=2198766","type":null,"param":"prompt","code":"content_filter","status":400"#,
            $inner,
            "}}"
        ))
    };
}

static OWN: &[Case] = &[
    Case::new(
        Authentication,
        "invalid-key",
        401,
        bare,
        Body::Json(
            r#"{"error":{"code":"401","message":"Access denied due to invalid subscription key or wrong API endpoint. Make sure to provide a valid key for an active subscription and use a correct regional API endpoint for your resource."}}"#,
        ),
    )
    .known(
        Recorded,
        "traceloop/openllmetry, packages/opentelemetry-instrumentation-openai/\
         tests/traces/cassettes/test_embeddings/test_azure_openai_embeddings.yaml",
    ),
    Case::new(
        Authentication,
        "token",
        401,
        application,
        Body::Json(
            r#"{ "statusCode": 401, "message": "Unauthorized. Access token is missing, invalid, audience is incorrect (https://cognitiveservices.azure.com), or have expired." }"#,
        ),
    )
    .with(&[(
        "www-authenticate",
        "Bearer authorization_uri=\"https://login.windows.net/common/oauth2/authorize\" \
         resource=\"https://cognitiveservices.azure.com\"",
    )])
    .known(Quoted, "public issues"),
    Case::new(BadGateway, "proxy", 502, page, PAGE).such_as(&[("title", "502 Bad Gateway")]),
    Case::new(
        BadRequest,
        "malformed-json",
        400,
        application,
        Body::Json(
            "{\n  \"error\": {\n    \"message\": \"We could not parse the JSON body of your \
             request. (HINT: This likely means you aren't using your HTTP library correctly. The \
             OpenAI API expects a JSON payload, but what was sent was not valid JSON. If you have \
             trouble figuring out how to fix this, please contact us through an Azure support \
             request at: https://go.microsoft.com/fwlink/?linkid=2213926 for assistance.)\",\n    \
             \"type\": \"invalid_request_error\",\n    \"param\": null,\n    \"code\": null\n  \
             }\n}\n",
        ),
    ),
    Case::new(
        ContentPolicy,
        "prompt",
        400,
        screened,
        filtered!(
            r#","innererror":{"code":"ResponsibleAIPolicyViolation","content_filter_result":{"hate":{"filtered":false,"severity":"safe"},"jailbreak":{"filtered":true,"detected":true},"self_harm":{"filtered":false,"severity":"safe"},"sexual":{"filtered":false,"severity":"safe"},"violence":{"filtered":false,"severity":"safe"}}}"#
        ),
    )
    .known(Quoted, "https://github.com/Gitlawb/openclaude/issues/273"),
    Case::new(ContentPolicy, "prompt-bare", 400, application, filtered!(""))
        .known(Quoted, "https://github.com/StonyBrookNLP/appworld/issues/38"),
    Case::new(ContentPolicy, "completion", 200, success::headers, Body::Made(success::filtered))
        .on(&[AzureChat])
        .known(Quoted, "https://github.com/microsoft/semantic-kernel/issues/5240"),
    Case::event(ContentPolicy, "completion", Body::Made(success::filtered_event))
        .on(&[AzureChat])
        .known(
            Documented,
            "https://learn.microsoft.com/en-us/azure/ai-services/openai/concepts/content-filter",
        ),
    Case::new(GatewayTimeout, "proxy", 504, page, PAGE)
        .such_as(&[("title", "504 Gateway Time-out")]),
    Case::new(
        NotFound,
        "deployment",
        404,
        untyped,
        Body::Json(
            "{\n  \"error\": {\n    \"type\": \"invalid_request_error\",\n    \"code\": \
             \"DeploymentNotFound\",\n    \"message\": \"The API deployment for this resource does \
             not exist. If you created the deployment within the last 5 minutes, please wait a \
             moment and try again.\"\n  }\n}",
        ),
    )
    .known(
        Recorded,
        "traceloop/openllmetry, packages/opentelemetry-instrumentation-openai/\
         tests/traces/cassettes/test_azure/test_chat_reasoning.yaml",
    ),
    // The space before the message is Azure's.
    Case::new(
        NotFound,
        "resource",
        404,
        application,
        Body::Json(r#"{"error":{"code":"404","message": "Resource not found"}}"#),
    )
    .known(Quoted, "public issues"),
    Case::new(
        Overloaded,
        "peak-load",
        429,
        application,
        Body::Json(
            r#"{"error":{"code":"429","message":"The system is currently experiencing high demand and cannot process your request. Your request exceeds the maximum usage size allowed during peak load. Please retry after {{seconds}} seconds. For improved latency reliability, consider switching to Provisioned Throughput."}}"#,
        ),
    )
    .known(Quoted, "https://github.com/pollinations/pollinations/issues/6260"),
    Case::new(
        Permission,
        "network",
        403,
        application,
        Body::Json(
            r#"{"error":{"code":"403","message":"Access denied due to Virtual Network/Firewall rules."}}"#,
        ),
    )
    .known(Quoted, "public issues"),
    Case::new(
        Permission,
        "data-action",
        401,
        application,
        Body::Json(
            r#"{"error":{"code":"PermissionDenied","message":"The principal `{{principal}}` lacks the required data action `Microsoft.CognitiveServices/accounts/OpenAI/deployments/{{action}}/action` to perform `POST /openai/deployments/{deployment-id}/{{action}}` operation."}}"#,
        ),
    )
    .known(Quoted, "public issues"),
    Case::new(
        RateLimited,
        "call-rate",
        429,
        limited,
        Body::Json(
            r#"{"error":{"code":"429","message":"Requests to the {{operation}} Operation under Azure OpenAI API version {{api-version}} have exceeded call rate limit of your current OpenAI S0 pricing tier. Please retry after {{seconds}} seconds. Please go here: https://aka.ms/oai/quotaincrease if you would like to further increase the default rate limit."}}"#,
        ),
    )
    .known(Quoted, "https://github.com/openai/openai-python/issues/937"),
    Case::new(
        RateLimited,
        "token-rate",
        429,
        limited,
        Body::Json(
            r#"{"error":{"code":"429","message":"Requests to the {{operation}} Operation under Azure OpenAI API version {{api-version}} have exceeded token rate limit of your current OpenAI S0 pricing tier. Please retry after {{seconds}} seconds. Please go here: https://aka.ms/oai/quotaincrease if you would like to further increase the default rate limit."}}"#,
        ),
    )
    .known(Quoted, "https://github.com/openai/openai-python/issues/937"),
    Case::new(
        RateLimited,
        "tier-rate",
        429,
        limited,
        Body::Json(
            r#"{"error":{"code":"too_many_requests","message":"Your requests to {{model}} for {{served}} in {{region}} have exceeded the {{unit}} rate limit for your current AIServices S0 pricing tier. This request was for {{operation}} under Azure OpenAI API version {{api-version}}. Please retry after {{seconds}} seconds. To increase your default rate limit, visit: https://aka.ms/oai/quotaincrease."}}"#,
        ),
    )
    .known(Quoted, "public issues of 2025"),
    Case::new(
        RateLimited,
        "foundry",
        429,
        foundry,
        Body::Json(
            r#"{"error":{"code":"RateLimitReached","message":"Your requests to {{model}} for {{model}} in eastus2 have exceeded rate limit.","details":"Your requests to {{model}} for {{model}} in eastus2 have exceeded rate limit."}}"#,
        ),
    )
    .known(
        Recorded,
        "crmne/ruby_llm, spec/fixtures/vcr_cassettes/\
         chat_real_error_scenarios_azure_grok-4-1-fast-non-reasoning_handles_\
         context_length_exceeded_errors.yml",
    ),
    Case::new(
        RequestTimeout,
        "timeout",
        408,
        application,
        Body::Json(r#"{"error":{"code":"Timeout","message":"The operation was timeout."}}"#),
    )
    .known(Quoted, "https://github.com/Ironclad/rivet/issues/344"),
    Case::new(RequestTooLarge, "body", 413, page, PAGE)
        .such_as(&[("title", "413 Request Entity Too Large")]),
    Case::new(
        ServerError,
        "request-id",
        500,
        application,
        Body::Json(
            "{\n  \"error\": {\n    \"message\": \"The server had an error while processing your \
             request. Sorry about that! You can retry your request, or contact us through an Azure \
             support request at: https://go.microsoft.com/fwlink/?linkid=2213926 if the error \
             persists. (Please include the request ID {{request-id}} in your message.)\",\n    \
             \"type\": \"server_error\",\n    \"param\": null,\n    \"code\": null\n  }\n}",
        ),
    )
    .known(Quoted, "https://github.com/Azure-Samples/azure-search-openai-demo/issues/1390"),
    Case::new(
        ServerError,
        "gateway",
        500,
        application,
        Body::Json(
            r#"{ "statusCode": 500, "message": "Internal server error", "activityId": "{{request-id}}" }"#,
        ),
    )
    .known(Quoted, "https://github.com/microsoft/chat-copilot/issues/123"),
    Case::new(
        Unavailable,
        "service",
        503,
        application,
        Body::Json(
            r#"{"error":{"code":"ServiceUnavailable","message":"The service is temporarily unable to process your request. Please try again later."}}"#,
        ),
    ),
];

/// The usual failure, where the numbers say which it is.
pub(super) fn usual(
    kind: ErrorKind,
    place: Place,
    exchange: &Exchange<'_>,
) -> Option<&'static str> {
    if place == Place::Stream || kind != RateLimited {
        let model = behind(&exchange.request.model);
        return openai::usual(kind, place, exchange, model).filter(|_| kind != RateLimited);
    }
    // What is said without a time is said of models that are not OpenAI's.
    if exchange.decision.rule.is_some() && exchange.decision.action.hint().is_none() {
        return Some("foundry");
    }
    Some(if counts_calls(exchange) { "call-rate" } else { "token-rate" })
}

/// What the placeholders of Azure's texts stand for.
pub(super) fn word(name: &str, exchange: &Exchange<'_>) -> Option<String> {
    let route = exchange.request.route;
    Some(match name {
        "action" => match route {
            AzureChat => "chat/completions",
            AzureCompletions => "completions",
            AzureEmbeddings => "embeddings",
            _ => "responses",
        }
        .to_owned(),
        "api-version" => {
            let path = exchange.request.headers.get(":path").unwrap_or_default();
            let (_, version) = path.split_once("api-version=").unwrap_or_default();
            match version.split('&').next().filter(|version| !version.is_empty()) {
                Some(version) => version.to_owned(),
                // The last one that is neither a preview nor unversioned.
                None => "2024-10-21".to_owned(),
            }
        }
        "operation" => match route {
            AzureChat => "ChatCompletions_Create",
            AzureCompletions => "Completions_Create",
            AzureEmbeddings => "Embeddings_Create",
            _ => "Responses_Create",
        }
        .to_owned(),
        "principal" => uuid(&exchange.moment, "principal"),
        "region" => REGION.to_owned(),
        "request-id" => uuid(&exchange.moment, "request"),
        "seconds" => seconds(exchange).to_string(),
        "served" => behind(&exchange.request.model).to_owned(),
        "unit" => if counts_calls(exchange) { "call" } else { "token" }.to_owned(),
        other => return openai::word(other, exchange),
    })
}

/// Where the resource is.
const REGION: &str = "East US 2";

fn scripted(exchange: &Exchange<'_>) -> Limited {
    Limited::scripted(Dimension::Requests, None, exchange.request.input_tokens)
}

fn counts_calls(exchange: &Exchange<'_>) -> bool {
    let limited = exchange.decision.limited.unwrap_or_else(|| scripted(exchange));
    matches!(limited.level.dimension, Dimension::Concurrency | Dimension::Requests)
}

/// The wait that a text tells: the announced one in whole seconds. Of an overload that announces
/// none it is the recorded one.
fn seconds(exchange: &Exchange<'_>) -> u64 {
    let announced = exchange.decision.action.hint().map(|(after, _)| after.0);
    let limited = exchange.decision.limited.and_then(|limited| limited.wait);
    announced.or(limited).map_or(20, |wait| whole_millis(wait).div_ceil(1_000))
}

/// The headers of the gateway before it knows the resource.
fn bare(exchange: &Exchange<'_>) -> Fields {
    vec![
        ("content-type", "application/json".into()),
        ("apim-request-id", uuid(&exchange.moment, "apim").into()),
    ]
}

/// The headers of everything that comes from the resource.
fn application(exchange: &Exchange<'_>) -> Fields {
    let mut headers = vec![("content-type", "application/json".into())];
    headers.extend(untyped(exchange));
    headers
}

/// The headers of a deployment that does not exist: it has no type of content.
pub(super) fn untyped(exchange: &Exchange<'_>) -> Fields {
    vec![
        ("strict-transport-security", "max-age=31536000; includeSubDomains; preload".into()),
        ("apim-request-id", uuid(&exchange.moment, "apim").into()),
        ("x-content-type-options", "nosniff".into()),
        ("x-ms-region", REGION.into()),
    ]
}

/// The headers of what the filter has seen.
fn screened(exchange: &Exchange<'_>) -> Fields {
    let mut headers = application(exchange);
    headers.extend([
        ("x-ms-rai-invoked", "true".into()),
        ("x-request-id", uuid(&exchange.moment, "request").into()),
    ]);
    headers
}

/// The headers when a limit is hit; here the reset is in seconds, and no more than the wait.
fn limited(exchange: &Exchange<'_>) -> Fields {
    let mut headers = application(exchange);
    let limited = exchange.decision.limited.unwrap_or_else(|| scripted(exchange));
    let (reset, policy, remaining) = if counts_calls(exchange) {
        ("x-ratelimit-reset-requests", "DeploymentRatelimit-Call", "x-ratelimit-remaining-requests")
    } else {
        ("x-ratelimit-reset-tokens", "DeploymentRatelimit-Token", "x-ratelimit-remaining-tokens")
    };
    headers.extend([
        (reset, seconds(exchange).to_string().into()),
        ("policy-id", policy.into()),
        (remaining, limited.level.remaining.to_string().into()),
    ]);
    let others = exchange.decision.levels.iter();
    let requests = openai::tightest(others.filter(|level| level.dimension == Dimension::Requests));
    if let Some(level) = requests.filter(|_| !counts_calls(exchange)) {
        headers.push(("x-ratelimit-remaining-requests", level.remaining.to_string().into()));
    }
    headers
}

/// The headers of models that are not OpenAI's.
fn foundry(exchange: &Exchange<'_>) -> Fields {
    let mut headers = vec![("content-type", "application/json; charset=utf-8".into())];
    headers.extend(untyped(exchange));
    let streaming = if exchange.request.streaming { "True" } else { "False" };
    headers.extend([
        ("azureai-requested-tier", "default".into()),
        ("azureai-processed-tier", "default".into()),
        ("azureai-fe-is-streaming", streaming.to_owned().into()),
        ("azureai-fe-offer-type", "paygo".into()),
    ]);
    headers
}

fn page(_: &Exchange<'_>) -> Fields {
    vec![
        ("server", "Microsoft-Azure-Application-Gateway/v2".into()),
        ("content-type", "text/html".into()),
    ]
}
