//! Providers whose base URLs are set, but who are not served yet.
//!
//! They answer in their own 404 shape, and every such request is a finding.

use super::{Head, Moment, Provider, Reply};
use crate::plan::ProviderName;

/// Google Gemini.
#[derive(Debug)]
pub(crate) struct Gemini;

impl Provider for Gemini {
    fn name(&self) -> ProviderName {
        ProviderName::Gemini
    }

    fn recognises(&self, head: &Head<'_>) -> bool {
        head.headers.get("x-goog-api-key").is_some()
            || head.path.contains("/v1beta/openai/")
            || head.path.contains("Content") && head.path.contains(':')
    }

    fn not_found(&self, head: &Head<'_>, _: &Moment) -> Reply {
        let headers = vec![
            ("content-type", "application/json; charset=UTF-8".to_owned()),
            ("vary", "Origin".to_owned()),
            ("server", "scaffolding on HTTPServer2".to_owned()),
            ("x-xss-protection", "0".to_owned()),
            ("x-frame-options", "SAMEORIGIN".to_owned()),
            ("server-timing", "gfet4t7; dur=51".to_owned()),
            ("alt-svc", "h3=\":443\"; ma=2592000,h3-29=\":443\"; ma=2592000".to_owned()),
            ("x-content-type-options", "nosniff".to_owned()),
        ];
        let version = if head.path.contains("/v1beta/") { "v1beta" } else { "v1" };
        let (model, method) =
            match head.path.rsplit('/').next().and_then(|last| last.split_once(':')) {
                Some((model, method)) => (model, method),
                None => ("unknown", "generateContent"),
            };
        let message = format!(
            "models/{model} is not found for API version {version}, or is not supported for \
             {method}. Call ModelService.ListModels to see the list of available models and their \
             supported methods."
        );
        let body = serde_json::json!({
            "error": { "code": 404, "message": message, "status": "NOT_FOUND" }
        });
        Reply::whole(404, headers, super::indented(&body, b"  ") + "\n")
    }
}
