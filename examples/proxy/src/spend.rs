//! Costs by name: exact sums of all pages of both providers' costs.
//!
//! ```text
//! flags or browser ─▶ query ─▶ run ─▶ provider_reader ─▶ fetch ─▶ page ─▶ cost_page ─▶ run_state (report) ─▶ output
//! ```
//!
//! - The interface is `read_report`, with the types that this module exports, and `output`. The browser's page is
//!   elsewhere (`spend_page`): here, a page is a page of the API's list of costs.
//! - `query` selects days (`periods`), dimensions and providers. `run` reads the missing `names`, builds the
//!   `cost_upstream` of each provider, and reads the costs of all providers concurrently.
//! - `provider_reader` requests the pages of one provider, in the way of its `cost_api`. `fetch` requests one page, with
//!   retries after a transient `fetch_error`.
//! - `page` parses a page while its chunks arrive (`input`). `cost_page` converts each row to a `row`, which has the same
//!   form for both providers, and adds its `amount` to the `sums` of the page.
//! - `ledger` reads the costs of proxy keys from their ledger, with the same readers, in place of the API of a provider.
//! - `run_state` contains the `report` and the progress of a run. The sums of a page are added to the report when the page
//!   is complete. The texts of its rows are added before. `output` writes the report.
pub mod amount;
pub mod cost_api;
pub mod cost_page;
pub mod cost_upstream;
pub mod fetch;
pub mod fetch_error;
pub mod input;
pub mod json_object;
mod ledger;
mod names;
pub mod output;
pub mod page;
pub mod periods;
mod provider_reader;
pub mod query;
pub mod report;
pub mod row;
pub mod run;
pub mod run_state;
pub mod sums;

pub use amount::{Amount, AmountError};
pub use cost_api::CostApi;
pub use cost_upstream::{CostUpstream, SpendService};
pub use ledger::LedgerCosts;
pub use output::OutputFormat;
pub use periods::{DayRange, Every, Period};
pub use query::{Dimension, SpendQuery, SpendQueryError};
pub use report::{SpendReport, SpendRow};
pub use row::GroupValue;
pub use run::{read_report, run};
pub use run_state::{PageRetry, SpendProgress};
