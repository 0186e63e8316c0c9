//! The key directory, against an organization of 250 projects and 12,000 keys that has its bad days.
#![allow(clippy::unwrap_used)]

mod binary;
mod file;
mod follow;
mod memory;
mod organization;
mod retries;
mod walks;

use bytes::Bytes;
use http::Request;
use http_body_util::Empty;
use tower::service_fn;
use tower_api_key_name::KeyNames;
use tower_api_key_name::directory::{AdminKey, Directory, Listing};

use organization::{Organization, SECRET};

fn admin_key() -> AdminKey {
    AdminKey::new(SECRET.into()).unwrap()
}

/// A directory that asks this organization directly, without a socket: then the clock can be stopped.
fn directory(organization: &Organization) -> Directory {
    let organization = organization.clone();
    let service = service_fn(move |request: Request<Empty<Bytes>>| {
        let organization = organization.clone();
        async move { organization.answer(request.into_parts().0).await }
    });
    Directory::openai(service, admin_key())
}

fn assert_names(names: &KeyNames, organization: &Organization) {
    let want = organization.names();
    let wrong = |(id, name): &(&str, &str)| want.get(*id).is_none_or(|want| want != name);
    assert_eq!(names.iter().find(wrong), None);
    assert_eq!(names.len(), want.len());
}

/// The lists that a walk could not read, and why.
fn missing(listing: &Listing) -> Vec<String> {
    listing.missing().iter().map(ToString::to_string).collect()
}
