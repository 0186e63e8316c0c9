//! The layer's settings as plain data, read by every room above the bytes. All of it is behind one pointer,
//! for a service is cloned often and each answer has its share.
use std::sync::Arc;

use http::Uri;

use crate::json::rules::Members;
use crate::json::scan::Learnt;
use crate::naming::total::Total;
use crate::outcome::{Outcome, RequestContext};
use crate::{SharedKeyNames, Unmatched};

/// The members of the APIs' answers, and the dimensions of their queries.
pub const MEMBERS: Members = Members::new("api_key_id", "api_key_name");

/// Why so many says [`ApiKeyNameLayer::limit`](crate::ApiKeyNameLayer::limit).
pub const DEFAULT_LIMIT: usize = 2 * 1024 * 1024;

/// Which requests are in scope.
pub(crate) type Scope = Arc<dyn Fn(&Uri) -> bool + Send + Sync>;

/// The callback for final outcomes.
pub(crate) type OnOutcome = Arc<dyn Fn(&Outcome, &RequestContext) + Send + Sync>;

#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) names: SharedKeyNames,
    /// What answers have taught of their form; shared by all services of one layer.
    pub(crate) learnt: Arc<Learnt>,
    pub(crate) limit: usize,
    pub(crate) total: Option<Arc<Total>>,
    pub(crate) unmatched: Unmatched,
    pub(crate) null_as_unmatched: bool,
    pub(crate) honor_no_transform: bool,
    pub(crate) suggest_names: bool,
    pub(crate) scope: Scope,
    pub(crate) on_outcome: Option<OnOutcome>,
}
