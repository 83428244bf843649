//! Does every route answer hostile requests as its provider would, and go on serving?
//!
//! Nothing that a client sends may break a connection, bring an answer in a shape that is not the
//! provider's, or keep the server from its next request.

use mock_server::plan::{Limits, Plan, ProviderName, Route};
use serde_json::{Value, json};

use crate::play::{Got, ask, ask_all, healthy};

/// A route, and the least that it answers.
struct Row {
    route: Route,
    method: &'static str,
    path: &'static str,
    headers: &'static [&'static str],
    body: Value,
}

fn rows() -> Vec<Row> {
    const BEARER: &[&str] = &["authorization: Bearer sk-test"];
    const ANTHROPIC: &[&str] = &["x-api-key: k", "anthropic-version: 2023-06-01"];
    const AZURE: &[&str] = &["api-key: k"];
    const GEMINI: &[&str] = &["x-goog-api-key: k"];
    let get = |route, path, headers| Row { route, method: "GET", path, headers, body: Value::Null };
    let post = |route, path, headers, body| Row { route, method: "POST", path, headers, body };
    let said = || json!([{ "role": "user", "content": "hi" }]);
    let chat = |model: &str| json!({ "model": model, "messages": said() });
    let prompt = |model: &str| json!({ "model": model, "prompt": "hi" });
    let input = |model: &str| json!({ "model": model, "input": "hi" });
    let parts = || json!({ "contents": [{ "role": "user", "parts": [{ "text": "hi" }] }] });
    let blocks = || json!({ "messages": [{ "role": "user", "content": [{ "text": "hi" }] }] });
    let embedded =
        |model: &str| json!({ "model": model, "texts": ["hi"], "input_type": "search_query" });
    let claude = "claude-haiku-4-5";
    vec![
        post(Route::AnthropicCountTokens, "/v1/messages/count_tokens", ANTHROPIC, chat(claude)),
        post(
            Route::AnthropicMessages,
            "/v1/messages",
            ANTHROPIC,
            json!({ "model": claude, "max_tokens": 50, "messages": said() }),
        ),
        get(Route::AnthropicModels, "/v1/models", ANTHROPIC),
        post(
            Route::AzureChat,
            "/openai/deployments/gpt-4o-mini/chat/completions?api-version=2024-10-21",
            AZURE,
            json!({ "messages": said() }),
        ),
        post(
            Route::AzureCompletions,
            "/openai/deployments/gpt-35-turbo-instruct/completions?api-version=2024-10-21",
            AZURE,
            json!({ "prompt": "hi" }),
        ),
        post(
            Route::AzureEmbeddings,
            "/openai/deployments/text-embedding-3-small/embeddings?api-version=2024-10-21",
            AZURE,
            json!({ "input": "hi" }),
        ),
        post(Route::AzureResponses, "/openai/v1/responses", AZURE, input("gpt-4o-mini")),
        post(
            Route::BedrockConverse,
            "/model/us.amazon.nova-2-lite-v1%3A0/converse",
            BEARER,
            blocks(),
        ),
        post(
            Route::BedrockConverse,
            "/model/us.amazon.nova-2-lite-v1%3A0/converse-stream",
            BEARER,
            blocks(),
        ),
        post(
            Route::BedrockCountTokens,
            "/model/anthropic.claude-haiku-4-5-20251001-v1%3A0/count-tokens",
            BEARER,
            json!({ "input": { "converse": blocks() } }),
        ),
        post(Route::CohereChat, "/v2/chat", BEARER, chat("command-a-03-2025")),
        post(
            Route::CohereChatV1,
            "/v1/chat",
            BEARER,
            json!({ "model": "command-a-03-2025", "message": "hi" }),
        ),
        post(Route::CohereEmbed, "/v2/embed", BEARER, embedded("embed-v4.0")),
        post(Route::CohereEmbedV1, "/v1/embed", BEARER, embedded("embed-english-v3.0")),
        get(Route::CohereModels, "/cohere/v1/models", BEARER),
        post(
            Route::GeminiCountTokens,
            "/v1beta/models/gemini-2.5-flash:countTokens",
            GEMINI,
            parts(),
        ),
        post(
            Route::GeminiEmbed,
            "/v1beta/models/gemini-embedding-001:batchEmbedContents",
            GEMINI,
            json!({ "requests": [{ "content": { "parts": [{ "text": "hi" }] } }] }),
        ),
        post(
            Route::GeminiGenerate,
            "/v1beta/models/gemini-2.5-flash:generateContent",
            GEMINI,
            parts(),
        ),
        post(
            Route::GeminiGenerate,
            "/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse",
            GEMINI,
            parts(),
        ),
        post(
            Route::GeminiGenerate,
            "/v1beta/openai/chat/completions",
            BEARER,
            chat("gemini-2.5-flash"),
        ),
        get(Route::GeminiModels, "/v1beta/models", GEMINI),
        post(
            Route::MistralChat,
            "/mistral/v1/chat/completions",
            BEARER,
            chat("mistral-small-latest"),
        ),
        post(Route::MistralEmbeddings, "/mistral/v1/embeddings", BEARER, input("mistral-embed")),
        post(Route::MistralFim, "/mistral/v1/fim/completions", BEARER, prompt("codestral-latest")),
        get(Route::MistralModels, "/mistral/v1/models", BEARER),
        post(Route::OllamaChat, "/api/chat", &[], chat("llama3.2")),
        post(Route::OllamaEmbed, "/api/embed", &[], input("nomic-embed-text")),
        post(Route::OllamaEmbeddings, "/api/embeddings", &[], prompt("nomic-embed-text")),
        post(Route::OllamaGenerate, "/api/generate", &[], prompt("llama3.2")),
        get(Route::OllamaModels, "/api/tags", &[]),
        get(Route::OllamaPs, "/api/ps", &[]),
        post(Route::OllamaShow, "/api/show", &[], json!({ "model": "llama3.2" })),
        post(Route::OllamaV1Chat, "/ollama/v1/chat/completions", BEARER, chat("llama3.2")),
        post(Route::OllamaV1Completions, "/ollama/v1/completions", BEARER, prompt("llama3.2")),
        post(Route::OllamaV1Embeddings, "/ollama/v1/embeddings", BEARER, input("nomic-embed-text")),
        get(Route::OllamaV1Models, "/ollama/v1/models", BEARER),
        get(Route::OllamaVersion, "/api/version", &[]),
        post(Route::OpenAiChat, "/v1/chat/completions", BEARER, chat("gpt-4o-mini")),
        post(Route::OpenAiCompletions, "/v1/completions", BEARER, prompt("gpt-3.5-turbo-instruct")),
        post(Route::OpenAiEmbeddings, "/v1/embeddings", BEARER, input("text-embedding-3-small")),
        get(Route::OpenAiModels, "/v1/models", BEARER),
        post(Route::OpenAiResponses, "/v1/responses", BEARER, input("gpt-4o-mini")),
        post(
            Route::OpenRouterChat,
            "/openrouter/api/v1/chat/completions",
            BEARER,
            chat("openai/gpt-4o-mini"),
        ),
        post(
            Route::OpenRouterCompletions,
            "/openrouter/api/v1/completions",
            BEARER,
            prompt("openai/gpt-4o-mini"),
        ),
        post(
            Route::OpenRouterEmbeddings,
            "/openrouter/api/v1/embeddings",
            BEARER,
            input("openai/text-embedding-3-small"),
        ),
        get(Route::OpenRouterModels, "/openrouter/api/v1/models", BEARER),
    ]
}

