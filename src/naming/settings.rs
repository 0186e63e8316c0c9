//! The settings of a layer. They are shared by one pointer, because a service is often cloned for each request.

use std::sync::Arc;

use bytes::Bytes;
use http::{Response, Uri};

use crate::json::scan::TemplateCache;
use crate::naming::budget::Budget;
use crate::outcome::{Outcome, Refusal, RequestContext};
use crate::{SharedKeyNames, Unmatched};

/// The default of [`ApiKeyNameLayer::limit`](crate::ApiKeyNameLayer::limit), where the choice is explained.
pub const DEFAULT_LIMIT: usize = 2 * 1024 * 1024;

pub(crate) type Scope = Arc<dyn Fn(&Uri) -> bool + Send + Sync>;
pub(crate) type OnOutcome = Arc<dyn Fn(&Outcome, &RequestContext) + Send + Sync>;
pub(crate) type RefusalResponse =
    Arc<dyn Fn(Refusal, &str, &RequestContext) -> Response<Bytes> + Send + Sync>;

#[derive(Clone)]
pub(crate) struct LayerSettings {
    pub(crate) names: SharedKeyNames,
    /// The scanner's templates, shared by all services of one layer.
    pub(crate) templates: Arc<TemplateCache>,
    pub(crate) limit: usize,
    pub(crate) budget: Option<Arc<Budget>>,
    pub(crate) unmatched: Unmatched,
    pub(crate) null_as_unmatched: bool,
    pub(crate) honor_no_transform: bool,
    pub(crate) suggest_names: bool,
    pub(crate) scope: Scope,
    pub(crate) on_outcome: Option<OnOutcome>,
    pub(crate) refusal_response: Option<RefusalResponse>,
}
