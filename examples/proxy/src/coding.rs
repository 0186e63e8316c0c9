//! Content codings. tower-http's layers add and remove them; the functions here correct their faults.

use std::convert::Infallible;
use std::future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, ETAG, Entry, VARY};
use http::{Extensions, HeaderMap, HeaderValue, Request, Response, StatusCode, Version};
use http_body::{Body, Frame};
use http_body_util::Either;
use pin_project_lite::pin_project;
use tower::{Service, ServiceExt, service_fn};
use tower_http::CompressionLevel;
use tower_http::compression::predicate::{DefaultPredicate, Predicate};
use tower_http::compression::{Compression, CompressionBody};
use tower_http::decompression::{Decompression, DecompressionBody};

use crate::http_service::HttpService;
use crate::upstream::failure::Failure;

/// A body as it was received, or decoded.
pub type DecodedBody<B> = Either<B, Pin<Box<DecompressionBody<TailBody<B>>>>>;

/// A body as it is, or compressed.
pub type CompressedBody<B> = Either<B, Pin<Box<CompressionBody<B>>>>;

/// Headers that identify bytes which a coding changes: digests (RFC 9530 and those that it replaces) and ranges.
const BYTE_VALIDATORS: [&str; 5] =
    ["content-digest", "repr-digest", "digest", "content-md5", "accept-ranges"];

/// The value of Accept-Encoding in place of the client's.
const HIDDEN: HeaderValue = HeaderValue::from_static("hidden");

/// A request extension with the values of Accept-Encoding that the naming layer must not see.
#[derive(Clone)]
struct HiddenCodings(Vec<HeaderValue>);

/// The extension of a response that passes as it is, because the naming layer did not change its request.
#[derive(Clone)]
pub struct PassThrough;

pin_project! {
    /// A coded body whose last byte is in its own frame.
    ///
    /// tower-http's decoder stops at the end of the first gzip member or of the brotli stream. It reports an error for
    /// bytes that follow in another frame (tower-http#712), and discards those in the same frame, so that a response
    /// could lose rows without an error. A gzip file of several members (RFC 1952 §2.2) is therefore an error too
    /// (tower-http#737).
    pub struct TailBody<B> {
        #[pin]
        inner: B,
        // The last byte of a frame whose other bytes were returned.
        last_byte: Option<Bytes>,
    }
}

/// Returns a service that compresses whole responses for clients that accept gzip or brotli, but not [`PassThrough`] ones.
pub fn with_compression<A, B: Body>(
    inner: impl HttpService<A, B, Infallible>,
) -> impl HttpService<A, CompressedBody<B>, Infallible> {
    // 204, 205 and 304 have no content (RFC 9110 §15.3.5, §15.3.6, §15.4.5). 206 is a part of a body (§15.3.7): tower-http
    // excludes only parts with Content-Range (tower-http#446), and a part with several ranges has none.
    let has_whole_content = |status: StatusCode, _: Version, _: &HeaderMap, extensions: &Extensions| {
        let passes = extensions.get::<PassThrough>().is_some();
        !passes && !matches!(status.as_u16(), 204 | 205 | 206 | 304)
    };
    let predicate = DefaultPredicate::new().and(has_whole_content);
    // The fastest level, because most clients run on the same machine.
    let mut compression = Compression::new(inner).quality(CompressionLevel::Fastest).compress_when(predicate);
    service_fn(move |request: Request<A>| {
        let accepts_codings = request.headers().contains_key(ACCEPT_ENCODING);
        let compressed_or_plain = if accepts_codings {
            Either::Left(compression.call(request))
        } else {
            // tower-http's body has a size of several KB and is moved often, also if it compresses nothing.
            Either::Right(compression.get_mut().call(request))
        };
        async move {
            let mut response = match compressed_or_plain {
                Either::Left(compressed) => return Ok(finish_compression(compressed.await?)),
                Either::Right(plain) => plain.await?,
            };
            let passes = response.extensions().get::<PassThrough>().is_some();
            if !passes && !response.headers().contains_key(CONTENT_ENCODING) {
                // RFC 9110 §12.5.5: with Accept-Encoding the response may be another one.
                response.headers_mut().append(VARY, ACCEPT_ENCODING.into());
            }
            Ok(response.map(Either::Left))
        }
    })
}

/// Corrects the validators of a compressed response, and boxes its body, which has a size of several KB.
fn finish_compression<B: Body>(response: Response<CompressionBody<B>>) -> Response<CompressedBody<B>> {
    if supported_coding(&response).is_none() {
        return response.map(|body| Either::Left(body.into_inner()));
    }
    let mut compressed = response.map(|body| Either::Right(Box::pin(body)));
    weaken_validators(compressed.headers_mut());
    compressed
}

/// Replaces Accept-Encoding, or its absence, by an extension of the request.
///
/// The header gets a placeholder. The naming layer removes Accept-Encoding from each request whose response it may change.
/// If the placeholder is still there below that layer, [`restore_accept_encoding`] puts the client's header back.
pub fn hide_accept_encoding<B>(mut request: Request<B>) -> Request<B> {
    let headers = request.headers_mut();
    // The codings of a HEAD request are hidden above the compression layer.
    if headers.get(ACCEPT_ENCODING) == Some(&HIDDEN) {
        return request;
    }
    let hidden = take_codings(headers);
    headers.insert(ACCEPT_ENCODING, HIDDEN);
    if let Some(hidden) = hidden {
        request.extensions_mut().insert(hidden);
    }
    request
}

