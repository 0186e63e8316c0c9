//! When to walk: now and then, and soon after a key without a name is seen.

use super::{Directory, DirectoryError, Synced};
use crate::SharedKeyNames;
use std::collections::HashSet;
use std::convert::Infallible;
use std::path::Path;
use tokio::time::{Instant, timeout_at};

/// How many ids are remembered that a walk did not find. Upstream decides which come; when it is full all of them
/// are forgotten, which costs one walk.
const MAX_VAIN: usize = 10_000;

/// Ids that were seen in use and have no name.
#[derive(Default)]
struct Wanted {
    /// Those that the next walk is for.
    hungry: HashSet<String>,
    /// Those that a walk did not find: they wait for the regular one.
    vain: HashSet<String>,
}

impl Directory {
    /// Keeps a map file current for as long as it is polled: it [`sync`](Self::sync)s at once, then regularly (see
    /// [`interval`](Self::interval)), and soon after `names` is asked in vain for an id (see [`min_interval`](Self::min_interval)).
    /// An id that a whole walk did not find waits for the regular one.
    ///
    /// Names come to `names` only by way of the file: make it with [`SharedKeyNames::watch_with_synced`]. Nothing else
    /// may [take its unmatched ids](SharedKeyNames::drain_unmatched). `told` is called with what each walk came to; one
    /// that fails changes nothing, and is followed by the next. Until a whole walk's names are in the handle, a filter
    /// by a name that is not there is answered by a 503, not a 400: it may be a name that is still to come.
    ///
    /// Spawn it, and abort it to end it. At whatever point that happens, the file is whole.
    ///
    /// ```no_run
    /// # async fn f<S, B, R>(client: S) -> Result<(), Box<dyn std::error::Error>>
    /// # where S: tower_service::Service<http::Request<B>, Response = http::Response<R>> + Clone + Send + 'static,
    /// # S::Error: Into<Box<dyn std::error::Error + Send + Sync>>, S::Future: Send, B: Default + Send + 'static,
    /// # R: http_body::Body + Send + 'static, R::Data: Send, R::Error: Into<Box<dyn std::error::Error + Send + Sync>> {
    /// use tower_api_key_name::directory::{AdminKey, Directory};
    /// use tower_api_key_name::SharedKeyNames;
    ///
    /// let directory = Directory::openai(client, AdminKey::from_env("OPENAI_ADMIN_KEY")?);
    /// let names = SharedKeyNames::watch_with_synced(["overrides.json"], "synced.json")?;
    /// tokio::spawn({
    ///     let names = names.clone();
    ///     async move {
    ///         directory.follow("synced.json", &names, |went| match went {
    ///             Ok(synced) => println!("{synced}"),
    ///             Err(error) => eprintln!("{error}"),
    ///         }).await
    ///     }
    /// });
    /// # Ok(()) }
    /// ```
    pub async fn follow(
        &self,
        file: impl AsRef<Path>,
        names: &SharedKeyNames,
        mut told: impl FnMut(Result<Synced, DirectoryError>),
    ) -> Infallible {
        let mut wanted = Wanted::default();
        let mut has_all = false;
        let fetcher = names.begin_fetching();
        loop {
            // Only what was seen before a walk can be known to be in no list.
            wanted.see(names.drain_unmatched());
            let went = self.sync(file.as_ref()).await;
            let synced = went.clone().ok();
            told(went);
            wanted.walked(synced.as_ref());
            if let Some(synced) =
                synced.as_ref().filter(|synced| !has_all && synced.listing().is_all_there_is())
            {
                has_all = true;
                fetcher.sent(synced.names.clone());
            }
            let known = |id: &str| synced.as_ref().is_some_and(|synced| synced.names().name(id).is_some());

            let ended = Instant::now();
            let regular = ended + self.interval;
            loop {
                let next =
                    if wanted.hungry.is_empty() { regular } else { regular.min(ended + self.min_interval) };
                match timeout_at(next, names.next_unmatched()).await {
                    // What was learned just now is still on its way through the file.
                    Ok(ids) => wanted.see(ids.into_iter().filter(|id| !known(id))),
                    Err(_) => break,
                }
            }
        }
    }
}

// === impl Wanted ===

impl Wanted {
    fn see(&mut self, ids: impl IntoIterator<Item = String>) {
        self.hungry.extend(ids.into_iter().filter(|id| !self.vain.contains(id)));
    }

    /// After a walk: nobody is hungry any more, unless it failed in a way that passes.
    fn walked(&mut self, synced: Option<&Synced>) {
        let Some(synced) = synced else {
            return;
        };
        self.hungry.retain(|id| synced.names().name(id).is_none());
        if synced.listing().is_all_there_is() {
            if self.vain.len() + self.hungry.len() > MAX_VAIN {
                self.vain.clear();
            }
            self.vain.extend(self.hungry.drain());
        }
    }
}
