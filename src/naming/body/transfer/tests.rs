use std::convert::Infallible;
use std::sync::Arc;

use http::Request;

use super::*;
use crate::budget::Budget;
use crate::names::LabelSet;
use crate::naming::settings::LayerSettings;
use crate::{KeyNames, SharedKeyNames};

fn transfer(budget: &Arc<Budget>) -> Transfer<Infallible> {
    let settings = Arc::new(LayerSettings {
        limit: 1_000,
        budget: Some(budget.clone()),
        ..LayerSettings::new(SharedKeyNames::new(KeyNames::new([("key_1", "x")]).unwrap()))
    });
    let names = settings.names.snapshot();
    Transfer::new(Box::new(Report::new(&settings, names, LabelSet::KEYS, &Request::new(()))))
}

fn frame(text: &'static str) -> Option<Result<Frame<Bytes>, Infallible>> {
    Some(Ok(Frame::data(Bytes::from_static(text.as_bytes()))))
}

#[test]
fn body_over_the_budget_is_streamed_even_if_bytes_are_returned_before_its_headers() {
    for (start, end) in [(r#"[{"api_key_id":"key_1""#, "}]"), (r#"[{"x":"#, r#"1,"api_key_id":"key_1"}]"#)] {
        let budget = Arc::new(Budget::new(100));
        let mut other = Reservation::new(Some(budget.clone()));
        other.grow(95);
        let mut transfer = transfer(&budget);
        transfer.receive(frame(start));
        transfer.scan_to_limit();
        assert!(transfer.is_decided());
        drop(other);
        assert_eq!(transfer.decide(&mut HeaderMap::new()), ResponseState::Streaming);

        transfer.receive(frame(end));
        let chunks: Vec<_> = std::iter::from_fn(|| transfer.next_chunk()).collect();
        let output = [start, end].concat().replace(r#""key_1""#, r#""key_1","api_key_name":"x""#);
        assert_eq!(chunks.concat(), output.as_bytes());
    }
}
