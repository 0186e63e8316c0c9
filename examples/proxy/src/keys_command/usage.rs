//! The output of `keys usage`: the limits of each key and group, with the amounts of the ledger.
use std::io::{self, BufWriter, Write};

use jiff::Timestamp;
use serde::Serialize;
use tower_api_key_name::proxy_keys::{LedgerUsage, OwnerUsage};

use super::columns::write_columns;
use super::entry::{KeyState, KeysFileView};
use super::limits::KeyLimits;
use crate::text_width::escape;

mod line;

use line::{UsageLine, usage_lines};

/// The state of a key or group that the ledger contains and the keys file does not.
const REMOVED: &str = "removed";

/// The use of all keys and groups, in the form of --json.
#[derive(Serialize)]
pub(super) struct UsageReport<'a> {
    object: &'static str,
    data: Vec<KeyUsage<'a>>,
    groups: Vec<GroupUsage<'a>>,
}

#[derive(Serialize)]
struct KeyUsage<'a> {
    id: &'a str,
    /// `None` for a key that is not in the file, as the group.
    name: Option<&'a str>,
    group: Option<&'a str>,
    state: &'static str,
    calls_in_flight: u64,
    counters: Vec<UsageLine>,
}

#[derive(Serialize)]
struct GroupUsage<'a> {
    id: &'a str,
    state: &'static str,
    calls_in_flight: u64,
    counters: Vec<UsageLine>,
}

impl<'a> UsageReport<'a> {
    /// Combines the keys and groups of a file with their use. Keys and groups that only the ledger contains are the last.
    /// A revoked key without use is omitted.
    pub(super) fn new(view: &'a KeysFileView, ledger: &'a LedgerUsage, now: Timestamp) -> Self {
        let mut report = Self { object: "list", data: Vec::new(), groups: Vec::new() };
        for key in &view.keys {
            let usage = ledger.keys.get(&key.id);
            let state = key.state(now);
            if usage.is_none() && state == KeyState::Revoked {
                continue;
            }
            let usage = usage.copied().unwrap_or_default();
            report.data.push(KeyUsage {
                id: &key.id,
                name: Some(&key.name),
                group: key.group.as_deref(),
                state: state.name(),
                calls_in_flight: usage.calls_in_flight(),
                counters: usage_lines(&key.limits, &usage),
            });
        }
        for (id, usage) in &ledger.keys {
            if !view.contains(id) {
                report.data.push(KeyUsage::removed(id, usage));
            }
        }
        report.add_groups(view, ledger);
        report
    }

    fn add_groups(&mut self, view: &'a KeysFileView, ledger: &'a LedgerUsage) {
        for (id, group) in &view.groups {
            let usage = ledger.groups.get(id).copied().unwrap_or_default();
            self.groups.push(GroupUsage::new(id, KeyState::Active.name(), &group.limits, &usage));
        }
        for (id, usage) in &ledger.groups {
            if !view.groups.contains_key(id) {
                self.groups.push(GroupUsage::new(id, REMOVED, &KeyLimits::default(), usage));
            }
        }
    }

    /// Writes the report as one JSON object.
    pub(super) fn write_json(&self, out: &mut impl Write) -> io::Result<()> {
        let mut buffered = BufWriter::new(out);
        serde_json::to_writer(&mut buffered, self)?;
        buffered.write_all(b"\n")?;
        buffered.flush()
    }

    /// Writes a table of the keys and a table of the groups, each with one row for each counter.
    pub(super) fn write_tables(&self, out: &mut impl Write) -> io::Result<()> {
        let mut buffered = BufWriter::new(out);
        let mut key_rows = vec![header(&["key", "name", "state", "in flight"])];
        for key in &self.data {
            let calls_in_flight = key.calls_in_flight.to_string();
            let name = escape(key.name.unwrap_or("-"));
            add_rows(
                &mut key_rows,
                vec![escape(key.id), name, key.state.to_owned(), calls_in_flight],
                &key.counters,
            );
        }
        write_columns(&key_rows, &mut buffered)?;
        if !self.groups.is_empty() {
            let mut group_rows = vec![header(&["group", "state", "in flight"])];
            for group in &self.groups {
                let calls_in_flight = group.calls_in_flight.to_string();
                let cells = vec![escape(group.id), group.state.to_owned(), calls_in_flight];
                add_rows(&mut group_rows, cells, &group.counters);
            }
            writeln!(buffered)?;
            write_columns(&group_rows, &mut buffered)?;
        }
        buffered.flush()
    }
}

impl<'a> KeyUsage<'a> {
    /// Returns the use of a key that is not in the file.
    fn removed(id: &'a str, usage: &OwnerUsage) -> Self {
        Self {
            id,
            name: None,
            group: None,
            state: REMOVED,
            calls_in_flight: usage.calls_in_flight(),
            counters: usage_lines(&KeyLimits::default(), usage),
        }
    }
}

impl<'a> GroupUsage<'a> {
    fn new(id: &'a str, state: &'static str, limits: &KeyLimits, usage: &OwnerUsage) -> Self {
        Self { id, state, calls_in_flight: usage.calls_in_flight(), counters: usage_lines(limits, usage) }
    }
}

/// Returns the header of a table: the columns of the owner, and those of a counter.
fn header(owner_columns: &[&str]) -> Vec<String> {
    let mut row = Vec::new();
    for column in owner_columns.iter().chain(&UsageLine::COLUMNS) {
        row.push((*column).to_owned());
    }
    row
}

/// Adds a row for each counter of an owner. The first one has the cells of the owner.
fn add_rows(rows: &mut Vec<Vec<String>>, owner_cells: Vec<String>, counters: &[UsageLine]) {
    let column_count = owner_cells.len();
    let mut cells = owner_cells;
    for counter in counters {
        cells.extend(counter.cells());
        rows.push(cells);
        cells = vec![String::new(); column_count];
    }
}
