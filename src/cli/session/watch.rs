//! What other processes want of this one while it drives a run: a cancel, or the run itself.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;

use super::SessionError;
use crate::store::{Inbox, InboxItem, InboxKind, RunFolder, StoreError};

/// How often a run looks.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Who cancelled this process, once somebody did.
#[derive(Clone, Debug, Default)]
pub(super) struct Cancelled(Arc<Mutex<Option<InboxItem>>>);

impl Cancelled {
    /// For the journal and for people; a signal has no name.
    pub(super) fn told(&self) -> Option<String> {
        let item = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let item = item.as_ref()?;
        let on = match item.host.as_str() {
            "" => String::new(),
            host => format!(" on {host}"),
        };
        Some(format!("by {}{on} at {}", item.by, item.at.rfc3339()))
    }
}

/// Listens for `r5flow cancel` of other processes, and for one that takes the run over: both ask this
/// one to stop, and the journal knows which of the two it is.
///
/// A cancel that is there already was for an earlier process, if there was one. So this is called
/// before the first event of this process is recorded: what is posted from then on counts.
///
/// # Errors
/// The inbox cannot be opened.
pub(super) fn listen_for_cancel(
    folder: RunFolder,
    stop: UnboundedSender<()>,
    resumed: bool,
) -> Result<Cancelled, SessionError> {
    let inbox = folder.inbox()?;
    let earlier = if resumed { last(&inbox, 0)? } else { None };
    let mut seen = earlier.map_or(0, |(number, _)| number);
    let cancelled = Cancelled::default();
    let told = cancelled.clone();
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            // An inbox that is busy is looked into again.
            if let Ok(Some((number, item))) = last(&inbox, seen) {
                seen = number;
                let mut first = told.0.lock().unwrap_or_else(PoisonError::into_inner);
                first.get_or_insert(item);
                drop(first);
                let _ = stop.send(());
            }
            if let Err(StoreError::TakenOver { .. }) = folder.check_epoch() {
                let _ = stop.send(());
                return;
            }
        }
    });
    Ok(cancelled)
}

/// The newest cancel with a number above `after`.
fn last(inbox: &Inbox, after: i64) -> Result<Option<(i64, InboxItem)>, StoreError> {
    let mut items = inbox.poll(after)?.into_iter();
    Ok(items.rfind(|(_, item)| item.kind == InboxKind::Cancel))
}
