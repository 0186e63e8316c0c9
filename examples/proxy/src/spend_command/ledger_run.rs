//! A run of `--provider ledger`: the costs in a ledger file, with the names of a keys file.
use std::fs;
use std::path::Path;

use jiff::Timestamp;
use tower_api_key_name::proxy_keys::{LedgerReader, OperatorToken, ProxyKeys};
use tower_api_key_name::{ApiKeyNameLayer, SharedKeyNames};

use super::flags::{LedgerFiles, SpendFlags};
use super::progress::ProgressReporter;
use crate::proxy_keys::usage::LedgerUsageApi;
use crate::spend::{LedgerCosts, SpendQuery, SpendReport, periods};
use crate::start_error::StartError;

/// A run whose flags and files were checked.
pub(super) struct LedgerRun {
    costs: LedgerCosts,
    query: SpendQuery,
    now: Timestamp,
}

impl LedgerRun {
    /// Opens the files read-only. Fails if the flags are wrong, or if a file cannot be used.
    pub(super) fn prepare(flags: &SpendFlags, files: LedgerFiles<'_>) -> Result<Self, StartError> {
        let now = Timestamp::now();
        let query = flags.query(Vec::new(), periods::day_of(now)).map_err(StartError::BadUse)?;
        let keys = read_keys(files.keys)?;
        let ledger = LedgerReader::open(files.ledger)
            .map_err(|e| StartError::CannotStart(format!("--ledger: {e}")))?;
        let costs = open_costs(keys, ledger)?;
        Ok(Self { costs, query, now })
    }

    /// Reads the costs. Costs that cannot be read are missing in the report.
    pub(super) async fn read_costs(self) -> SpendReport {
        let progress = ProgressReporter::new();
        let on_progress = |costs| progress.show_costs(costs);
        let report = self.costs.read_report(self.query, self.now, on_progress).await;
        progress.finish();
        report
    }
}

/// Reads a keys file. The real keys of its upstreams are not read.
fn read_keys(path: &Path) -> Result<ProxyKeys, StartError> {
    let file_error =
        |e: &dyn std::fmt::Display| StartError::CannotStart(format!("--keys: {}: {e}", path.display()));
    let bytes = fs::read(path).map_err(|e| file_error(&e))?;
    ProxyKeys::without_real_keys(&bytes).map_err(|e| file_error(&e))
}

/// Returns all costs in a ledger, which are read with an operator token of this process.
fn open_costs(keys: ProxyKeys, ledger: LedgerReader) -> Result<LedgerCosts, StartError> {
    let (token, token_text) = OperatorToken::random().map_err(StartError::cannot_start)?;
    let naming_layer = ApiKeyNameLayer::new(SharedKeyNames::default());
    let api = LedgerUsageApi::new(keys.operator_token(token), ledger, naming_layer);
    LedgerCosts::with_token(api, &token_text)
        .ok_or_else(|| StartError::CannotStart("the usage API rejects its own token".to_owned()))
}
