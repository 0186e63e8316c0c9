//! The settings of a layer. They are shared by one pointer, because a service is often cloned for each request.

use std::sync::Arc;

use bytes::Bytes;
use http::{Response, Uri};

use crate::SharedKeyNames;
use crate::budget::Budget;
use crate::json::amend::LabelTemplates;
use crate::json::rules::{NamePosition, Rules};
use crate::names::LabelSet;
use crate::outcome::{Outcome, Refusal, RequestContext};

/// The default of [`ApiKeyNameLayer::limit`](crate::ApiKeyNameLayer::limit), where the choice is explained.
pub const DEFAULT_LIMIT: usize = 2 * 1024 * 1024;

/// Parts of the paths of usage and cost reports. `/usage` is also the beginning of `/usage_report`.
const REPORTS: [&str; 4] = ["/usage", "/costs", "/cost_report", "/analytics/"];

/// The requests whose responses get names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum InsertNames {
    /// All requests in scope. The default: dashboards need no change.
    #[default]
    Always,
    /// The requests that group or filter by a name, for the labels of these names.
    Requested,
}

/// The form of the error responses that the layer sends itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorForm {
    /// `{"error":{"message":…,"type":…,"param":…,"code":…}}`
    OpenAi,
    /// `{"type":"error","error":{"type":…,"message":…}}`, without a `request_id`, because no request was made.
    Anthropic,
}

pub(crate) type Scope = Arc<dyn Fn(&Uri) -> bool + Send + Sync>;
pub(crate) type OnOutcome = Arc<dyn Fn(&Outcome, &RequestContext) + Send + Sync>;
pub(crate) type RefusalResponse =
    Arc<dyn Fn(Refusal, &str, &RequestContext) -> Response<Bytes> + Send + Sync>;

#[derive(Clone)]
pub(crate) struct LayerSettings {
    pub(crate) names: SharedKeyNames,
    /// The scanner's templates, shared by all services of one layer.
    pub(crate) templates: Arc<LabelTemplates>,
    pub(crate) limit: usize,
    pub(crate) budget: Option<Arc<Budget>>,
    /// The rules of each amender. The window and the active labels depend on the limit and on the request.
    pub(crate) rules: Rules,
    pub(crate) insert_names: InsertNames,
    /// `None` for the form of the provider that the path belongs to.
    pub(crate) error_form: Option<ErrorForm>,
    pub(crate) honor_no_transform: bool,
    pub(crate) suggest_names: bool,
    pub(crate) scope: Scope,
    pub(crate) on_outcome: Option<OnOutcome>,
    pub(crate) refusal_response: Option<RefusalResponse>,
}

impl LayerSettings {
    /// The default settings. The setters of [`ApiKeyNameLayer`](crate::ApiKeyNameLayer) give the reasons.
    pub(crate) fn new(names: SharedKeyNames) -> Self {
        Self {
            names,
            templates: Arc::default(),
            limit: DEFAULT_LIMIT,
            budget: None,
            rules: Rules::new(DEFAULT_LIMIT as u64),
            insert_names: InsertNames::default(),
            error_form: None,
            honor_no_transform: false,
            suggest_names: false,
            scope: Arc::new(is_organization),
            on_outcome: None,
            refusal_response: None,
        }
    }
}

impl LayerSettings {
    /// Returns the labels that apply to a path in scope. In place of ids, names are sent only in usage and cost
    /// responses, so no label applies to other paths.
    pub(crate) fn labels_of_path(&self, path: &str) -> LabelSet {
        let labels_of_others = match self.rules.position {
            NamePosition::Beside => LabelSet::KEYS,
            NamePosition::Replace => LabelSet::default(),
        };
        let labels_of_reports = self.rules.labels.all();
        // The searches in the path are not needed if the result is the same.
        if labels_of_reports != labels_of_others && REPORTS.iter().any(|report| path.contains(report)) {
            labels_of_reports
        } else {
            labels_of_others
        }
    }

    /// Returns the labels that are named in the response to a request with names of the labels `requested`.
    pub(crate) fn labels_of_response(&self, labels_of_path: LabelSet, requested: LabelSet) -> LabelSet {
        match self.insert_names {
            InsertNames::Always => labels_of_path,
            InsertNames::Requested => labels_of_path.and(requested),
        }
    }
}

fn is_organization(uri: &Uri) -> bool {
    let path = uri.path();
    path.starts_with("/v1/organization/") || path.starts_with("/v1/organizations/")
}
