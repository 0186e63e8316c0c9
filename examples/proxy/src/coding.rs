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
        is_coded: bool,
        // The last byte of a frame whose other bytes were returned.
        last: Option<Bytes>,
    }
}

/// Returns a layer that compresses responses for clients that accept gzip or brotli.
pub fn compression() -> CompressionLayer<impl Predicate> {
    // No content (RFC 9110 §15.3.5, §15.3.6, §15.4.5), or a part of a body (§15.3.7). tower-http excludes only parts with
    // Content-Range (tower-http#446), and a part with several ranges has none.
    let has_whole_content = |status: StatusCode, _: Version, _: &HeaderMap, _: &Extensions| {
        !matches!(status.as_u16(), 204 | 205 | 206 | 304)
    };
    let predicate = DefaultPredicate::new().and(has_whole_content);
    // The fastest level, because most clients run on the same machine.
    CompressionLayer::new().quality(CompressionLevel::Fastest).compress_when(predicate)
}

/// Corrects the validators of a compressed response. Its body is boxed, because it has a size of several KB.
pub fn finish_compression<B: Body>(
    mut response: Response<CompressionBody<B>>,
) -> Response<Pin<Box<CompressionBody<B>>>> {
    if whole_coding(&response).is_some() {
        weaken_validators(response.headers_mut());
    }
    response.map(Box::pin)
}

/// Prepares a response for the decompression layer.
///
/// The layer compares codings byte for byte, decodes parts of a body, and of several Content-Encoding headers decodes
/// the first and removes all. So the name of a single coding is normalized, and other headers are hidden.
pub fn begin_decompression<B>(mut response: Response<B>) -> Response<TailBody<B>> {
    let coding = whole_coding(&response);
    let headers = response.headers_mut();
    if let Some(coding) = coding {
        weaken_validators(headers);
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static(coding));
    } else if let Entry::Occupied(entry) = headers.entry(CONTENT_ENCODING) {
        let hidden = entry.remove_entry_mult().1.collect();
        response.extensions_mut().insert(HiddenCodings(hidden));
    }
    response.map(|inner| TailBody { inner, is_coded: coding.is_some(), last: None })
}

/// Unwraps a body that was not decoded, and restores its hidden headers.
pub fn finish_decompression<B: Body<Data = Bytes>>(
    mut response: Response<DecompressionBody<TailBody<B>>>,
) -> Response<DecodedBody<B>> {
    if response.body().get_ref().is_coded {
        return response.map(|body| Either::Right(Box::pin(body)));
    }
    if let Some(HiddenCodings(values)) = response.extensions_mut().remove() {
        response.headers_mut().extend(values.into_iter().map(|value| (CONTENT_ENCODING, value)));
    }
    response.map(|body| Either::Left(body.into_inner()))
}

/// Returns the only coding of a whole body, if it is gzip or brotli (RFC 9110 §8.4.1: in any case, `x-gzip` is gzip).
fn whole_coding<B>(response: &Response<B>) -> Option<&'static str> {
    let mut values = response.headers().get_all(CONTENT_ENCODING).iter();
    let (Some(coding), None) = (values.next(), values.next()) else { return None };
    match coding.as_bytes().to_ascii_lowercase().as_slice() {
        _ if response.status() == StatusCode::PARTIAL_CONTENT => None,
        b"gzip" | b"x-gzip" => Some("gzip"),
        b"br" => Some("br"),
        _ => None,
    }
}

fn weaken_validators(headers: &mut HeaderMap) {
    for name in BYTE_VALIDATORS {
        headers.remove(name);
    }
    // RFC 9110 §8.8.3.3: representations in different codings share an entity tag only if it is weak.
    if let Some(tag) = headers.get(ETAG).filter(|tag| !tag.as_bytes().starts_with(b"W/"))
        && let Ok(weak) = HeaderValue::from_bytes(&[b"W/", tag.as_bytes()].concat())
    {
        headers.insert(ETAG, weak);
    }
}

impl<B: Body<Data = Bytes>> Body for TailBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.project();
        if let Some(last) = this.last.take() {
            return Poll::Ready(Some(Ok(Frame::data(last))));
        }
        let mut frame = ready!(this.inner.poll_frame(cx));
        let data = frame.as_mut().and_then(|frame| frame.as_mut().ok()?.data_mut());
        if let Some(data) = data.filter(|data| *this.is_coded && data.len() > 1) {
            *this.last = Some(data.split_off(data.len() - 1));
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.last.is_none() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        // The decoder ignores the size of a coded body.
        self.inner.size_hint()
    }
}
