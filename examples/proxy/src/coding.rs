//! Content codings. tower-http's layers add and remove them; the functions here correct their faults.
//!
//! ```text
//! client ◀─ weaken_compressed ◀─ compression ◀─ … ◀─ restore_coding ◀─ decompression ◀─ prepare_coding ◀─ upstream
//! ```
//!
//! `tail` detects bytes after the end of a coding, and `validators` corrects the headers that identify bytes.

mod decoding;
mod tail;
mod validators;

pub use decoding::{prepare_coding, restore_coding};

use http::{Extensions, HeaderMap, Response, StatusCode, Version};
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{And, DefaultPredicate, Predicate};

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

/// Corrects the validators of a compressed response, which tower-http leaves unchanged.
pub fn weaken_compressed<B>(mut response: Response<B>) -> Response<B> {
    if has_content(response.status(), response.version(), response.headers(), response.extensions())
        && decoding::single_coding(response.headers()).is_some()
    {
        validators::weaken(response.headers_mut());
    }
    response
}
