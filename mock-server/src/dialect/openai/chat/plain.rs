//! A whole answer that is one text and nothing beside it, which is what most clients ask for: only a
//! few words of it are ever others.

use std::sync::LazyLock;

use super::{
    Completion, CompletionTokens, Message, PromptTokens, Usage, Whole, dated, fingerprint, flag,
    id, is_legacy, no_logprobs, pretty, service_tier,
};
use crate::{
    answer::{Answer, Finish},
    dialect::{Exchange, ReplyBody, case::escaped, template::Template},
};

/// The answer, if it is one text and nothing beside it.
pub(super) fn body(
    exchange: &Exchange<'_>,
    answer: &Answer,
    usage: &Usage,
    model: &str,
) -> Option<ReplyBody> {
    let [choice] = &answer.choices[..] else { return None };
    let finish = match choice.finish {
        Finish::Length => "length",
        Finish::Stop | Finish::StopSequence(_) => "stop",
        Finish::ToolCalls => return None,
    };
    let asks = flag(&exchange.request.body, "/logprobs") || is_legacy(exchange);
    if asks || !choice.calls.is_empty() {
        return None;
    }
    let template = if fingerprint(model).is_some() { &WITH_FINGERPRINT } else { &WITHOUT };
    let bytes = template.filled([
        &id(exchange),
        &exchange.moment.wall.as_secs().to_string(),
        &escaped(&dated(model)),
        &escaped(&choice.text),
        finish,
        &usage.prompt_tokens.to_string(),
        &usage.completion_tokens.to_string(),
        &usage.total_tokens.to_string(),
        &usage.completion_tokens_details.reasoning_tokens.to_string(),
        &escaped(service_tier(exchange)),
    ]);
    Some(ReplyBody::Whole(bytes.into()))
}

static WITH_FINGERPRINT: LazyLock<Template<10>> = LazyLock::new(|| template("gpt-4o"));
static WITHOUT: LazyLock<Template<10>> = LazyLock::new(|| template("gpt-5"));

/// The answer of a family of models, with gaps for what differs.
fn template(family: &str) -> Template<10> {
    let (word, number) = (["", "x"], ["0", "1"]);
    let words =
        [word, number, word, word, ["stop", "length"], number, number, number, number, word];
    Template::new(words, |words| {
        let [id, created, model, text, finish, prompt, completion, total, reasoning, tier] = *words;
        let number = |word: &str| word.parse().unwrap_or(0);
        let message = Message {
            role: "assistant",
            content: Some(text.to_owned()),
            function_call: None,
            tool_calls: Vec::new(),
            refusal: None,
            annotations: [],
        };
        let choice = Whole {
            index: 0,
            message,
            logprobs: no_logprobs(family),
            finish_reason: if finish == "stop" { "stop" } else { "length" },
        };
        let completion = Completion {
            id: id.to_owned(),
            object: "chat.completion",
            created: number(created),
            model: model.to_owned(),
            choices: vec![choice],
            usage: &Usage {
                prompt_tokens: number(prompt),
                completion_tokens: number(completion),
                total_tokens: number(total),
                prompt_tokens_details: PromptTokens { cached_tokens: 0, audio_tokens: 0 },
                completion_tokens_details: CompletionTokens {
                    reasoning_tokens: number(reasoning),
                    audio_tokens: 0,
                    accepted_prediction_tokens: 0,
                    rejected_prediction_tokens: 0,
                },
            },
            service_tier: tier,
            system_fingerprint: fingerprint(family),
        };
        match pretty(&completion, "\n") {
            ReplyBody::Whole(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            ReplyBody::Stream(_) => String::new(),
        }
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        answer::Choice,
        dialect::{chat::rendered, indented, openai::OpenAi},
    };

    #[test]
    fn a_plain_answer_is_worded_as_any_other() {
        let said = [json!({ "role": "user", "content": "hi" })];
        for text in ["", "x", "0", "stop", "a \"b\" \\ \n\u{1} é {{id}}"] {
            for (model, tells) in [("gpt-4o-mini", true), ("gpt-5-mini", false)] {
                let choice = Choice {
                    text: text.into(),
                    calls: Vec::new(),
                    finish: Finish::Length,
                    output_tokens: 70,
                };
                let answer = Answer { choices: vec![choice], ..Answer::default() };
                let asked = json!({ "model": model, "messages": said, "service_tier": text });
                let chat = ("POST", "/v1/chat/completions");
                let body = rendered(&OpenAi, chat, &asked, &answer);
                let value: Value = serde_json::from_str(&body).unwrap();
                assert_eq!(body, indented(&value, b"  ") + "\n", "{model} {text}");
                // Several choices are worded without the template.
                let several = Answer { choices: vec![answer.choices[0].clone(); 2], ..answer };
                let mut other: Value =
                    serde_json::from_str(&rendered(&OpenAi, chat, &asked, &several)).unwrap();
                other["choices"].as_array_mut().unwrap().pop();
                other["usage"].clone_from(&value["usage"]);
                assert_eq!(value.to_string(), other.to_string());
                let choice = &value["choices"][0];
                assert_eq!(choice["message"]["content"], text);
                assert_eq!(choice.get("logprobs").is_some(), tells);
                let prompt = value["usage"]["prompt_tokens"].as_u64().unwrap();
                assert_eq!(
                    value["usage"]["total_tokens"].as_u64().unwrap(),
                    prompt + { value["usage"]["completion_tokens"].as_u64().unwrap() }
                );
            }
        }
    }
}
