//! The operations that wait for the writer, and the reservation that an admission returns.

use std::sync::Arc;
use std::sync::mpsc::Sender;

use tokio::sync::oneshot;

use super::admission::{AdmissionError, AdmissionRequest};
use super::call::{OpenCall, Settlement};
use super::store::{LedgerStore, StoreError};

/// An operation on the ledger.
pub(crate) enum Operation {
    Admit(AdmissionRequest, AdmissionReply),
    Settle(SettlementRequest),
    /// No change. The reply is sent after those that were queued before.
    Flush(Sender<()>),
    /// A query, which runs after the batch that it was received with.
    Read(Query),
}

/// A query, which sends its result itself.
pub(crate) type Query = Box<dyn FnOnce(&mut dyn LedgerStore) + Send>;

/// The settlement of a call.
pub(crate) struct SettlementRequest {
    pub(crate) call: Arc<OpenCall>,
    pub(crate) settlement: Box<Settlement>,
    /// `None` if no caller waits.
    pub(crate) reply: Option<oneshot::Sender<Result<(), StoreError>>>,
}

impl SettlementRequest {
    /// Replies to the caller that waits for the settlement, if there is one.
    pub(crate) fn reply(&mut self, result: Result<(), StoreError>) {
        if let Some(reply) = self.reply.take() {
            // The caller may wait no more.
            let _ = reply.send(result);
        }
    }
}

/// An admitted call, or the reason against it.
pub(crate) type AdmissionResult = Result<Arc<OpenCall>, AdmissionError>;

/// The way back to the caller of an admission.
pub(crate) struct AdmissionReply {
    pub(crate) reply: oneshot::Sender<Result<CallReservation, AdmissionError>>,
    /// The queue of the writer, for the settlement of the call.
    pub(crate) operations: Sender<Operation>,
}

impl AdmissionReply {
    /// Sends the result to the caller. If the caller has gone, the reservation is released.
    pub(crate) fn send(self, result: AdmissionResult) {
        let reply = match result {
            Ok(call) => {
                Ok(CallReservation { call: Some(call), operations: self.operations, is_delivered: false })
            }
            Err(error) => Err(error),
        };
        // A reservation that is not delivered settles itself when it is dropped.
        let _ = self.reply.send(reply);
    }
}

/// An admitted call, which is settled exactly once: by [`settle`](Self::settle), or when it is dropped.
///
/// A dropped reservation is charged in full and marked as an estimate, because the end of the call is unknown.
#[must_use]
pub(crate) struct CallReservation {
    /// `None` after the settlement.
    call: Option<Arc<OpenCall>>,
    operations: Sender<Operation>,
    /// False until the caller of the admission has received the reservation. Before that, no call was made.
    is_delivered: bool,
}

impl CallReservation {
    /// Marks the reservation as received by the caller of the admission.
    pub(crate) fn delivered(mut self) -> Self {
        self.is_delivered = true;
        self
    }

    /// Returns the id of the call in its usage row.
    #[cfg(test)]
    pub(crate) fn id(&self) -> Option<u64> {
        self.call.as_ref().map(|call| call.id)
    }

    /// Settles the call, and returns a future that is ready when the settlement is durable.
    ///
    /// The settlement is queued at once, also if the future is dropped. An error means that it is not durable yet: the
    /// ledger keeps it, admits no call before it is written, and writes it as soon as it can.
    pub(crate) fn settle(
        mut self,
        settlement: Settlement,
    ) -> impl Future<Output = Result<(), StoreError>> + Send + use<> {
        let (reply, result) = oneshot::channel();
        self.send_settlement(settlement, Some(reply));
        async move { result.await.unwrap_or_else(|_| Err(StoreError::writer_ended())) }
    }

    /// Queues the settlement, unless the call is settled already.
    fn send_settlement(
        &mut self,
        settlement: Settlement,
        reply: Option<oneshot::Sender<Result<(), StoreError>>>,
    ) {
        if let Some(call) = self.call.take() {
            let settlement = Box::new(settlement);
            // If the writer has ended, the call is settled as an estimate when the ledger is opened again.
            let _ = self.operations.send(Operation::Settle(SettlementRequest { call, settlement, reply }));
        }
    }
}

/// Settles the call, if it is not settled.
impl Drop for CallReservation {
    fn drop(&mut self) {
        let Some(call) = &self.call else { return };
        let settlement =
            if self.is_delivered { Settlement::of_unknown_end(call) } else { Settlement::default() };
        self.send_settlement(settlement, None);
    }
}
