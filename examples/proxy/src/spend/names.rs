//! The names that a query needs: known names, and those of the provider's lists.
use tower::BoxError;
use tower_api_key_name::directory::{AdminKey, Directory, Listing, ListingProgress};
use tower_api_key_name::names::{KeyNames, Provider, Snapshot};

use super::cost_api::CostApi;
use super::query::{Dimension, SpendQuery};
use crate::by_provider::ByProvider;
use crate::settings::ProxySettings;
use crate::sync;

/// The id member of keys.
const KEY_ID: &str = "api_key_id";

/// The names of the providers, with sentences about the names that are missing.
#[derive(Debug)]
pub(super) struct SpendNames {
    pub names: ByProvider<KeyNames>,
    /// One sentence for each list that could not be read.
    pub missing: Vec<String>,
    /// One sentence for each provider that has ids without a usable name.
    pub notes: Vec<String>,
}

/// Returns the names of each provider whose key is given.
///
/// An error means that TLS cannot be configured, or that the names of a list are invalid.
pub(super) async fn read_names(
    query: &SpendQuery,
    keys: &ByProvider<Option<AdminKey>>,
    known_names: &ByProvider<Option<Snapshot>>,
    settings: &ProxySettings,
    on_listing: impl Fn(Provider, ListingProgress) + Clone + Send + Sync + 'static,
) -> Result<SpendNames, BoxError> {
    let names = ByProvider::both(KeyNames::default());
    let mut result = SpendNames { names, missing: Vec::new(), notes: Vec::new() };
    for provider in query.providers.iter().copied() {
        let Some(key) = keys.get(provider) else { continue };
        let on_progress = on_listing.clone();
        let lists = sync::directory(provider, key.clone(), settings.base.get(provider), &settings.roots)?
            .labels(settings.labels.clone())
            .on_progress(move |progress| on_progress(provider, progress));
        let known = known_names.get(provider).as_deref();
        result.add_provider(provider, &lists, known, query).await?;
    }
    Ok(result)
}

impl SpendNames {
    /// Adds the names of a provider. The lists are read only if the known names lack a section that the query needs.
    async fn add_provider(
        &mut self,
        provider: Provider,
        lists: &Directory,
        known_names: Option<&KeyNames>,
        query: &SpendQuery,
    ) -> Result<(), BoxError> {
        let api = CostApi::of(provider);
        let mut unknown_members = needed_id_members(query, api);
        if let Some(known) = known_names {
            unknown_members.retain(|id_member| known.section(id_member).is_none());
            *self.names.get_mut(provider) = known.clone();
        }
        if unknown_members.is_empty() {
            return Ok(());
        }
        let needs_keys = unknown_members.contains(&KEY_ID);
        let listing = if needs_keys { lists.list().await } else { lists.list_without_keys().await };
        for sentence in sync::missing_lines(&listing.missing) {
            self.missing.push(format!("{}: names: {sentence}", api.display_name));
        }
        match listing.left_out {
            0 => {}
            1 => self.notes.push(format!("{}: 1 id has no usable name", api.display_name)),
            count => self.notes.push(format!("{}: {count} ids have no usable name", api.display_name)),
        }
        let names = match known_names {
            Some(known) => add_listing(known.clone(), &listing)?,
            None => KeyNames::clone(&listing.names),
        };
        *self.names.get_mut(provider) = names;
        Ok(())
    }
}

/// Returns the id members whose names a query needs.
fn needed_id_members(query: &SpendQuery, api: &CostApi) -> Vec<&'static str> {
    let mut members = Vec::new();
    if query.groups_by_any(&[Dimension::KeyName]) {
        members.push(KEY_ID);
    }
    if query.groups_by_any(&[Dimension::ProjectName]) {
        members.push(api.project_id_member);
    }
    if query.groups_by_any(&[Dimension::UserName]) {
        members.push("user_id");
    }
    members
}

/// Adds the sections of a listing that `names` lacks. Known names have priority, because a user may have written them.
fn add_listing(mut names: KeyNames, listing: &Listing) -> Result<KeyNames, BoxError> {
    for id_member in listing.names.section_names() {
        if let Some(section) = listing.names.section(id_member)
            && names.section(id_member).is_none()
        {
            names = names.with_section(id_member, section.iter())?;
        }
    }
    Ok(names)
}