/// Restores the Accept-Encoding of a request that the naming layer did not change. Returns false for another request.
pub fn restore_accept_encoding<B>(request: &mut Request<B>) -> bool {
    if request.headers().get(ACCEPT_ENCODING) != Some(&HIDDEN) {
        return false;
    }
    let hidden = request.extensions_mut().remove::<HiddenCodings>();
    let headers = request.headers_mut();
    headers.remove(ACCEPT_ENCODING);
    for value in hidden.map_or_else(Vec::new, |hidden| hidden.0) {
        headers.append(ACCEPT_ENCODING, value);
    }
    true
}

/// Removes Accept-Encoding. Returns `None` if the header is absent.
fn take_codings(headers: &mut HeaderMap) -> Option<HiddenCodings> {
    let Entry::Occupied(entry) = headers.entry(ACCEPT_ENCODING) else { return None };
    let (_, values) = entry.remove_entry_mult();
    Some(HiddenCodings(values.collect()))
}

/// Returns a service that requests codings and decodes the responses. A request that the naming layer has left as it is
/// passes with its own codings, and so does its response.
pub fn with_decoding<A, B: Body<Data = Bytes> + Send + 'static>(
    mut inner: impl HttpService<A, B, Failure>,
) -> impl HttpService<A, DecodedBody<B>, Failure> {
    service_fn(move |mut request: Request<A>| {
        let passes = restore_accept_encoding(&mut request);
        if !passes {
            request.headers_mut().insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip,br"));
        }
        let future = inner.call(request);
        async move {
            let mut response = future.await?;
            if passes {
                response.extensions_mut().insert(PassThrough);
            }
            decode(response).await
        }
    })
}

/// Decodes a response in gzip or brotli, and passes any other on unchanged.
async fn decode<B: Body<Data = Bytes>>(response: Response<B>) -> Result<Response<DecodedBody<B>>, Failure> {
    match supported_coding(&response) {
        // In a box, so that the future of an uncoded response stays small.
        Some(coding) => Box::pin(decode_from(coding, response)).await,
        None => Ok(response.map(Either::Left)),
    }
}

/// Decodes a response in a supported coding.
///
/// tower-http compares codings byte for byte, decodes parts of a body, and of several Content-Encoding headers decodes the
/// first and removes all. So its decoder receives only whole bodies that have one coding, with a normalized name.
async fn decode_from<B: Body<Data = Bytes>>(
    coding: &'static str,
    mut response: Response<B>,
) -> Result<Response<DecodedBody<B>>, Failure> {
    weaken_validators(response.headers_mut());
    response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static(coding));
    let mut coded = Some(response.map(|inner| TailBody { inner, last_byte: None }));
    let source = service_fn(|_| future::ready(coded.take().ok_or(Failure::InvalidResponse)));
    let decoded = Decompression::new(source).oneshot(Request::new(())).await?;
    Ok(decoded.map(|body| Either::Right(Box::pin(body))))
}

/// Returns gzip or brotli, or `None` if the body has several codings or another one, or is a part of a body.
fn supported_coding<B>(response: &Response<B>) -> Option<&'static str> {
    if response.extensions().get::<PassThrough>().is_some() {
        return None;
    }
    let mut values = response.headers().get_all(CONTENT_ENCODING).iter();
    let coding = values.next()?;
    let has_several = values.next().is_some();
    if has_several || response.status() == StatusCode::PARTIAL_CONTENT {
        return None;
    }
    // RFC 9110 §8.4.1: the case of letters has no meaning, and `x-gzip` is gzip.
    match coding.as_bytes().to_ascii_lowercase().as_slice() {
        b"gzip" | b"x-gzip" => Some("gzip"),
        b"br" => Some("br"),
        _ => None,
    }
}

/// Removes the headers that identify bytes, and makes the entity tag weak.
fn weaken_validators(headers: &mut HeaderMap) {
    for name in BYTE_VALIDATORS {
        headers.remove(name);
    }
    // RFC 9110 §8.8.3.3: representations in different codings share an entity tag only if it is weak.
    let Some(tag) = headers.get(ETAG) else { return };
    if tag.as_bytes().starts_with(b"W/") {
        return;
    }
    if let Ok(weak_tag) = HeaderValue::from_bytes(&[b"W/", tag.as_bytes()].concat()) {
        headers.insert(ETAG, weak_tag);
    }
}

impl<B: Body<Data = Bytes>> Body for TailBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    /// Returns the next frame without its last byte, which is the frame of the next call.
    ///
    /// A decoder that has finished reports an error for the frame with that byte, if the byte is not a part of its stream.
    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.project();
        if let Some(last_byte) = this.last_byte.take() {
            return Poll::Ready(Some(Ok(Frame::data(last_byte))));
        }
        let next = ready!(this.inner.poll_frame(cx));
        let Some(Ok(mut frame)) = next else { return Poll::Ready(next) };
        if let Some(data) = frame.data_mut()
            && data.len() > 1
        {
            *this.last_byte = Some(data.split_off(data.len() - 1));
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.last_byte.is_none() && self.inner.is_end_stream()
    }
}
