//! The comparisons of several labels with one.

use std::hint::black_box;
use std::sync::Arc;

use bytes::Bytes;
use memchr::memmem::Finder;
use test_support::default_rules;
use tower_api_key_name::_internal::rules::Rules;
use tower_api_key_name::_internal::{self, Amender};
use tower_api_key_name::names::Labels;
use tower_api_key_name::{SharedKeyNames, Snapshot};

use crate::comparison::{Comparison, Unit, timed};
use crate::default_names;
use crate::documents::{Document, IDS, RowKind, Style, ids, names};
use crate::engines::{ABSENT, is_absent};

/// The rules for four labels, all of them active.
fn four_labels() -> Rules {
    let mut labels = Labels::default();
    for member in ["project", "user", "workspace"] {
        let (id, name) = (format!("{member}_id"), format!("{member}_name"));
        labels = labels.with(&id, &name).expect("the members are different");
    }
    default_rules().with_labels(labels, 0..4)
}

/// Amends a page by these rules, and returns the number of named ids.
fn amend_by(rules: &Rules, page: &Bytes, names: &Snapshot) -> u64 {
    let write = |piece: Bytes| drop(black_box(piece));
    let (counts, error) =
        _internal::amend(rules, names, &Arc::default(), [black_box(page).clone()], false, write);
    assert!(error.is_none());
    counts.named
}

/// A page whose only ids are those of keys, with four labels and with one.
pub fn compare_with_one_label() -> Comparison {
    let document = Document::new(RowKind::Completions, Style::Compact, 1 << 20);
    let text = String::from_utf8(document.page().plain.to_vec()).expect("a page is UTF-8");
    let page = Bytes::from(text.replace("project_id", "project_no").replace("user_id", "user_no"));
    let same_page = page.clone();
    let rules = four_labels();
    let named_count = amend_by(&default_rules(), &page, default_names());
    assert!(named_count > 1_000 && amend_by(&rules, &page, default_names()) == named_count);
    Comparison {
        unit: Unit::Speed { bytes: page.len() },
        ours: timed(move || assert!(amend_by(&rules, &page, default_names()) > 0)),
        baseline: timed(move || assert!(amend_by(&default_rules(), &same_page, default_names()) > 0)),
    }
}

/// The amender for a body without ids, and one search.
pub fn compare_labels_with_search() -> Comparison {
    let page = Document::new(RowKind::Keys, Style::Compact, 1 << 20).page().plain.clone();
    let same_page = page.clone();
    let rules = four_labels();
    let finder = Finder::new(ABSENT);
    let pass_through = move || {
        let mut amender = Amender::new(rules.clone(), default_names().clone(), Arc::default());
        amender.push(black_box(&page).clone());
        amender.finish();
        assert!(
            amender.scanned() == 0 && amender.next_chunk().is_some_and(|chunk| chunk.len() == page.len())
        );
    };
    Comparison {
        unit: Unit::Speed { bytes: same_page.len() },
        ours: timed(pass_through),
        baseline: timed(move || assert!(is_absent(black_box(&same_page), &finder))),
    }
}

/// A page of rows with the ids of a key, a project and a user, with the four labels and with one.
pub fn compare_with_one_id_per_row() -> Comparison {
    const ROWS: u32 = 4_000;
    let section = |prefix: &'static str| {
        (0..IDS).map(move |nth| (format!("{prefix}_{nth:020}"), format!("{prefix} {nth}")))
    };
    let map = names(0..IDS).with_section("project_id", section("proj"));
    let map = map.and_then(|map| map.with_section("user_id", section("user"))).expect("the ids are valid");
    let snapshot = SharedKeyNames::new(map).snapshot();
    let mut rows = Vec::new();
    for (nth, key) in (0..u64::from(ROWS)).zip(ids(IDS)) {
        let (project, user) = (nth * 7 % IDS, nth * 11 % IDS);
        rows.push(format!(
            r#"{{"object":"organization.usage.completions.result","input_tokens":{nth},"output_tokens":{project},"project_id":"proj_{project:020}","user_id":"user_{user:020}","api_key_id":"{key}","model":"gpt-4o-2024-08-06"}}"#
        ));
    }
    let page = Bytes::from(format!("[{}]", rows.join(",")));
    let (same_page, same_snapshot) = (page.clone(), snapshot.clone());
    let rules = four_labels();
    assert_eq!(amend_by(&default_rules(), &page, &snapshot), u64::from(ROWS));
    assert_eq!(amend_by(&rules, &page, &snapshot), 3 * u64::from(ROWS));
    Comparison {
        unit: Unit::Time { count: 2 * ROWS },
        ours: timed(move || assert!(amend_by(&rules, &page, &snapshot) > 0)),
        baseline: timed(move || assert!(amend_by(&default_rules(), &same_page, &same_snapshot) > 0)),
    }
}
