//! The number of allocations: none for a request out of scope, and none for a filter by name that is not used.
//!
//! The tests have a binary of their own because the counting allocator is global.
#![allow(clippy::unwrap_used)]

use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use allocation_counter::measure;
use bytes::Bytes;
use http::{Request, Response, header};
use http_body::Body;
use http_body_util::Full;
use tower::{Layer, Service};
use tower_api_key_name::{ApiKeyNameLayer, KeyNames, SharedKeyNames};

/// A service with one prepared response.
struct Prepared(Option<Response<Full<Bytes>>>);

impl Service<Request<()>> for Prepared {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<()>) -> Self::Future {
        black_box(&request);
        ready(Ok(self.0.take().unwrap()))
    }
}

fn prepared() -> Prepared {
    let body = Full::from(r#"{"data":[{"api_key_id":"key_a"}]}"#.to_owned());
    let response = Response::builder()
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::ETAG, "\"plain\"")
        .body(body)
        .unwrap();
    Prepared(Some(response))
}

fn request(uri: &str) -> Request<()> {
    Request::get(uri)
        .header(header::ACCEPT_ENCODING, "gzip, br")
        .header(header::IF_NONE_MATCH, "\"plain\"")
        .body(())
        .unwrap()
}

/// Returns the number of allocations of one request, to the end of its response.
fn cost<S, B>(mut service: S, uri: &str) -> u64
where
    S: Service<Request<()>, Response = Response<B>, Error = Infallible>,
    B: Body<Data = Bytes, Error = Infallible>,
{
    let request = request(uri);
    let mut context = Context::from_waker(Waker::noop());
    let mut read = 0;
    let info = measure(|| {
        assert!(service.poll_ready(&mut context).is_ready());
        let Poll::Ready(Ok(response)) = pin!(service.call(request)).poll(&mut context) else {
            panic!("the response is ready at once")
        };
        let mut body = pin!(response.into_body());
        black_box((body.size_hint(), body.is_end_stream()));
        while let Poll::Ready(Some(Ok(frame))) = body.as_mut().poll_frame(&mut context) {
            read += frame.into_data().unwrap_or_default().len();
        }
    });
    assert!(read > 0);
    info.count_total
}

#[test]
fn request_out_of_scope_allocates_nothing() {
    let layer = ApiKeyNameLayer::new(SharedKeyNames::new(KeyNames::new([("key_a", "checkout")]).unwrap()))
        .on_outcome(|_, _| {});
    for uri in [
        "/v1/models",
        "/",
        "/v1/organization",
        "/v1/chat/completions?group_by=api_key_name",
        // A near miss, which the feature `tracing` logs if there is a subscriber.
        "/openai/v1/organization/costs?group_by=api_key_name",
    ] {
        assert_eq!(cost(prepared(), uri), 0, "the service without the layer");
        assert_eq!(cost(layer.layer(prepared()), uri), 0, "{uri}");
    }
    let in_scope = cost(layer.layer(prepared()), "/v1/organization/costs?group_by=api_key_name");
    assert!(in_scope > 0, "a request in scope allocates");
}

#[test]
fn query_without_names_allocates_nothing_for_the_filter() {
    let layer = ApiKeyNameLayer::new(SharedKeyNames::new(KeyNames::new([("key_a", "checkout")]).unwrap()));
    // The first request of a process allocates memory that stays.
    let [_, without_query] = [(); 2].map(|()| cost(layer.layer(prepared()), "/v1/organization/costs"));
    for query in [
        "start_time=1750000000&limit=5&group_by[]=api_key_id",
        "api_key_ids[]=key_a&api_key_ids%5B%5D=key_b&x=api_key_names&api_key_nam=&api%5Fkey%5Fnamed[]=a,b",
        "API_KEY_NAMED=checkout&api_key_names2=&=api_key_names&&%",
    ] {
        assert_eq!(
            cost(layer.layer(prepared()), &format!("/v1/organization/costs?{query}")),
            without_query,
            "{query}"
        );
    }
}
