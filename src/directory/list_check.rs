//! The check of an admin key: one page of each list.

use std::collections::VecDeque;

use http::StatusCode;

use super::Directory;
use super::api::{KeyList, is_project_id};
use super::fetch::PageFetcher;
use super::list::ListConfig;
use super::list_error::ListError;
use super::listing::ListCheck;
use super::page::ListPage;

impl Directory {
    /// Reads the first page of each list that a listing would read, of one project only. Returns the result of each list in
    /// the order of the requests.
    ///
    /// It changes no name, and shows early if the key has the rights for a listing. A transient error is retried within
    /// [`retry_timeout`](Self::retry_timeout).
    pub async fn check_lists(&self) -> Vec<ListCheck> {
        let config = &self.lister.config;
        let members = config.provider.listed_members(&config.labels);
        let mut waiting: VecDeque<KeyList> = config.provider.first_lists(&members).into();
        let key = match config.key.read().await {
            Ok(key) => key,
            Err(error) => {
                let failure = ListError::AdminKey(error.to_string());
                return waiting
                    .into_iter()
                    .map(|list| ListCheck { list, result: Err(failure.clone()) })
                    .collect();
            }
        };
        let fetcher = PageFetcher::new(&config.client, &config.limits, config.provider.headers(&key));
        let mut checks = Vec::new();
        while let Some(list) = waiting.pop_front() {
            let result = fetch_first_page(config, &fetcher, &list).await;
            if let (KeyList::Projects, Ok(page)) = (&list, &result)
                && let Some(project) = first_project(page)
            {
                waiting.extend(config.provider.project_lists(project, &members));
            }
            checks.push(ListCheck { list, result: result.map(|page| page.items.len()) });
        }
        checks
    }
}

/// Fetches the first page of a list. The page of a list that the organization does not have is empty.
async fn fetch_first_page(
    config: &ListConfig,
    fetcher: &PageFetcher<'_>,
    list: &KeyList,
) -> Result<ListPage, ListError> {
    let target = list.target(None).parse().ok();
    let Some(uri) = target.and_then(|target| config.base.join(&target)) else {
        return Err(ListError::Transport("the URL is too long".into()));
    };
    match fetcher.fetch(&uri, list.paging()).await {
        Err(error) if error.is_status(StatusCode::NOT_FOUND) && list.may_be_absent() => {
            Ok(ListPage { items: Vec::new(), next_cursor: None })
        }
        result => result,
    }
}

/// Returns the id of the first project of a page that can be used in a path.
fn first_project(page: &ListPage) -> Option<&str> {
    page.items.iter().filter_map(|item| item.id.as_deref()).find(|id| is_project_id(id))
}
