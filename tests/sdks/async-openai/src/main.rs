//! Drives async-openai: against OpenAI. `driver.py` says what a task is.

use std::{error::Error, io::Read as _};

use async_openai::{
    Client,
    config::OpenAIConfig,
    error::OpenAIError,
    middleware::ReqwestService,
    types::{chat::CreateChatCompletionStreamResponse, responses::ResponseStreamEvent},
};
use futures::StreamExt as _;
use serde_json::{Value, from_value, json};

const QUESTION: &str = "Why is the sky blue?";
const TOOL: &str = "look_up_weather";

/// What was parsed, and how it ended.
type Made = Result<(&'static str, Option<String>), OpenAIError>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut task = String::new();
    std::io::stdin().read_to_string(&mut task)?;
    let task: Value = serde_json::from_str(&task)?;
    let base = text(&task["base"]);
    for failure in task["failures"].as_array().into_iter().flatten() {
        let client = client(base, Some(text(&failure["id"])));
        let route = text(&failure["route"]).trim_start_matches("openai.");
        let streaming = failure["stream"] == true;
        let mut told =
            json!({ "id": failure["id"], "route": failure["route"], "stream": failure["stream"] });
        match call(&client, route, streaming).await {
            Ok((parsed, finish)) => merge(&mut told, json!({ "parsed": parsed, "finish": finish })),
            Err(error) => merge(&mut told, describe(&error)),
        }
        println!("{told}");
    }
    if task["successes"].as_array().is_some_and(|providers| !providers.is_empty()) {
        succeed(&client(base, None)).await;
    }
    Ok(())
}

/// A client that does not retry.
fn client(base: &str, case: Option<&str>) -> Client<OpenAIConfig> {
    let mut config =
        OpenAIConfig::new().with_api_base(format!("{base}/v1")).with_api_key("sk-brownout-example-key");
    if let Some(case) = case {
        config = config.with_header("x-brownout-case", case).expect("a case is a header's value");
    }
    Client::with_config(config).with_http_service(ReqwestService::new(reqwest::Client::new()))
}

fn chat(extra: Value) -> Value {
    let mut request =
        json!({ "model": "gpt-4o-mini", "messages": [{ "role": "user", "content": QUESTION }] });
    merge(&mut request, extra);
    request
}

fn responses(extra: Value) -> Value {
    let mut request = json!({ "model": "gpt-4o-mini", "input": QUESTION });
    merge(&mut request, extra);
    request
}

fn completions() -> Value {
    json!({ "model": "gpt-3.5-turbo-instruct", "prompt": QUESTION, "max_tokens": 200 })
}

