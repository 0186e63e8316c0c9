//! Out of scope the layer costs nothing: not one allocation, from the call to the body's end. Nor does in scope what is
//! not asked for.
//!
//! In a binary of its own, for the counting allocator is everybody's.
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

/// Gives an answer that was made before.
struct Made(Option<Response<Full<Bytes>>>);

impl Service<Request<()>> for Made {
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

fn made() -> Made {
    let body = Full::from(r#"{"data":[{"api_key_id":"key_a"}]}"#.to_owned());
    let response = Response::builder()
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::ETAG, "\"plain\"")
        .body(body)
        .unwrap();
    Made(Some(response))
}

fn request(uri: &str) -> Request<()> {
    Request::get(uri)
        .header(header::ACCEPT_ENCODING, "gzip, br")
        .header(header::IF_NONE_MATCH, "\"plain\"")
        .body(())
        .unwrap()
}

/// How many allocations it takes to ask, and to read the answer to its end.
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
            panic!("it is ready at once")
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
fn out_of_scope_nothing_is_allocated() {
    let layer = ApiKeyNameLayer::new(SharedKeyNames::new(KeyNames::new([("key_a", "checkout")]).unwrap()))
        .on_outcome(|_, _| {});
    for uri in [
        "/v1/models",
        "/",
        "/v1/organization",
        "/v1/chat/completions?group_by=api_key_name",
        // One that is reported as a near miss, with feature `tracing`, where anyone listens.
        "/openai/v1/organization/costs?group_by=api_key_name",
    ] {
        assert_eq!(cost(made(), uri), 0, "the bare service, which is measured against");
        assert_eq!(cost(layer.layer(made()), uri), 0, "{uri}");
    }
    let in_scope = cost(layer.layer(made()), "/v1/organization/costs?group_by=api_key_name");
    assert!(in_scope > 0, "the counter counts");
}

#[test]
fn who_asks_for_no_names_pays_nothing_for_the_filter() {
    let layer = ApiKeyNameLayer::new(SharedKeyNames::new(KeyNames::new([("key_a", "checkout")]).unwrap()));
    // The first of a process makes what lasts.
    let [_, unasked] = [(); 2].map(|()| cost(layer.layer(made()), "/v1/organization/costs"));
    for query in [
        "start_time=1750000000&limit=5&group_by[]=api_key_id",
        "api_key_ids[]=key_a&api_key_ids%5B%5D=key_b&x=api_key_names&api_key_nam=&api%5Fkey%5Fnamed[]=a,b",
        "API_KEY_NAMED=checkout&api_key_names2=&=api_key_names&&%",
    ] {
        assert_eq!(cost(layer.layer(made()), &format!("/v1/organization/costs?{query}")), unasked, "{query}");
    }
}
