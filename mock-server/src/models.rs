//! What is known of the models: windows, output limits, tokenizers, dated names.

use std::sync::LazyLock;

use foldhash::fast::RandomState;
use indexmap::IndexMap;
use serde::Deserialize;

/// What is known of one model; each entry of `models.json` names its source.
#[derive(Clone, Debug, Deserialize)]
pub struct ModelFacts {
    /// The window in tokens, input and output together.
    pub context_window: u64,
    /// The most input tokens, where the provider states it apart from the window.
    pub max_input_tokens: Option<u64>,
    /// The most output tokens of one answer.
    pub max_output_tokens: Option<u64>,
    /// How long the vectors of an embedding model are.
    pub dimensions: Option<u64>,
    /// The tokenizer, or `approx` if none is public.
    pub encoding: Option<String>,
    /// The dated name that answers carry when the alias was asked for.
    pub resolved_model: Option<String>,
}

static MODELS: LazyLock<IndexMap<String, ModelFacts, RandomState>> = LazyLock::new(|| {
    serde_json::from_str(include_str!("models.json")).expect("models.json is checked by a test")
});

/// The facts of a model, by its name or by the longest known name that it begins with.
///
/// Names that others gave it are understood: `anthropic/claude-haiku-4.5` with the vendor before it
/// and dots in its version, `gpt-oss:20b` with a tag, and Bedrock's, which puts accounts, regions
/// and makers before a name, as in `us.anthropic.claude-haiku-4-5-20251001-v1:0`.
pub fn facts(model: &str) -> Option<&'static ModelFacts> {
    if let Some(facts) = named(model) {
        return Some(facts);
    }
    let last = model.rsplit('/').next().unwrap_or(model);
    let bare = last.replace(':', "-");
    let dashed = bare.starts_with("claude-").then(|| bare.replace('.', "-"));
    let parts = last.match_indices('.').filter_map(|(dot, _)| {
        let before = last[..dot].chars().all(|letter| letter.is_ascii_lowercase() || letter == '.');
        before.then(|| &last[dot + 1..])
    });
    let own = [Some(bare.as_str()), dashed.as_deref(), Some(last)];
    own.into_iter().flatten().chain(parts).find_map(named)
}

fn named(model: &str) -> Option<&'static ModelFacts> {
    if let Some(facts) = MODELS.get(model) {
        return Some(facts);
    }
    // A dated name such as `gpt-4o-mini-2024-07-18` belongs to its alias.
    MODELS
        .iter()
        .filter(|(name, _)| {
            model.strip_prefix(name.as_str()).is_some_and(|rest| rest.starts_with('-'))
        })
        .max_by_key(|(name, _)| name.len())
        .map(|(_, facts)| facts)
}

/// The name under which a model is known; none if it is only known by a name that it begins with.
pub fn known(model: &str) -> Option<&'static str> {
    MODELS.get_key_value(model).map(|(name, _)| name.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aliases_and_dated_names_share_their_facts() {
        let window = |model: &str| facts(model).map(|facts| facts.context_window);
        assert_eq!(window("gpt-4o-mini"), Some(128_000));
        assert_eq!(window("gpt-4o-mini-2099-01-01"), Some(128_000));
        assert_eq!(window("claude-haiku-4-5-20251001"), Some(200_000));
        assert_eq!(window("gpt-4ox"), None);
        assert_eq!(window("anthropic/claude-haiku-4.5"), Some(200_000));
        assert_eq!(window("openai/gpt-4.1:free"), window("gpt-4.1"));
        assert_eq!(window("gpt-oss:20b"), Some(131_072));
        assert_eq!(window("us.amazon.nova-pro-v1:0"), Some(300_000));
        assert_eq!(window("us.anthropic.claude-haiku-4-5-20251001-v1:0"), Some(200_000));
        let profile = "arn:aws:bedrock:eu-west-1:123456789012:inference-profile/";
        assert_eq!(window(&format!("{profile}eu.amazon.nova-micro-v1:0")), Some(128_000));
        assert_eq!(window("my-own.gpt-4o"), None);
        assert_eq!(
            facts("claude-haiku-4-5").unwrap().resolved_model.as_deref(),
            Some("claude-haiku-4-5-20251001")
        );
    }
}
