//! A test double of an organization's admin API: its lists, with unusual items, and injected failures.

use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::future::pending;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use http::header::{ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER};
use http::request::Parts;
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tower::service_fn;

/// The admin key that the organization accepts.
pub const SECRET: &str = "let-me-in-9fKd2LmQx7Rt";

/// The OAuth token that the organization accepts.
pub const OAUTH_TOKEN: &str = "sk-ant-oat01-test";

pub type OrganizationBody = UnsyncBoxBody<Bytes, io::Error>;

#[derive(Clone)]
pub struct TestKey {
    pub id: String,
    pub name: Value,
    pub account: Option<&'static str>,
    /// The owner has left the project: the key is listed only with `owner_project_access=any`.
    pub orphaned: bool,
}

#[derive(Default)]
pub struct TestProject {
    pub id: String,
    pub archived: bool,
    pub keys: Vec<TestKey>,
    pub service_accounts: Vec<TestItem>,
}

/// An item of a list without keys: its id and all its members.
pub struct TestItem(String, Value);

/// A failure in place of a response.
#[derive(Clone)]
pub enum InjectedFailure {
    Status(u16),
    /// A status with a `Retry-After` header.
    RetryAfter(u16, String),
    /// Headers and the beginning of a body.
    StalledBody,
    /// No headers.
    Hang,
    /// An error of the connection.
    BrokenConnection,
    /// A body with this many bytes that does not end.
    LongBody(usize),
    Compressed,
    /// A 200 with this body.
    Text(&'static str),
}

#[derive(Default)]
pub struct OrganizationState {
    pub projects: Vec<TestProject>,
    pub admin_keys: Vec<TestKey>,
    pub users: Vec<TestItem>,
    pub workspaces: Vec<TestItem>,
    /// Anthropic's service accounts.
    pub service_accounts: Vec<TestItem>,
    /// The failures of the next requests for a path.
    pub next: HashMap<String, VecDeque<InjectedFailure>>,
    /// The failure of each further request for a path.
    pub always: HashMap<String, InjectedFailure>,
    /// The failure of the request with this number, from 0.
    pub on_nth: HashMap<usize, InjectedFailure>,
}

/// The organization. Clones share their state.
#[derive(Clone, Default)]
pub struct Organization(Arc<Inner>);

#[derive(Default)]
struct Inner {
    state: Mutex<OrganizationState>,
    targets: Mutex<Vec<String>>,
    in_flight: AtomicUsize,
    max_in_flight: AtomicUsize,
}

/// Counts a request in flight until it is dropped.
struct InFlightGuard(Arc<Inner>);

impl Drop for InFlightGuard {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, SeqCst);
    }
}

pub fn key(id: impl Into<String>, name: impl Into<Value>) -> TestKey {
    TestKey { id: id.into(), name: name.into(), account: None, orphaned: false }
}

pub fn item(id: &str, name: impl Into<Value>) -> TestItem {
    TestItem(id.to_owned(), json!({"id": id, "name": name.into()}))
}

pub fn user(id: &str, name: impl Into<Value>, email: &str) -> TestItem {
    TestItem(id.to_owned(), json!({"id": id, "name": name.into(), "email": email}))
}

impl Organization {
    /// Creates an organization with projects, of which each tenth is archived, and keys with names of many kinds.
    pub fn new(projects: usize, keys: usize) -> Self {
        let organization = Self::default();
        {
            let mut state = organization.state();
            for nth in 0..projects {
                let id = format!("proj_{nth:04}");
                state.projects.push(TestProject { id, archived: nth % 10 == 9, ..TestProject::default() });
            }
            for nth in 0..keys {
                // A few projects are large, most are small.
                let project = if nth % 3 == 0 { nth % 7 } else { nth % projects } % projects;
                state.projects[project].keys.push(nth_key(nth));
            }
            state.admin_keys = vec![key("key_admin1", "finops"), key("key_admin2", Value::Null)];
        }
        organization
    }