impl Row {
    fn request(&self, body: &[u8]) -> Vec<u8> {
        let headers: String = self.headers.iter().flat_map(|header| [*header, "\r\n"]).collect();
        let head = format!(
            "{} {} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{headers}content-type: \
             application/json\r\ncontent-length: {}\r\n\r\n",
            self.method,
            self.path,
            body.len()
        );
        [head.as_bytes(), body].concat()
    }

    fn with(&self, field: &str, value: Value) -> Vec<u8> {
        let mut body = self.body.clone();
        body[field] = value;
        self.request(body.to_string().as_bytes())
    }

    fn good(&self) -> Vec<u8> {
        if self.method == "GET" {
            return self.request(b"");
        }
        self.request(self.body.to_string().as_bytes())
    }

    /// The bodies that no JSON is in.
    fn malformed() -> Vec<Vec<u8>> {
        vec![
            b"{".to_vec(),
            b"nope".to_vec(),
            b"{\"model\":\"\xff\xfe\"".to_vec(),
            b"\0\0\0".to_vec(),
            b"[".repeat(100_000),
            b"{\"a\":".repeat(100_000),
            [b"{\"model\":".to_vec(), b"[".repeat(100_000), b"]".repeat(100_000), b"}".to_vec()]
                .concat(),
        ]
    }

