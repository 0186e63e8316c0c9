//! The proxy key of the tests of the gate.

use std::sync::Arc;

use crate::proxy_keys::keys::{KeyDigest, KeyTable, Limits, Pattern, PatternList, ProxyKey, UsageScope};

/// Returns a key that may call `gpt-5*` and `claude-*`, with the hosted tools `web_search*`.
pub(super) fn test_key() -> ProxyKey {
    ProxyKey {
        id: "key_1".to_owned(),
        name: "One".to_owned(),
        group: None,
        models: pattern_list(&["gpt-5*", "claude-*"]),
        hosted_tools: pattern_list(&["web_search*"]),
        limits: Limits::default(),
        reserve: 0,
        created_at: None,
        expires_at: None,
        usage_scope: UsageScope::Own,
    }
}

/// Returns the keys `sk-px-1`, which is the [`test_key`], and `sk-px-2`, which expires at the epoch.
pub(super) fn test_keys() -> KeyTable {
    let mut keys = KeyTable::default();
    keys.add(KeyDigest::of(b"sk-px-1"), Arc::new(test_key()));
    let expired = ProxyKey { expires_at: Some(jiff::Timestamp::UNIX_EPOCH), ..test_key() };
    keys.add(KeyDigest::of(b"sk-px-2"), Arc::new(expired));
    keys
}

fn pattern_list(texts: &[&str]) -> PatternList {
    PatternList::Only(texts.iter().filter_map(|text| Pattern::parse(text)).collect())
}