/// One call of the route that a failure is to be met on.
async fn call(client: &Client<OpenAIConfig>, route: &str, streaming: bool) -> Made {
    match (route, streaming) {
        ("chat", false) => {
            let made = client.chat().create(request(chat(json!({})))).await?;
            let end = match &made.choices[0].message.refusal {
                Some(_) => Some("refusal".to_owned()),
                None => finish(&json!(made.choices[0].finish_reason)),
            };
            Ok(("CreateChatCompletionResponse", end))
        }
        ("chat", true) => {
            let mut stream = client.chat().create_stream(request(chat(json!({})))).await?;
            let mut end = None;
            while let Some(chunk) = stream.next().await {
                let choice = chunk?.choices.into_iter().next();
                end = choice.and_then(|choice| finish(&json!(choice.finish_reason))).or(end);
            }
            Ok(("CreateChatCompletionStreamResponse", end))
        }
        ("responses", false) => {
            let made = json!(client.responses().create(request(responses(json!({})))).await?);
            let refused = made["output"][0]["content"][0]["type"] == "refusal";
            let end = if refused { Some("refusal".to_owned()) } else { finish(&made["status"]) };
            Ok(("Response", end))
        }
        ("responses", true) => {
            let mut stream = client.responses().create_stream(request(responses(json!({})))).await?;
            while let Some(event) = stream.next().await {
                match event? {
                    ResponseStreamEvent::ResponseError(event) => {
                        let code = event.code.unwrap_or_default();
                        return Ok(("ResponseStreamEvent", Some(format!("error event: {code}"))));
                    }
                    ResponseStreamEvent::ResponseFailed(event) => {
                        let code = json!(event.response.error.map(|error| error.code));
                        return Ok(("ResponseStreamEvent", Some(format!("failed: {}", text(&code)))));
                    }
                    _ => {}
                }
            }
            Ok(("ResponseStreamEvent", Some("completed".to_owned())))
        }
        ("completions", false) => {
            let made = client.completions().create(request(completions())).await?;
            Ok(("CreateCompletionResponse", finish(&json!(made.choices[0].finish_reason))))
        }
        ("completions", true) => {
            let mut stream = client.completions().create_stream(request(completions())).await?;
            let mut end = None;
            while let Some(chunk) = stream.next().await {
                let choice = chunk?.choices.into_iter().next();
                end = choice.and_then(|choice| finish(&json!(choice.finish_reason))).or(end);
            }
            Ok(("CreateCompletionResponse", end))
        }
        ("embeddings", _) => {
            let ask = json!({ "model": "text-embedding-3-small", "input": QUESTION });
            client.embeddings().create(request(ask)).await?;
            Ok(("CreateEmbeddingResponse", None))
        }
        ("models", _) => {
            client.models().list().await?;
            Ok(("ListModelResponse", None))
        }
        _ => Err(OpenAIError::InvalidArgument(format!("no call is known for {route}"))),
    }
}

/// Makes every kind of call that is answered, and tells what was parsed.
async fn succeed(client: &Client<OpenAIConfig>) {
    tell("chat", async {
        let made = client.chat().create(request(chat(json!({})))).await?;
        whole(made.choices[0].message.content.as_deref().unwrap_or_default())?;
        Ok("CreateChatCompletionResponse")
    })
    .await;
    tell("chat, streamed", async {
        let mut stream = client.chat().create_stream(request(chat(json!({})))).await?;
        let mut said = String::new();
        while let Some(chunk) = stream.next().await {
            let chunk: CreateChatCompletionStreamResponse = chunk?;
            said.extend(chunk.choices.into_iter().filter_map(|choice| choice.delta.content));
        }
        whole(&said)?;
        Ok("CreateChatCompletionStreamResponse")
    })
    .await;
    let parameters = json!({
        "type": "object",
        "properties": { "city": { "type": "string" }, "days": { "type": "integer" } },
        "required": ["city", "days"],
        "additionalProperties": false,
    });
    tell("chat with a tool", async {
        let tool = json!({ "type": "function", "function": { "name": TOOL, "parameters": parameters } });
        let ask = chat(json!({ "tools": [tool], "tool_choice": "required" }));
        let made = client.chat().create(request(ask)).await?;
        let calls = json!(made.choices[0].message.tool_calls);
        weather(text(&calls[0]["function"]["arguments"]))?;
        Ok("CreateChatCompletionResponse")
    })
    .await;
    tell("chat, structured", async {
        let schema = json!({ "name": "weather", "strict": true, "schema": parameters });
        let ask = chat(json!({ "response_format": { "type": "json_schema", "json_schema": schema } }));
        let made = client.chat().create(request(ask)).await?;
        weather(made.choices[0].message.content.as_deref().unwrap_or_default())?;
        Ok("CreateChatCompletionResponse")
    })
    .await;
    tell("responses", async {
        let made = client.responses().create(request(responses(json!({})))).await?;
        whole(&made.output_text().unwrap_or_default())?;
        Ok("Response")
    })
    .await;
    tell("responses, streamed", async {
        let mut stream = client.responses().create_stream(request(responses(json!({})))).await?;
        let mut said = String::new();
        while let Some(event) = stream.next().await {
            if let ResponseStreamEvent::ResponseOutputTextDelta(event) = event? {
                said.push_str(&event.delta);
            }
        }
        whole(&said)?;
        Ok("ResponseStreamEvent")
    })
    .await;
    tell("responses with a tool", async {
        let tool = json!({ "type": "function", "name": TOOL, "parameters": parameters, "strict": true });
        let ask = responses(json!({ "tools": [tool], "tool_choice": "required" }));
        let made = json!(client.responses().create(request(ask)).await?);
        weather(text(&made["output"][0]["arguments"]))?;
        Ok("Response")
    })
    .await;
    tell("completions", async {
        let made = client.completions().create(request(completions())).await?;
        whole(made.choices[0].text.trim())?;
        Ok("CreateCompletionResponse")
    })
    .await;
    tell("embeddings, float", async {
        let ask = json!({ "model": "text-embedding-3-small", "input": [QUESTION, "Another."] });
        let made = client.embeddings().create(request(ask)).await?;
        let square: f32 = made.data[0].embedding.iter().map(|number| number * number).sum();
        holds(made.data.len() == 2 && (0.99..1.01).contains(&square), "two embeddings as long as one")?;
        Ok("CreateEmbeddingResponse")
    })
    .await;
    tell("embeddings, base64", async {
        let ask = json!({ "model": "text-embedding-3-small", "input": QUESTION, "encoding_format": "base64" });
        let made = client.embeddings().create_base64(request(ask)).await?;
        holds(made.data.len() == 1, "one embedding")?;
        Ok("CreateBase64EmbeddingResponse")
    })
    .await;
    tell("models", async {
        let made = client.models().list().await?;
        holds(!made.data.is_empty(), "there are models")?;
        Ok("ListModelResponse")
    })
    .await;
}

