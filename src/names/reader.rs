//! `MapReader`: the settings with which maps are read.

use super::parse::parse;
use super::{KeyNames, KeyNamesError, Labels, Provider};

/// The settings with which a map is read: the labels whose sections it may contain, and the provider.
///
/// [`KeyNames::from_json`] and [`SharedKeyNames::watch`](crate::SharedKeyNames) use the defaults.
///
/// ```
/// use tower_api_key_name::names::MapReader;
///
/// let map = br#"{"api_key_id": {"key_1": "checkout"}, "project_id": {"proj_1": "storefront"}}"#;
/// let names = MapReader::default().read(map)?;
/// assert_eq!(names.name("key_1"), Some("checkout"));
/// # Ok::<(), tower_api_key_name::KeyNamesError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct MapReader {
    labels: Labels,
    provider: Option<Provider>,
}

impl MapReader {
    /// Sets the labels that are on. Default: the label for keys.
    ///
    /// A map may contain the sections of these labels, and those of the ids that the APIs use: `api_key_id`,
    /// `project_id`, `user_id`, `workspace_id` and `service_account_id`. Another section is an error, because it is
    /// probably a misspelling.
    #[must_use]
    pub fn labels(mut self, labels: Labels) -> Self {
        self.labels = labels;
        self
    }

    /// Reads only this provider's section of a map that has a section for each provider. Default: the sections of all
    /// providers are merged.
    #[must_use]
    pub fn provider(mut self, provider: Provider) -> Self {
        self.provider = Some(provider);
        self
    }

    /// Reads a map from JSON in UTF-8. A byte order mark is ignored (RFC 8259 §8.1). The map has one of these forms:
    ///
    /// - **Names of keys**, `{"key_…": "name", …}`. Every entry must keep the rules of [`KeyNames`].
    /// - **Sections**, `{"api_key_id": {"key_…": "name"}, "project_id": {"proj_…": "name"}}`: the names of each label.
    /// - **Providers**, `{"openai": {"api_key_id": {…}}, "anthropic": {"api_key_id": {…}}}`: the sections of each
    ///   provider.
    /// - **A list page** of keys, as saved by `curl`: an object whose `data` is an array. Only the `id` and `name` of
    ///   each item are read. The user did not write the page, so an unusable item is no error: see
    ///   [`KeyNames::left_out`]. If an id occurs more than once, the first item counts.
    ///
    /// `{}` is an empty map for all labels.
    ///
    /// # Errors
    ///
    /// Returns the defect, its line and column, and a remedy. The error never repeats the input.
    pub fn read(&self, json: &[u8]) -> Result<KeyNames, KeyNamesError> {
        parse(json, &self.labels, self.provider)
    }
}

impl KeyNames {
    /// Parses a map from JSON, in the forms of [`MapReader::read`].
    ///
    /// # Errors
    ///
    /// Returns the defect, its line and column, and a remedy. The error never repeats the input.
    pub fn from_json(json: &[u8]) -> Result<Self, KeyNamesError> {
        MapReader::default().read(json)
    }
}
