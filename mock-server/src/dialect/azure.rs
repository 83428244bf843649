//! Azure OpenAI: OpenAI's models behind deployments, as recorded from `openai.azure.com` in 2026.
//!
//! What is asked and answered is OpenAI's; paths, keys, limits, filters and the order of fields
//! are Azure's own.

mod cases;
mod success;

use super::{
    Case, Dialect, Exchange, Fields, Head, Moment, Place, Refusal, Reply, bearer, has, openai,
};
use crate::{
    action::{ErrorKind, HintForm},
    answer::Answer,
    models,
    plan::{ProviderName, Route},
    quota::whole_millis,
    request::Request,
};

/// Azure OpenAI.
#[derive(Debug)]
pub(crate) struct Azure;

impl Dialect for Azure {
    fn name(&self) -> ProviderName {
        ProviderName::Azure
    }

    fn recognises(&self, head: &Head<'_>) -> bool {
        // Google's imitation of OpenAI lies under a path that looks like Azure's.
        has(head.path, b"/openai/") && !has(head.path, b"/v1beta/openai/")
            || head.headers.get("api-key").is_some()
    }

    fn not_found(&self, _: &Head<'_>) -> &'static str {
        "resource"
    }

    fn route(&self, head: &Head<'_>) -> Option<Route> {
        let is_foundry = head.path.ends_with("/models/chat/completions")
            || head.path.ends_with("/models/embeddings");
        if !is_foundry && !self.recognises(head) {
            return None;
        }
        let mut ends = head.path.rsplit('/');
        let (last, before) = (ends.next()?, ends.next().unwrap_or_default());
        match (before, last) {
            ("chat", "completions") => Some(Route::AzureChat),
            (_, "completions") => Some(Route::AzureCompletions),
            (_, "embeddings") => Some(Route::AzureEmbeddings),
            (_, "responses") => Some(Route::AzureResponses),
            _ => None,
        }
    }

    fn main_route(&self) -> Route {
        Route::AzureChat
    }

    fn example_model(&self, route: Route) -> &'static str {
        match route {
            Route::AzureCompletions => "gpt-3.5-turbo-instruct",
            Route::AzureEmbeddings => "text-embedding-3-small",
            _ => "gpt-4o-mini",
        }
    }

    fn read(&self, route: Route, head: &Head<'_>, body: &[u8]) -> Result<Request, Refusal> {
        let not_found = || Refusal::new(ErrorKind::NotFound, "resource");
        let deployment = deployment(head.path);
        if head.method != "POST" || version(head).is_none() && !is_unversioned(head.path) {
            return Err(not_found());
        }
        let Some(key) = head.headers.get("api-key").or_else(|| bearer(head.headers)) else {
            return Err(Refusal::new(ErrorKind::Authentication, "token"));
        };
        let key = key.to_owned();
        let body = openai::json(body)?;
        let named = body.get("model").and_then(serde_json::Value::as_str);
        let named = named.filter(|model| !model.is_empty());
        let model = match (deployment, named) {
            (Some(deployment), _) => deployment.to_owned(),
            (None, Some(model)) => model.to_owned(),
            (None, None) => {
                let refusal = Refusal::new(ErrorKind::BadRequest, "missing-parameter");
                return Err(refusal.word("param", "model"));
            }
        };
        let rules = behind(&model);
        let asked = openai::Asked { route, model: model.clone(), rules, key, head, body };
        let mut request = openai::understand(asked)?;
        // As in HTTP/2 the path is among the headers: some errors name the version in it.
        request.headers.push(":path", &format!("{}?{}", head.path, head.query));
        Ok(request)
    }

    fn answer(&self, exchange: &Exchange<'_>, answer: &Answer) -> Reply {
        success::reply(exchange, answer)
    }

    fn shares_window(&self) -> bool {
        true
    }

    fn cases(&self) -> &'static [Case] {
        &cases::CASES
    }

    fn usual(
        &self,
        kind: ErrorKind,
        place: Place,
        exchange: &Exchange<'_>,
    ) -> Option<&'static str> {
        cases::usual(kind, place, exchange)
    }

    fn word(&self, name: &str, exchange: &Exchange<'_>) -> Option<String> {
        cases::word(name, exchange)
    }

    /// Azure waits in whole seconds, and tells them twice.
    fn hint(&self, exchange: &Exchange<'_>) -> Fields {
        let Some((after, form)) = exchange.decision.action.hint() else { return Vec::new() };
        match form {
            HintForm::Seconds => {
                let seconds = whole_millis(after.0).div_ceil(1_000);
                vec![
                    ("retry-after", seconds.to_string().into()),
                    ("retry-after-ms", (seconds * 1_000).to_string().into()),
                ]
            }
            HintForm::Date | HintForm::Milliseconds => {
                super::retry_after(exchange.decision, exchange.moment.wall)
            }
        }
    }

    fn unknown_model(&self, _: &Exchange<'_>) -> Refusal {
        Refusal::new(ErrorKind::NotFound, "deployment")
    }

    fn needed(&self, request: &Request) -> u64 {
        openai::longest(request)
    }
}

/// The deployment that a path names.
fn deployment(path: &str) -> Option<&str> {
    let (_, after) = path.split_once("/deployments/")?;
    let (deployment, _) = after.split_once('/')?;
    (!deployment.is_empty()).then_some(deployment)
}

/// The version of the API that is asked for: a date, perhaps with `-preview`.
fn version<'a>(head: &Head<'a>) -> Option<&'a str> {
    let mut pairs = head.query.split('&').filter_map(|pair| pair.split_once('='));
    let (_, version) = pairs.find(|(name, _)| *name == "api-version")?;
    let is_date = |text: &str| {
        let mut parts = text.splitn(4, '-');
        let lengths = [4, 2, 2];
        let dated = lengths.iter().all(|length| {
            let part = parts.next().unwrap_or_default();
            part.len() == *length && part.bytes().all(|byte| byte.is_ascii_digit())
        });
        dated && parts.next().is_none_or(|rest| rest == "preview")
    };
    (is_date(version) || matches!(version, "preview" | "latest" | "v1")).then_some(version)
}

/// Whether a path is one of the newer ones, which need no version.
fn is_unversioned(path: &str) -> bool {
    path.contains("/v1/")
}

/// The model behind a deployment: the known one that its name begins with, or else GPT-4o, for its
/// name may be anything.
fn behind(deployment: &str) -> &str {
    let ends = deployment.char_indices().filter(|(_, letter)| !letter.is_alphanumeric());
    let ends = ends.map(|(end, _)| end).chain([deployment.len()]).rev();
    let mut names = ends.map(|end| &deployment[..end]);
    names.find_map(models::known).unwrap_or("gpt-4o")
}

/// An id in the form of a UUID.
fn uuid(moment: &Moment, what: &str) -> String {
    let groups = [8, 4, 4, 4, 12];
    let mut group = 0;
    groups
        .map(|length| {
            group += 1;
            moment.hex(&format!("{what} {group}"), length)
        })
        .join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deployment_is_named_after_its_model_or_not() {
        for (deployment, model) in [
            ("gpt-4o-mini", "gpt-4o-mini"),
            ("gpt-5.2_2025-12-11", "gpt-5.2"),
            ("gpt-4.1-mini-eu", "gpt-4.1-mini"),
            ("gpt-4o-2024-11-20", "gpt-4o-2024-11-20"),
            ("openllmetry-testing", "gpt-4o"),
            ("тест", "gpt-4o"),
            ("", "gpt-4o"),
        ] {
            assert_eq!(behind(deployment), model, "{deployment}");
        }
    }
}
