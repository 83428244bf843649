//! Providers whose base URLs are set, but who are not served yet.
//!
//! They answer in their own 404 shape, and every such request is a finding.

use super::{Head, Moment, Provider, Reply};
use crate::plan::ProviderName;

/// Azure OpenAI.
#[derive(Debug)]
pub(crate) struct Azure;

impl Provider for Azure {
    fn name(&self) -> ProviderName {
        ProviderName::Azure
    }

    fn recognises(&self, head: &Head<'_>) -> bool {
        // Google's imitation of OpenAI lies under a path that looks like Azure's.
        head.path.contains("/openai/") && !head.path.contains("/v1beta/openai/")
            || head.headers.get("api-key").is_some()
    }

    fn not_found(&self, _: &Head<'_>, moment: &Moment) -> Reply {
        let groups = [8, 4, 4, 4, 12];
        let request_id =
            groups.map(|length| moment.hex(&format!("apim-{length}"), length)).join("-");
        let headers = vec![
            ("content-type", "application/json".to_owned()),
            (
                "strict-transport-security",
                "max-age=31536000; includeSubDomains; preload".to_owned(),
            ),
            ("apim-request-id", request_id),
            ("x-content-type-options", "nosniff".to_owned()),
            ("x-ms-region", "East US 2".to_owned()),
        ];
        // The space before the message is Azure's.
        Reply::whole(404, headers, r#"{"error":{"code":"404","message": "Resource not found"}}"#)
    }
}
