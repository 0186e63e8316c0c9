//! The JSON of one bucket, calculated from the rows of the ledger.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;

use super::bucket::{BucketUnit, TimeBucket};
use super::grouping::ResultDimensions;
use super::query::UsageQuery;
use super::result::ResultBucket;
use super::result_sums::ResultSums;
use crate::proxy_keys::ledger::{CallSums, StoreError, SumKey, UsageReader};

/// The error of a bucket that cannot be sent.
#[derive(Debug)]
pub(super) enum BucketError {
    /// The ledger cannot be read.
    Store(StoreError),
    /// The rows of the minute were deleted. Rows exist from the second `rows_from` on.
    MinutesDeleted { rows_from: i64 },
}

/// Reads the rows of a bucket, and returns its results as JSON.
///
/// Hours and days add stored sums. Minutes add the rows of calls, which are deleted after some time.
pub(super) fn read_bucket(
    query: &UsageQuery,
    bucket: TimeBucket,
    reader: &mut dyn UsageReader,
) -> Result<Vec<u8>, BucketError> {
    let mut results: BTreeMap<ResultDimensions, ResultSums> = BTreeMap::new();
    let mut visit = |sum_key: &SumKey, sums: &CallSums| {
        if query.filter.includes(sum_key) {
            results.entry(query.grouping.dimensions_of(sum_key)).or_default().add(sums);
        }
    };
    let period = bucket.start..bucket.end;
    if query.unit == BucketUnit::Minute {
        let rows_from = reader.rows_from()?;
        if bucket.start < rows_from {
            return Err(BucketError::MinutesDeleted { rows_from });
        }
        reader.visit_calls(period, &mut visit)?;
    } else {
        reader.visit_hours(period, &mut visit)?;
    }
    Ok(ResultBucket::new(query.endpoint, bucket, &results).to_json())
}

impl fmt::Display for BucketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(error) => write!(f, "the usage cannot be read: {error}"),
            Self::MinutesDeleted { rows_from } => {
                write!(f, "the ledger has no minutes before {rows_from}")
            }
        }
    }
}

impl Error for BucketError {}

impl From<StoreError> for BucketError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}