    /// Requests with a wrong type in each field, and with a long word in each text.
    fn mistyped(&self) -> Vec<Vec<u8>> {
        let others = ["stream", "n", "max_tokens", "tools", "stop", "temperature", "format"];
        let own = self.body.as_object().into_iter().flat_map(|fields| fields.keys());
        let fields = own.map(String::as_str).chain(others);
        let wrong = || {
            let word = "a\r\nx-evil: 1\0{{model}}";
            [
                json!(null),
                json!(true),
                json!(-1),
                json!(1.5e300),
                json!(u64::MAX),
                json!(word),
                json!([]),
                json!([[1]]),
                json!([word]),
                json!([{}]),
                json!({ "a": 1 }),
            ]
        };
        fields.flat_map(|field| wrong().into_iter().map(|value| self.with(field, value))).collect()
    }

    /// Checks that an answer is the provider's, good or bad.
    #[track_caller]
    fn answers(&self, got: &Got) {
        let shown: String = String::from_utf8_lossy(&got.body).chars().take(300).collect();
        let of = format!("{}: {} {} {shown}", self.path, got.status, got.header("content-type"));
        assert_eq!(got.header("x-evil"), "", "{of}");
        match got.status {
            200 => {}
            400.. => assert!(is_error(self.route, got), "{of}"),
            _ => panic!("{of}"),
        }
    }
}

/// Whether an error has the type and the envelope of its provider's.
fn is_error(route: Route, got: &Got) -> bool {
    let provider = route.provider();
    let kind = got.header("content-type");
    if got.status == 413 {
        // What stands in front of a provider may have a page, or a line, of its own.
        return match provider {
            ProviderName::OpenAi | ProviderName::Azure | ProviderName::Ollama => {
                kind.starts_with("text/html")
            }
            ProviderName::Cohere => kind == "text/plain",
            ProviderName::Anthropic => got.json()["error"]["type"] == "request_too_large",
            ProviderName::Gemini => false,
            ProviderName::Bedrock | ProviderName::Mistral => got.json()["message"].is_string(),
            ProviderName::OpenRouter => got.json()["error"]["code"] == 413,
        };
    }
    // Recorded: Azure does not say what its 404 is.
    let is_untyped = kind.is_empty() && provider == ProviderName::Azure && got.status == 404;
    if !kind.starts_with("application/json") && !is_untyped {
        return false;
    }
    let body = got.json();
    let error = &body["error"];
    match provider {
        ProviderName::Anthropic => body["type"] == "error" && error["message"].is_string(),
        ProviderName::Azure => error["message"].is_string() && error["code"] != "",
        ProviderName::Bedrock => {
            !got.header("x-amzn-errortype").is_empty()
                && ["message", "Message"].iter().any(|name| body[*name].is_string())
        }
        ProviderName::Cohere => body["message"].is_string(),
        ProviderName::Gemini => is_googles(&body),
        ProviderName::Mistral => body["detail"].is_array() || body["object"] == "error",
        ProviderName::Ollama if route.name().contains("v1-") => error["message"].is_string(),
        ProviderName::Ollama => error.is_string(),
        ProviderName::OpenAi => {
            let names = ["message", "type", "param", "code"];
            names.iter().all(|name| error.get(*name).is_some())
        }
        ProviderName::OpenRouter => error["message"].is_string() && error["code"] == got.status,
    }
}

/// The envelope of Google's errors, which its imitation of OpenAI puts into a list.
fn is_googles(body: &Value) -> bool {
    let body = body.get(0).unwrap_or(body);
    body["error"]["status"].is_string() && body["error"]["message"].is_string()
}

#[test]
fn the_table_has_every_route() {
    for &route in Route::ALL {
        assert!(rows().iter().any(|row| row.route == route), "{}", route.name());
    }
}

