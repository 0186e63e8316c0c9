//! The proxy keys that may call, with what each may do.
//!
//! ```text
//! keys file ─▶ parse ─▶ KeyTable, KeyNames ─▶ ProxyKeys
//! credential ─▶ KeyDigest ─▶ KeyTable ─▶ ProxyKey (models, tools, limits, expiry) ─▶ Group
//! ```

mod cost;
mod decimal;
mod digest;
mod error;
mod handle;
mod key;
mod limits;
mod parse;
mod patterns;
mod prices;
mod table;

pub(crate) use self::cost::Cost;
pub(crate) use self::digest::KeyDigest;
pub use self::error::{ProxyKeysError, ProxyKeysErrorKind};
pub use self::handle::ProxyKeys;
pub(crate) use self::key::{Group, ProxyKey, UsageScope};
pub(crate) use self::limits::{Limit, Limits, Meter, Window};
pub(crate) use self::patterns::{Pattern, PatternList};
pub(crate) use self::prices::{ModelPrices, PricedCounter, Prices};
pub(crate) use self::table::KeyTable;
