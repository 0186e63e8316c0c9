//! The directory against an organization of 250 projects and 12,000 keys, with failures.
#![allow(clippy::unwrap_used)]

mod follower;
mod labels;
mod listing;
mod memory;
mod retries;
mod sync;

use bytes::Bytes;
use http::Request;
use http_body_util::Empty;
use test_support::organization::{Organization, SECRET};
use tower::service_fn;
use tower_api_key_name::KeyNames;
use tower_api_key_name::directory::{AdminKey, Directory, Listing};

fn admin_key() -> AdminKey {
    AdminKey::new(SECRET.into()).unwrap()
}

/// A directory that calls the organization without a socket, so that the clock can be paused.
fn directory(organization: &Organization) -> Directory {
    let organization = organization.clone();
    let service = service_fn(move |request: Request<Empty<Bytes>>| {
        let organization = organization.clone();
        async move { organization.respond(request.into_parts().0).await }
    });
    Directory::openai(service, admin_key())
}

fn assert_names(names: &KeyNames, organization: &Organization) {
    let expected = organization.names();
    let is_wrong = |(id, name): &(&str, &str)| expected.get(*id).is_none_or(|expected| expected != name);
    assert_eq!(names.iter().find(is_wrong), None);
    assert_eq!(names.len(), expected.len());
}

/// The missing lists of a listing, with their reasons.
fn missing(listing: &Listing) -> Vec<String> {
    listing.missing.iter().map(ToString::to_string).collect()
}
