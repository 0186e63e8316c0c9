//! A page of buckets, which is produced bucket by bucket.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use serde_json::Value;

use super::bucket::TimeBucket;
use super::bucket_reader::{BucketError, read_bucket};
use super::query::UsageQuery;
use super::slots::UsageSlot;
use crate::proxy_keys::ledger::UsageSource;
#[cfg(feature = "tracing")]
use crate::proxy_keys::log::log_unread_usage;

/// A read of one bucket, which is queued.
type PendingBucket = Pin<Box<dyn Future<Output = Result<Vec<u8>, BucketError>> + Send>>;

/// The page of a response. It reads a bucket of the ledger only when the chunk with this bucket is polled, so it has the memory
/// of one bucket, and a slow client holds no transaction.
pub(super) struct UsagePage {
    query: Arc<UsageQuery>,
    source: UsageSource,
    /// The start of the next bucket, in seconds since 1970.
    next_start: i64,
    /// The read of the next bucket, once that bucket has been polled.
    pending: Option<PendingBucket>,
    /// Ends with the response and its last query.
    pub(super) slot: Arc<UsageSlot>,
}

impl UsagePage {
    pub(super) fn new(query: UsageQuery, source: UsageSource, slot: UsageSlot) -> Self {
        let next_start = query.page_start;
        Self { query: Arc::new(query), source, next_start, pending: None, slot: Arc::new(slot) }
    }

    /// True if all chunks have been returned.
    pub(super) fn has_ended(&self) -> bool {
        self.next_start >= self.query.page_end
    }

    /// Polls the next chunk: a bucket, with the start of the page before the first one, and its end behind the last one. Must
    /// not be called after the end or an error.
    pub(super) fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bytes, BucketError>> {
        let bucket = self.query.unit.bucket_at(self.next_start);
        let pending =
            self.pending.get_or_insert_with(|| start_read(&self.query, &self.source, &self.slot, bucket));
        let read = ready!(pending.as_mut().poll(cx));
        self.pending = None;
        self.next_start = bucket.end;
        #[cfg(feature = "tracing")]
        if let Err(BucketError::Store(error)) = &read {
            log_unread_usage(self.slot.key_id(), error);
        }
        Poll::Ready(read.map(|json| self.join_chunk(bucket.start, &json)))
    }

    /// Returns the chunk of the page with the bucket that begins at `start`.
    fn join_chunk(&self, start: i64, bucket: &[u8]) -> Bytes {
        let is_first = start == self.query.page_start;
        let mut chunk = if is_first { br#"{"object":"page","data":["#.to_vec() } else { b",".to_vec() };
        chunk.extend_from_slice(bucket);
        if self.has_ended() {
            let next_cursor = self.query.next_page();
            let has_more = next_cursor.is_some();
            let next_page = Value::from(next_cursor.map(|cursor| cursor.to_text()));
            chunk.extend_from_slice(
                format!(r#"],"has_more":{has_more},"next_page":{next_page}}}"#).as_bytes(),
            );
        }
        chunk.into()
    }
}

/// Queues the query for a bucket. It keeps the slot, so that a caller who ends responses early does not queue further queries.
fn start_read(
    query: &Arc<UsageQuery>,
    source: &UsageSource,
    slot: &Arc<UsageSlot>,
    bucket: TimeBucket,
) -> PendingBucket {
    let query = query.clone();
    let slot = slot.clone();
    let read = source.run(move |reader| {
        let result = read_bucket(&query, bucket, reader);
        drop(slot);
        Ok(result)
    });
    Box::pin(async move { read.await? })
}
