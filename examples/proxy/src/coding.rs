//! Content codings. tower-http's layers add and remove them; the functions here correct their faults.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, ETAG, Entry};
use http::{Extensions, HeaderMap, HeaderValue, Response, StatusCode, Version};
use http_body::{Body, Frame, SizeHint};
use http_body_util::Either;
use pin_project_lite::pin_project;
use tower_http::CompressionLevel;
use tower_http::compression::predicate::{DefaultPredicate, Predicate};
use tower_http::compression::{CompressionBody, CompressionLayer};
use tower_http::decompression::DecompressionBody;

/// A body as it was received, or decoded. tower-http's wrapper hides the end of a body that was not decoded, so that one
/// without content would get a Content-Length over HTTP/2.
pub type DecodedBody<B> = Either<TailBody<B>, Pin<Box<DecompressionBody<TailBody<B>>>>>;

/// Headers that identify bytes which a coding changes: digests (RFC 9530 and those that it replaces) and ranges.
const BYTE_VALIDATORS: [&str; 5] =
    ["content-digest", "repr-digest", "digest", "content-md5", "accept-ranges"];

/// A response extension with codings that the decompression layer must not see.
#[derive(Clone)]
struct HiddenCodings(Vec<HeaderValue>);

pin_project! {
    /// A body whose last byte is in its own frame, if it has a content coding.
    ///
    /// tower-http's decoder stops at the end of the first gzip member or of the brotli stream. It reports an error for
    /// bytes that follow in another frame (tower-http#712), and discards those in the same frame, so that a response
    /// could lose rows without an error. A gzip file of several members (RFC 1952 §2.2) is therefore an error too
    /// (tower-http#737).
    pub struct TailBody<B> {
        #[pin]
        inner: B,
        has_coding: bool,
        // The last byte of a frame whose other bytes were returned.
        last_byte: Option<Bytes>,
    }
}

/// Returns a layer that compresses responses for clients that accept gzip or brotli.
pub fn compression() -> CompressionLayer<impl Predicate> {
    // 204, 205 and 304 have no content (RFC 9110 §15.3.5, §15.3.6, §15.4.5). 206 is a part of a body (§15.3.7): tower-http
    // excludes only parts with Content-Range (tower-http#446), and a part with several ranges has none.
    let has_whole_content = |status: StatusCode, _: Version, _: &HeaderMap, _: &Extensions| {
        !matches!(status.as_u16(), 204 | 205 | 206 | 304)
    };
    let predicate = DefaultPredicate::new().and(has_whole_content);
    // The fastest level, because most clients run on the same machine.
    CompressionLayer::new().quality(CompressionLevel::Fastest).compress_when(predicate)
}

/// Corrects the validators of a compressed response. The body is boxed, because it has a size of several KB.
pub fn finish_compression<B: Body>(
    mut response: Response<CompressionBody<B>>,
) -> Response<Pin<Box<CompressionBody<B>>>> {
    if supported_coding(&response).is_some() {
        weaken_validators(response.headers_mut());
    }
    response.map(Box::pin)
}

/// Prepares a response for the decompression layer.
///
/// The layer compares codings byte for byte, decodes parts of a body, and of several Content-Encoding headers decodes
/// the first and removes all. So the name of a single coding is normalized, and other headers are hidden.
pub fn begin_decompression<B>(mut response: Response<B>) -> Response<TailBody<B>> {
    let coding = supported_coding(&response);
    let headers = response.headers_mut();
    if let Some(coding) = coding {
        weaken_validators(headers);
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static(coding));
    } else if let Entry::Occupied(entry) = headers.entry(CONTENT_ENCODING) {
        let (_, values) = entry.remove_entry_mult();
        let hidden = HiddenCodings(values.collect());
        response.extensions_mut().insert(hidden);
    }
    response.map(|inner| TailBody { inner, has_coding: coding.is_some(), last_byte: None })
}

/// Unwraps a body that was not decoded, and restores its hidden headers.
pub fn finish_decompression<B: Body<Data = Bytes>>(
    mut response: Response<DecompressionBody<TailBody<B>>>,
) -> Response<DecodedBody<B>> {
    if response.body().get_ref().has_coding {
        return response.map(|body| Either::Right(Box::pin(body)));
    }
    if let Some(HiddenCodings(values)) = response.extensions_mut().remove() {
        for value in values {
            response.headers_mut().append(CONTENT_ENCODING, value);
        }
    }
    response.map(|body| Either::Left(body.into_inner()))
}

/// Returns gzip or brotli, or `None` if the body has several codings or another one, or is a part of a body.
fn supported_coding<B>(response: &Response<B>) -> Option<&'static str> {
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

    /// Returns a frame without its last byte, and then that byte. A body without a coding is not changed.
    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.project();
        if let Some(last_byte) = this.last_byte.take() {
            return Poll::Ready(Some(Ok(Frame::data(last_byte))));
        }
        let mut result = ready!(this.inner.poll_frame(cx));
        if *this.has_coding
            && let Some(Ok(frame)) = &mut result
            && let Some(data) = frame.data_mut()
            && data.len() > 1
        {
            *this.last_byte = Some(data.split_off(data.len() - 1));
        }
        Poll::Ready(result)
    }

    fn is_end_stream(&self) -> bool {
        self.last_byte.is_none() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        // The decoder ignores the size of a coded body.
        self.inner.size_hint()
    }
}
