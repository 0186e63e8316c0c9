//! The headers that can contain a proxy key or an operator token.
use http::header::{AUTHORIZATION, HeaderName};

pub const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// All of them. A check that misses one would let its credential pass.
pub const CREDENTIAL_HEADERS: [HeaderName; 2] = [AUTHORIZATION, X_API_KEY];