/// Prints what came of a kind of call.
async fn tell(name: &str, made: impl Future<Output = Result<&'static str, Box<dyn Error>>>) {
    let mut told = json!({ "success": name, "provider": "openai" });
    match made.await {
        Ok(parsed) => merge(&mut told, json!({ "parsed": parsed })),
        Err(error) => merge(&mut told, json!({ "failed": error.to_string() })),
    }
    println!("{told}");
}

/// What the crate says of a failure.
fn describe(error: &OpenAIError) -> Value {
    let message = error.to_string();
    match error {
        OpenAIError::ApiError(said) => json!({
            "raised": "ApiError",
            "official": true,
            "status": said.status_code.as_u16(),
            "code": said.api_error.code,
            "type": said.api_error.r#type,
            "message": message,
        }),
        OpenAIError::JSONDeserialize(..) => {
            json!({ "raised": "JSONDeserialize", "official": true, "message": message })
        }
        _ => json!({ "raised": "another error", "official": false, "message": message }),
    }
}

/// A request of the crate's own type.
fn request<T: serde::de::DeserializeOwned>(value: Value) -> T {
    from_value(value).expect("the request is of the crate's type")
}

fn finish(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

fn holds(holds: bool, what: &str) -> Result<(), Box<dyn Error>> {
    if holds { Ok(()) } else { Err(format!("not so: {what}").into()) }
}

/// Fails unless the whole text of an answer arrived: both its marks end with the attempt's name.
fn whole(said: &str) -> Result<(), Box<dyn Error>> {
    let name = said.split(' ').next().and_then(|word| word.strip_prefix("Ax"));
    holds(name.is_some_and(|name| said.ends_with(&format!("Zx{name}"))), said)
}

/// Fails unless a JSON text keeps to the schema.
fn weather(said: &str) -> Result<(), Box<dyn Error>> {
    let value: Value = serde_json::from_str(said)?;
    holds(value["city"].is_string() && value["days"].is_i64(), said)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn merge(into: &mut Value, more: Value) {
    if let (Value::Object(into), Value::Object(more)) = (into, more) {
        into.extend(more);
    }
}
