//! The endpoints of the usage API, and the calls that each of them counts.

use http::{Method, Uri};

/// The parameters of all endpoints. Anthropic's SDK adds `beta`, which is ignored.
const COMMON_PARAMETERS: [&str; 10] = [
    "start_time",
    "end_time",
    "bucket_width",
    "limit",
    "page",
    "group_by",
    "project_ids",
    "user_ids",
    "api_key_ids",
    "beta",
];

/// An endpoint of OpenAI's usage API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum UsageEndpoint {
    Completions,
    Embeddings,
    Moderations,
    Images,
    Costs,
}

impl UsageEndpoint {
    pub(super) const ALL: [Self; 5] =
        [Self::Completions, Self::Embeddings, Self::Moderations, Self::Images, Self::Costs];

    /// Returns the endpoint of a request, or `None` for another method or path.
    pub(super) fn find(method: &Method, uri: &Uri) -> Option<Self> {
        if method != Method::GET {
            return None;
        }
        Self::ALL.into_iter().find(|endpoint| endpoint.path() == uri.path())
    }

    fn path(self) -> &'static str {
        match self {
            Self::Completions => "/v1/organization/usage/completions",
            Self::Embeddings => "/v1/organization/usage/embeddings",
            Self::Moderations => "/v1/organization/usage/moderations",
            Self::Images => "/v1/organization/usage/images",
            Self::Costs => "/v1/organization/costs",
        }
    }

    /// True if the results contain the calls of this path. The costs contain all calls.
    pub(super) fn includes_call(self, call_path: &str) -> bool {
        match self {
            Self::Completions => matches!(
                call_path,
                "/v1/chat/completions"
                    | "/v1/completions"
                    | "/v1/responses"
                    | "/v1/responses/compact"
                    | "/v1/messages"
            ),
            Self::Embeddings => call_path == "/v1/embeddings",
            Self::Moderations => call_path == "/v1/moderations",
            Self::Images => call_path == "/v1/images/generations",
            Self::Costs => true,
        }
    }

    /// Returns the dimensions by which the results can be grouped.
    pub(super) fn dimensions(self) -> &'static [&'static str] {
        match self {
            Self::Completions => {
                &["project_id", "user_id", "api_key_id", "model", "batch", "service_tier", "api_source"]
            }
            Self::Embeddings | Self::Moderations => &["project_id", "user_id", "api_key_id", "model"],
            Self::Images => &["project_id", "user_id", "api_key_id", "model", "size", "source"],
            Self::Costs => &["project_id", "user_id", "api_key_id", "line_item", "api_source"],
        }
    }

    /// Returns the parameters of the query: those of all endpoints, and the further filters of this one.
    pub(super) fn parameters(self) -> Vec<&'static str> {
        let further_filters: &[&str] = match self {
            Self::Completions => &["models", "batch"],
            Self::Embeddings | Self::Moderations | Self::Images => &["models"],
            Self::Costs => &["line_items"],
        };
        [&COMMON_PARAMETERS, further_filters].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoint_has_one_method_and_path() {
        for endpoint in UsageEndpoint::ALL {
            let uri: Uri = format!("{}?start_time=1", endpoint.path()).parse().unwrap();
            assert_eq!(UsageEndpoint::find(&Method::GET, &uri), Some(endpoint));
            assert_eq!(UsageEndpoint::find(&Method::HEAD, &uri), None);
            let other_uri: Uri = format!("{}/", endpoint.path()).parse().unwrap();
            assert_eq!(UsageEndpoint::find(&Method::GET, &other_uri), None);
        }
    }
}