#[test]
fn what_is_no_json_is_refused_in_the_providers_words() {
    for row in rows().iter().filter(|row| row.method == "POST") {
        let requests = Row::malformed().into_iter().map(|body| row.request(&body));
        let requests: Vec<_> = requests.chain([row.good()]).collect();
        let answers = ask_all(healthy(), &requests);
        let (good, bad) = answers.split_last().unwrap();
        for got in bad {
            row.answers(got);
            assert!(matches!(got.status, 400 | 422), "{} {}", row.path, got.status);
        }
        assert_eq!(good.status, 200, "{}", row.path);
    }
}

#[test]
fn a_wrong_type_in_any_field_is_answered_by_the_provider() {
    for row in rows().iter().filter(|row| row.method == "POST") {
        let requests: Vec<_> = row.mistyped().into_iter().chain([row.good()]).collect();
        let answers = ask_all(healthy(), &requests);
        for got in &answers {
            row.answers(got);
        }
        assert_eq!(answers.last().unwrap().status, 200, "{}", row.path);
    }
}

#[test]
fn a_word_of_a_million_letters_is_answered_by_the_provider() {
    let word = "a".repeat(1_000_000);
    for row in rows().iter().filter(|row| row.method == "POST") {
        let texts = row.body.to_string().replace("\"hi\"", &json!(word).to_string());
        let model = row.with("model", json!(word));
        let answers = ask_all(healthy(), &[row.request(texts.as_bytes()), model, row.good()]);
        for got in &answers {
            row.answers(got);
            // A name that no model has is said once, if at all, and not in every event.
            assert!(got.body.len() < 3_000_000, "{}: {}", row.path, got.body.len());
        }
        assert_eq!(answers[2].status, 200, "{}", row.path);
    }
}

#[test]
fn a_body_that_is_too_long_is_refused_in_the_providers_words() {
    for row in rows().iter().filter(|row| row.method == "POST") {
        let limits = Limits { body_bytes_max: 1_000, ..Limits::default() };
        let long = row.request(&b" ".repeat(1_001));
        let answers = ask_all(Plan { limits, ..healthy() }, &[long, row.good()]);
        // Google's front end has no 413.
        let status = if row.route.provider() == ProviderName::Gemini { 400 } else { 413 };
        assert_eq!(answers[0].status, status, "{}", row.path);
        row.answers(&answers[0]);
        assert_eq!(answers[1].status, 200, "{}", row.path);
    }
}

#[test]
fn a_method_that_a_route_does_not_have_is_refused() {
    for row in rows() {
        for method in ["PUT", "DELETE", "PATCH"] {
            let got = ask(healthy(), &Row { method, body: json!({}), ..row }.request(b"{}"));
            assert!((400..500).contains(&got.status), "{method} {}: {}", row.path, got.status);
        }
        let got = ask(healthy(), &Row { method: "HEAD", ..row }.request(b""));
        assert!(got.status != 0 && got.body.is_empty(), "HEAD {}", row.path);
    }
}

#[test]
fn so_many_texts_are_not_embedded_at_once() {
    for row in rows() {
        let field = match row.route {
            Route::GeminiEmbed => "requests",
            Route::CohereEmbed | Route::CohereEmbedV1 => "texts",
            _ if row.body.get("input").is_some() && row.route.name().contains("embed") => "input",
            _ => continue,
        };
        let each = row.body[field].get(0).cloned().unwrap_or(json!("a"));
        let got = ask(healthy(), &row.with(field, vec![each; 3_000].into()));
        row.answers(&got);
        assert!((400..500).contains(&got.status), "{}: {}", row.path, got.status);
    }
}

#[test]
fn as_many_mistakes_as_one_likes_are_told_in_few_words() {
    for (path, field) in [
        ("/v1beta/models/gemini-2.5-flash:generateContent", "contents"),
        ("/mistral/v1/chat/completions", "messages"),
    ] {
        let rows = rows();
        let row = rows.iter().find(|row| row.path == path).unwrap();
        for wrong in [json!(1), json!({})] {
            let got = ask(healthy(), &row.with(field, vec![wrong; 100_000].into()));
            row.answers(&got);
            assert!(got.status >= 400 && got.body.len() < 1_000_000, "{}", got.body.len());
        }
    }
}