    pub fn state(&self) -> MutexGuard<'_, OrganizationState> {
        self.0.state.lock().unwrap()
    }

    /// The targets of all requests so far.
    pub fn targets(&self) -> Vec<String> {
        self.0.targets.lock().unwrap().clone()
    }

    pub fn requests(&self) -> usize {
        self.0.targets.lock().unwrap().len()
    }

    pub fn max_in_flight(&self) -> usize {
        self.0.max_in_flight.load(SeqCst)
    }

    /// The number of pages of all lists.
    pub fn pages(&self) -> usize {
        let state = self.state();
        let pages = |items: usize| items.div_ceil(100).max(1);
        let keys: usize = state.projects.iter().map(|project| pages(project.keys.len())).sum();
        pages(state.projects.len()) + keys + pages(state.admin_keys.len())
    }

    /// The names that a listing should learn.
    pub fn names(&self) -> HashMap<String, String> {
        let state = self.state();
        let mut names = HashMap::new();
        for key in state.projects.iter().flat_map(|project| &project.keys).chain(&state.admin_keys) {
            let Some(own_name) = key.name.as_str() else { continue };
            let name = match key.account {
                Some(account) if own_name == "Secret Key" => account,
                _ => own_name,
            };
            let is_unusable = name.trim().is_empty() || name.contains(char::is_control);
            if !is_unusable {
                names.insert(key.id.clone(), name.to_owned());
            }
        }
        names
    }

    /// Responds to one request, without a socket. Returns an injected failure, or a page of the list at the path.
    pub async fn respond(&self, request: Parts) -> Result<Response<OrganizationBody>, io::Error> {
        let in_flight = self.0.in_flight.fetch_add(1, SeqCst) + 1;
        self.0.max_in_flight.fetch_max(in_flight, SeqCst);
        let _guard = InFlightGuard(self.0.clone());
        let target = request.uri.path_and_query().unwrap().to_string();
        let nth = {
            let mut targets = self.0.targets.lock().unwrap();
            targets.push(target);
            targets.len() - 1
        };
        // Other requests arrive meanwhile.
        tokio::time::sleep(Duration::from_millis(2)).await;
        let failure = {
            let mut state = self.state();
            let path = request.uri.path();
            let next = state.next.get_mut(path).and_then(VecDeque::pop_front);
            state.on_nth.get(&nth).cloned().or(next).or_else(|| state.always.get(path).cloned())
        };
        match failure {
            Some(failure) => failure.respond().await,
            None => Ok(self.state().route(&request.method, &request.uri, &request.headers)),
        }
    }

    /// Serves on a loopback address.
    pub async fn serve(&self) -> SocketAddr {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let organization = self.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let organization = organization.clone();
                let service = service_fn(move |request: Request<hyper::body::Incoming>| {
                    let organization = organization.clone();
                    async move { organization.respond(request.into_parts().0).await }
                });
                tokio::spawn(async move {
                    let server = auto::Builder::new(TokioExecutor::new());
                    let service = TowerToHyperService::new(service);
                    let _ = server.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        address
    }
}

/// The key with this number. Seven of a hundred have an unusual name or owner.
fn nth_key(nth: usize) -> TestKey {
    let id = format!("key_{nth:05}");
    match nth % 100 {
        7 => key(id, Value::Null),
        17 => key(id, "  "),
        27 => key(id, "tab\there"),
        37 => key(id, "the same name"),
        47 => key(id, format!("ключ «{nth}» 🦀 \"quoted\" \\ back")),
        57 => TestKey { account: Some("nightly indexer"), ..key(id, "Secret Key") },
        67 => TestKey { orphaned: true, ..key(id, format!("orphaned {nth}")) },
        _ => key(id, format!("service-{nth}")),
    }
}

impl OrganizationState {
    /// Checks the headers and the limit of a request, and returns the requested page.
    fn route(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Response<OrganizationBody> {
        assert_eq!((method, &headers[ACCEPT_ENCODING]), (&Method::GET, &"identity".parse().unwrap()));
        let query: HashMap<_, _> =
            uri.query().unwrap_or_default().split('&').filter_map(|pair| pair.split_once('=')).collect();
        let segments: Vec<_> = uri.path().split('/').skip(1).collect();
        if segments[1] == "organizations" {
            return self.route_anthropic(segments[2], &query, headers);
        }
        assert_eq!(headers[AUTHORIZATION], format!("Bearer {SECRET}"));
        assert_eq!(query["limit"], "100");
        let after = query.get("after").copied();
        match segments[..] {
            ["v1", "organization", "projects"] => {
                let with_archived = query.get("include_archived") == Some(&"true");
                let listed = self.projects.iter().filter(|project| with_archived || !project.archived);
                page(&listed.collect::<Vec<_>>(), 100, after)
            }
            ["v1", "organization", "projects", id, "api_keys"] => {
                let with_orphaned = query.get("owner_project_access") == Some(&"any");
                match self.projects.iter().find(|project| project.id == id) {
                    Some(project) => {
                        let listed = project.keys.iter().filter(|key| with_orphaned || !key.orphaned);
                        page(&listed.collect::<Vec<_>>(), 100, after)
                    }
                    None => status_response(404, None),
                }
            }
            ["v1", "organization", "projects", id, "service_accounts"] => {
                let project = self.projects.iter().find(|project| project.id == id);
                let accounts = project.map_or([].as_slice(), |project| &project.service_accounts);
                page(&accounts.iter().collect::<Vec<_>>(), 100, after)
            }
            ["v1", "organization", "users"] => page(&self.users.iter().collect::<Vec<_>>(), 100, after),
            ["v1", "organization", "admin_api_keys"] => {
                page(&self.admin_keys.iter().collect::<Vec<_>>(), 100, after)
            }
            _ => status_response(404, None),
        }
    }
}

impl OrganizationState {
    /// Returns a page of one of Anthropic's lists. Only an OAuth token may list service accounts.
    fn route_anthropic(
        &self,
        list: &str,
        query: &HashMap<&str, &str>,
        headers: &HeaderMap,
    ) -> Response<OrganizationBody> {
        assert_eq!(headers["anthropic-version"], "2023-06-01");
        let is_oauth =
            headers.get(AUTHORIZATION).is_some_and(|value| *value == format!("Bearer {OAUTH_TOKEN}"));
        assert!(is_oauth || headers["x-api-key"] == SECRET);
        let after = query.get("after_id").copied();
        if list != "service_accounts" {
            assert_eq!(query["limit"], "1000");
        }
        match list {
            "api_keys" => {
                let keys = self.projects.iter().flat_map(|project| &project.keys);
                page(&keys.collect::<Vec<_>>(), 1000, after)
            }
            "workspaces" => {
                assert_eq!(query["include_archived"], "true");
                page(&self.workspaces.iter().collect::<Vec<_>>(), 1000, after)
            }
            "users" => page(&self.users.iter().collect::<Vec<_>>(), 1000, after),
            "service_accounts" if is_oauth => {
                assert_eq!(query["include_archived"], "true");
                let page = query.get("page").map_or(0, |page| page.trim_end_matches("%3D").parse().unwrap());
                let data = self.service_accounts.iter().skip(20 * page).take(20);
                let has_next_page = self.service_accounts.len() > 20 * (page + 1);
                let next_page = if has_next_page { json!(format!("{}=", page + 1)) } else { Value::Null };
                let data: Vec<_> = data.map(ListItem::json).collect();
                json_response(json!({"data": data, "next_page": next_page}).to_string())
            }
            "service_accounts" => status_response(401, None),
            _ => status_response(404, None),
        }
    }
}

trait ListItem {
    fn id(&self) -> &str;
    fn json(&self) -> Value;
}

impl ListItem for TestProject {
    fn id(&self) -> &str {
        &self.id
    }

    fn json(&self) -> Value {
        let status = if self.archived { "archived" } else { "active" };
        json!({"id": self.id, "object": "organization.project", "name": "A project", "status": status})
    }
}

impl ListItem for TestItem {
    fn id(&self) -> &str {
        &self.0
    }

    fn json(&self) -> Value {
        self.1.clone()
    }
}

impl ListItem for TestKey {
    fn id(&self) -> &str {
        &self.id
    }

    fn json(&self) -> Value {
        let owner = match self.account {
            Some(name) => {
                json!({"type": "service_account", "service_account": {"id": "svc_1", "name": name}})
            }
            None => {
                json!({"type": "user", "user": {"id": "user_1", "name": "Ana", "email": "ana@example.com"}})
            }
        };
        json!({
            "object": "organization.project.api_key", "redacted_value": "abc...def", "name": self.name,
            "created_at": 1_700_000_000, "last_used_at": null, "id": self.id, "owner": owner,
        })
    }
}

/// A page with at most `limit` items after the item with the id `after`.
fn page<T: ListItem>(items: &[&T], limit: usize, after: Option<&str>) -> Response<OrganizationBody> {
    let start = after.map_or(0, |id| 1 + items.iter().position(|item| item.id() == id).unwrap());
    let end = items.len().min(start + limit);
    let data: Vec<_> = items[start..end].iter().map(|item| item.json()).collect();
    let id = |item: Option<&Value>| item.map_or(Value::Null, |item| item["id"].clone());
    let first_id = id(data.first());
    let last_id = id(data.last());
    let has_more = end < items.len();
    let page = json!({
        "object": "list", "data": data, "first_id": first_id, "last_id": last_id, "has_more": has_more,
    });
    json_response(page.to_string())
}

fn json_response(body: String) -> Response<OrganizationBody> {
    let body = Full::from(body).map_err(|never: Infallible| match never {}).boxed_unsync();
    Response::builder().header(CONTENT_TYPE, "application/json").body(body).unwrap()
}

fn status_response(status: u16, retry_after: Option<&str>) -> Response<OrganizationBody> {
    // The message of an API may contain a part of the key, and must not be repeated.
    let message = format!("message of the API: {SECRET}");
    let mut response = json_response(json!({"error": {"message": message}}).to_string());
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    if let Some(delay) = retry_after {
        response.headers_mut().insert(RETRY_AFTER, delay.parse().unwrap());
    }
    response
}

impl InjectedFailure {
    /// Returns the response with this failure, or the error of the connection. [`InjectedFailure::Hang`] never returns.
    async fn respond(self) -> Result<Response<OrganizationBody>, io::Error> {
        match self {
            Self::Status(code) => Ok(status_response(code, None)),
            Self::RetryAfter(code, delay) => Ok(status_response(code, Some(&delay))),
            Self::StalledBody => Ok(Response::new(unfinished(b"{\"data\":[", 1))),
            Self::Hang => pending().await,
            Self::BrokenConnection => Err(io::Error::other("the connection was reset")),
            Self::LongBody(bytes) => Ok(Response::new(unfinished(&[b' '; 65536], bytes / 65536))),
            Self::Compressed => {
                let mut response = json_response("{}".into());
                response.headers_mut().insert(CONTENT_ENCODING, "gzip".parse().unwrap());
                Ok(response)
            }
            Self::Text(text) => Ok(json_response(text.into())),
        }
    }
}

/// A body that repeats this chunk and then stalls.
fn unfinished(chunk: &'static [u8], times: usize) -> OrganizationBody {
    let chunks = (0..times).map(move |_| Ok(Frame::data(Bytes::from_static(chunk))));
    StreamBody::new(stream::iter(chunks).chain(stream::pending())).boxed_unsync()
}
