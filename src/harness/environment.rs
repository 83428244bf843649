//! The variables that point every SDK at a base URL, with keys that open nothing.

use mock_server::units::Rate;

use crate::{
    lab::statistics::number,
    scenario::{ArrivalSpread, Arrivals, Client},
};

/// A variable of a command's environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Its value; none takes it away.
    pub value: Option<String>,
}

/// Where a variable points: the server itself, a path of it, or nowhere.
enum Points {
    Away,
    Fixed(&'static str),
    Root,
    Under(&'static str),
}

/// What each client reads, as found in its source.
const VARIABLES: [(&str, Points); 49] = [
    // openai (Python, Node), langchain-openai, litellm, the AI SDK, async-openai.
    ("OPENAI_BASE_URL", Points::Under("/v1")),
    ("OPENAI_API_BASE", Points::Under("/v1")),
    ("OPENAI_API_KEY", Points::Fixed("sk-brownout-fake-key")),
    ("OPENAI_ORG_ID", Points::Away),
    ("OPENAI_ORGANIZATION", Points::Away),
    ("OPENAI_PROJECT_ID", Points::Away),
    ("OPENAI_CUSTOM_HEADERS", Points::Away),
    // anthropic (Python, Node), langchain-anthropic, litellm.
    ("ANTHROPIC_BASE_URL", Points::Root),
    ("ANTHROPIC_API_URL", Points::Root),
    ("ANTHROPIC_API_BASE", Points::Root),
    ("ANTHROPIC_API_KEY", Points::Fixed("sk-ant-brownout-fake-key")),
    ("ANTHROPIC_AUTH_TOKEN", Points::Away),
    ("ANTHROPIC_CUSTOM_HEADERS", Points::Away),
    // google-genai, litellm.
    ("GOOGLE_GEMINI_BASE_URL", Points::Root),
    ("GOOGLE_VERTEX_BASE_URL", Points::Root),
    ("GEMINI_API_BASE", Points::Root),
    ("GOOGLE_API_KEY", Points::Fixed("brownout-fake-key")),
    ("GEMINI_API_KEY", Points::Fixed("brownout-fake-key")),
    // Azure OpenAI.
    ("AZURE_OPENAI_ENDPOINT", Points::Root),
    ("AZURE_OPENAI_API_KEY", Points::Fixed("brownout-fake-key")),
    ("AZURE_OPENAI_AD_TOKEN", Points::Away),
    ("OPENAI_API_VERSION", Points::Fixed("2024-10-21")),
    ("AZURE_API_BASE", Points::Root),
    // cohere.
    ("CO_API_URL", Points::Root),
    ("CO_API_KEY", Points::Fixed("brownout-fake-key")),
    // ollama, litellm.
    ("OLLAMA_HOST", Points::Root),
    ("OLLAMA_API_BASE", Points::Root),
    ("OLLAMA_API_KEY", Points::Away),
    // litellm.
    ("MISTRAL_API_BASE", Points::Under("/mistral/v1")),
    ("OPENROUTER_API_BASE", Points::Under("/openrouter/api/v1")),
    // boto3.
    ("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", Points::Root),
    ("AWS_ACCESS_KEY_ID", Points::Fixed("AKIABROWNOUTFAKEKEY0")),
    ("AWS_SECRET_ACCESS_KEY", Points::Fixed("brownout-fake-secret")),
    ("AWS_SESSION_TOKEN", Points::Away),
    ("AWS_PROFILE", Points::Away),
    // The AWS SDKs send one over TLS only.
    ("AWS_BEARER_TOKEN_BEDROCK", Points::Away),
    ("GOOGLE_APPLICATION_CREDENTIALS", Points::Away),
    ("AWS_REGION", Points::Fixed("us-east-1")),
    ("AWS_DEFAULT_REGION", Points::Fixed("us-east-1")),
    // A proxy would take the requests elsewhere.
    ("HTTP_PROXY", Points::Away),
    ("HTTPS_PROXY", Points::Away),
    ("ALL_PROXY", Points::Away),
    ("http_proxy", Points::Away),
    ("https_proxy", Points::Away),
    ("all_proxy", Points::Away),
    ("NO_PROXY", Points::Fixed("127.0.0.1,localhost")),
    ("no_proxy", Points::Fixed("127.0.0.1,localhost")),
    // litellm fetches a price list when it is imported, unless told not to.
    ("LITELLM_LOCAL_MODEL_COST_MAP", Points::Fixed("True")),
    // Output that a pipe holds back would be lost at the time limit.
    ("PYTHONUNBUFFERED", Points::Fixed("1")),
];

/// The variables for a server, and whatever must be taken away from the given environment.
///
/// `inherited` are the names that the command would inherit: other providers' keys among them are
/// replaced, because a command under test must not be able to reach anybody for real.
pub fn variables(
    root: &str,
    seed: u64,
    scenario: &str,
    inherited: impl IntoIterator<Item = String>,
) -> Vec<Variable> {
    let mut variables: Vec<Variable> = inherited
        .into_iter()
        .filter(|name| {
            let name = name.to_ascii_uppercase();
            ["_KEY", "_TOKEN", "_SECRET"].iter().any(|ending| name.ends_with(ending))
                || name.starts_with("AWS_BEARER_TOKEN")
        })
        .map(|name| Variable { name, value: Some("brownout-fake-key".to_owned()) })
        .collect();
    let known = VARIABLES.iter().map(|(name, points)| Variable {
        name: (*name).to_owned(),
        value: match points {
            Points::Away => None,
            Points::Fixed(value) => Some((*value).to_owned()),
            Points::Root => Some(root.to_owned()),
            Points::Under(path) => Some(format!("{root}{path}")),
        },
    });
    variables.extend(known);
    let own = [
        ("BROWNOUT_URL", root.to_owned()),
        ("BROWNOUT_SEED", format!("{seed:#x}")),
        ("BROWNOUT_SCENARIO", scenario.to_owned()),
    ];
    variables
        .extend(own.map(|(name, value)| Variable { name: name.to_owned(), value: Some(value) }));
    variables
}

/// What tells a load generator about the work that it is to do; what the work does not have is taken away.
///
/// The rate is in calls per second, and times are in seconds.
pub fn work_variables(client: &Client) -> Vec<Variable> {
    let arrivals = client.arrivals;
    let in_turn = |value: Option<u32>| match arrivals {
        None => Some(value.unwrap_or(1).to_string()),
        Some(_) => None,
    };
    let spread = |arrivals: Arrivals| match arrivals.spread {
        ArrivalSpread::Even => "even",
        ArrivalSpread::Random => "random",
    };
    let rate = |rate: Rate| number(rate.count) / rate.period().as_secs_f64();
    let work = [
        ("BROWNOUT_CALLS", in_turn(client.calls)),
        ("BROWNOUT_CONCURRENCY", in_turn(client.concurrency)),
        ("BROWNOUT_RATE", arrivals.map(|arrivals| rate(arrivals.rate).to_string())),
        ("BROWNOUT_SECONDS", arrivals.map(|arrivals| arrivals.r#for.0.as_secs_f64().to_string())),
        ("BROWNOUT_SPREAD", arrivals.map(|arrivals| spread(arrivals).to_owned())),
        ("BROWNOUT_PROMPT_TOKENS", client.prompt.tokens.map(|tokens| tokens.to_string())),
        ("BROWNOUT_OUTPUT_TOKENS", client.output_tokens.map(|tokens| tokens.to_string())),
    ];
    work.map(|(name, value)| Variable { name: name.to_owned(), value }).into()
}

/// The base URL of each provider, with the variable that its own clients read, if they read one.
pub fn provider_urls(root: &str) -> [(&'static str, Option<&'static str>, String); 9] {
    let at = |path: &str| format!("{root}{path}");
    [
        ("openai", Some("OPENAI_BASE_URL"), at("/v1")),
        ("azure", Some("AZURE_OPENAI_ENDPOINT"), at("")),
        ("anthropic", Some("ANTHROPIC_BASE_URL"), at("")),
        ("gemini", Some("GOOGLE_GEMINI_BASE_URL"), at("")),
        ("bedrock", Some("AWS_ENDPOINT_URL_BEDROCK_RUNTIME"), at("")),
        ("cohere", Some("CO_API_URL"), at("")),
        ("mistral", None, at("/mistral")),
        ("ollama", Some("OLLAMA_HOST"), at("")),
        ("openrouter", None, at("/openrouter/api/v1")),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_generator_is_told_the_work_that_there_is() {
        let told = |client: serde_json::Value| {
            let client: Client = serde_json::from_value(client).unwrap();
            let told = work_variables(&client).into_iter().map(|variable| variable.value);
            told.map(Option::unwrap_or_default).collect::<Vec<String>>()
        };
        let rate = serde_json::json!({
            "arrivals": { "rate": "90/min", "for": "2min", "spread": "random" },
            "prompt": { "tokens": "20..900" }, "output-tokens": 40
        });
        assert_eq!(told(rate), ["", "", "1.5", "120", "random", "20..900", "40"]);
        let in_turn = serde_json::json!({ "calls": 12 });
        assert_eq!(told(in_turn), ["12", "1", "", "", "", "", ""]);
    }

    #[test]
    fn no_key_of_ours_reaches_a_command() {
        let inherited = ["MISTRAL_API_KEY", "HF_TOKEN", "PATH", "OPENAI_API_KEY"];
        let variables = variables("http://127.0.0.1:1", 7, "a/b", inherited.map(str::to_owned));
        let value = |name: &str| {
            let variable = variables.iter().rfind(|variable| variable.name == name);
            variable.map(|variable| variable.value.clone())
        };
        assert_eq!(value("MISTRAL_API_KEY"), Some(Some("brownout-fake-key".to_owned())));
        assert_eq!(value("HF_TOKEN"), Some(Some("brownout-fake-key".to_owned())));
        assert_eq!(value("PATH"), None);
        assert_eq!(value("OPENAI_API_KEY"), Some(Some("sk-brownout-fake-key".to_owned())));
        assert_eq!(value("OPENAI_BASE_URL"), Some(Some("http://127.0.0.1:1/v1".to_owned())));
        assert_eq!(value("HTTPS_PROXY"), Some(None));
        assert_eq!(value("BROWNOUT_SEED"), Some(Some("0x7".to_owned())));
    }
}
