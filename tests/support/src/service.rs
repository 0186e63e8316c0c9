//! A service without a network, and a client for it.

use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::hint::black_box;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, Uri, header};
use http_body::{Body, Frame};
use tower_service::Service;

/// A target in scope.
pub const COSTS: &str = "/v1/organization/costs?start_time=1730419200&group_by=api_key_id";
/// A target out of scope.
pub const MODELS: &str = "/v1/models";

/// A service that returns the same response to each request. Only the headers are allocated.
pub struct FixedService {
    headers: HeaderMap,
    frames: Frames,
}

/// A body in frames of one size.
#[derive(Clone)]
pub struct Frames {
    rest: Bytes,
    chunk: usize,
}

impl FixedService {
    /// Creates a service with this body, in frames of `chunk` bytes.
    pub fn new(body: Bytes, chunk: usize) -> Self {
        Self { headers: HeaderMap::new(), frames: Frames { rest: body, chunk } }
    }

    /// Creates a service with this JSON page, in frames of `chunk` bytes.
    pub fn json(page: &Bytes, chunk: usize) -> Self {
        let mut service = Self::new(page.clone(), chunk);
        service.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        service
    }
}

impl Service<Request<()>> for FixedService {
    type Response = Response<Frames>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<()>) -> Self::Future {
        black_box(&request);
        let mut response = Response::new(self.frames.clone());
        response.headers_mut().clone_from(&self.headers);
        ready(Ok(response))
    }
}

impl Body for Frames {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let size = self.chunk.min(self.rest.len());
        let frame = self.rest.split_to(size);
        Poll::Ready(if frame.is_empty() { None } else { Some(Ok(Frame::data(frame))) })
    }
}

/// A client that repeats one request.
pub struct BenchClient<S> {
    service: S,
    uri: Uri,
}

impl<S, B> BenchClient<S>
where
    S: Service<Request<()>, Response = Response<B>, Error = Infallible>,
    B: Body<Data = Bytes, Error = Infallible>,
{
    pub fn new(service: S, uri: &'static str) -> Self {
        Self { service, uri: Uri::from_static(uri) }
    }

    /// Sends the request, passes the data of each frame to `on_data`, and returns the response without its body.
    pub fn call(&mut self, mut on_data: impl FnMut(Bytes)) -> Response<()> {
        let mut request = Request::new(());
        request.uri_mut().clone_from(&self.uri);
        let mut context = Context::from_waker(Waker::noop());
        let Poll::Ready(Ok(())) = self.service.poll_ready(&mut context) else {
            unreachable!("the service is always ready")
        };
        let Poll::Ready(Ok(response)) = pin!(self.service.call(request)).poll(&mut context) else {
            unreachable!("the response is always ready")
        };
        let (parts, body) = response.into_parts();
        let mut body = pin!(body);
        while let Poll::Ready(Some(Ok(frame))) = body.as_mut().poll_frame(&mut context) {
            on_data(frame.into_data().unwrap_or_default());
        }
        Response::from_parts(parts, ())
    }

    /// Sends the request and drops the response.
    pub fn call_and_drop(&mut self) {
        let response = self.call(|data| drop(black_box(data)));
        black_box(response);
    }
}
