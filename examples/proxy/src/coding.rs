//! Content codings. tower-http's layers add and remove them; the functions here correct their faults.
//!
//! ```text
//! client ◀─ finish_compression ◀─ compression ◀─ … ◀─ finish_decompression ◀─ decompression ◀─ begin_decompression
//! ```
//!
//! `tail` detects bytes after the end of a coding, and `validators` corrects the headers that identify bytes. Both
//! `finish_…` functions unwrap a body that was not recoded: the wrapper of tower-http hides its end, so that a response
//! without content gets a Content-Length over HTTP/2, and has a size of several KB.

mod decoding;
mod tail;
mod validators;

pub use decoding::{DecodedBody, begin_decompression, finish_decompression};

use std::pin::Pin;

use http::{Extensions, HeaderMap, Response, StatusCode, Version};
use http_body::Body;
use http_body_util::Either;
use tower_http::CompressionLevel;
use tower_http::compression::predicate::{And, DefaultPredicate, Predicate};
use tower_http::compression::{CompressionBody, CompressionLayer};

/// A body as it was received, or compressed.
pub type EncodedBody<B> = Either<B, Pin<Box<CompressionBody<B>>>>;

type HasContent = fn(StatusCode, Version, &HeaderMap, &Extensions) -> bool;

/// Returns a layer that compresses responses for clients that accept gzip or brotli.
///
/// The level is the fastest, because most clients run on the same machine.
pub fn compression() -> CompressionLayer<And<DefaultPredicate, HasContent>> {
    let predicate = DefaultPredicate::new().and(has_content as HasContent);
    CompressionLayer::new().quality(CompressionLevel::Fastest).compress_when(predicate)
}

/// True if a response may have a body that can be compressed (RFC 9110 §15.3.5, §15.3.6, §15.4.5).
///
/// A part of a body is not recoded (§15.3.7). tower-http excludes only parts with Content-Range (tower-http#446), and
/// a part with several ranges has none.
fn has_content(status: StatusCode, _: Version, _: &HeaderMap, _: &Extensions) -> bool {
    !matches!(
        status,
        StatusCode::NO_CONTENT
            | StatusCode::RESET_CONTENT
            | StatusCode::PARTIAL_CONTENT
            | StatusCode::NOT_MODIFIED
    )
}

/// Corrects the validators of a compressed response, and unwraps any other.
pub fn finish_compression<B: Body>(mut response: Response<CompressionBody<B>>) -> Response<EncodedBody<B>> {
    let is_compressed =
        has_content(response.status(), Version::HTTP_11, response.headers(), response.extensions())
            && decoding::single_coding(response.headers()).is_some();
    if !is_compressed {
        return response.map(|body| Either::Left(body.into_inner()));
    }
    validators::weaken(response.headers_mut());
    response.map(|body| Either::Right(Box::pin(body)))
}
