//! An organization that stands in for the API: its lists, as full of odd things as real ones, and its bad days.

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

pub(crate) const SECRET: &str = "let-me-in-9fKd2LmQx7Rt";

pub(crate) type Body = UnsyncBoxBody<Bytes, io::Error>;

#[derive(Clone)]
pub(crate) struct Key {
    pub(crate) id: String,
    pub(crate) name: Value,
    pub(crate) account: Option<&'static str>,
    /// Its owner has left the project: listed only to who asks for `any`.
    pub(crate) orphaned: bool,
}

pub(crate) struct Project {
    pub(crate) id: String,
    pub(crate) archived: bool,
    pub(crate) keys: Vec<Key>,
}

/// What can happen to a request in place of its answer.
#[derive(Clone)]
pub(crate) enum Fault {
    Status(u16),
    Wait(u16, String),
    /// A head, half a body, and then silence.
    Stall,
    /// Not even a head.
    Hang,
    /// The connection breaks.
    Break,
    /// So many bytes, without end in sight.
    Long(usize),
    Compressed,
    Text(&'static str),
}

#[derive(Default)]
pub(crate) struct Lists {
    pub(crate) projects: Vec<Project>,
    pub(crate) admin_keys: Vec<Key>,
    /// By path: what happens to the next requests for it. The last one stays where it stands alone in `always`.
    pub(crate) faults: HashMap<String, VecDeque<Fault>>,
    pub(crate) always: HashMap<String, Fault>,
    /// To every request with that number, from 0.
    pub(crate) on_nth: HashMap<usize, Fault>,
}

#[derive(Clone, Default)]
pub(crate) struct Organization(Arc<Inner>);

#[derive(Default)]
struct Inner {
    lists: Mutex<Lists>,
    asked: Mutex<Vec<String>>,
    now: AtomicUsize,
    most: AtomicUsize,
}

/// One request, for as long as it is being answered.
struct InFlight(Arc<Inner>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, SeqCst);
    }
}

pub(crate) fn key(id: impl Into<String>, name: impl Into<Value>) -> Key {
    Key { id: id.into(), name: name.into(), account: None, orphaned: false }
}

impl Organization {
    /// So many projects with so many keys in all, some odd: every tenth project archived, names of every kind.
    pub(crate) fn new(projects: usize, keys: usize) -> Self {
        let organization = Self::default();
        {
            let mut lists = organization.lists();
            for nth in 0..projects {
                let id = format!("proj_{nth:04}");
                lists.projects.push(Project { id, archived: nth % 10 == 9, keys: Vec::new() });
            }
            for nth in 0..keys {
                // A few projects are large, most are small.
                let project = if nth % 3 == 0 { nth % 7 } else { nth % projects } % projects;
                lists.projects[project].keys.push(odd_key(nth));
            }
            lists.admin_keys = vec![key("key_admin1", "finops"), key("key_admin2", Value::Null)];
        }
        organization
    }

    pub(crate) fn lists(&self) -> MutexGuard<'_, Lists> {
        self.0.lists.lock().unwrap()
    }

    /// Path and query of every request so far.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.0.asked.lock().unwrap().clone()
    }

    pub(crate) fn requests(&self) -> usize {
        self.0.asked.lock().unwrap().len()
    }

    /// The most requests that were under way at once.
    pub(crate) fn most(&self) -> usize {
        self.0.most.load(SeqCst)
    }

    /// How many pages there are, as full as they can be.
    pub(crate) fn pages(&self) -> usize {
        let lists = self.lists();
        let pages = |items: usize| items.div_ceil(100).max(1);
        let keys: usize = lists.projects.iter().map(|project| pages(project.keys.len())).sum();
        pages(lists.projects.len()) + keys + pages(lists.admin_keys.len())
    }

    /// The names that a walk should learn.
    pub(crate) fn names(&self) -> HashMap<String, String> {
        let lists = self.lists();
        let all = lists.projects.iter().flat_map(|project| &project.keys).chain(&lists.admin_keys);
        all.filter_map(|key| {
            let name = match (key.name.as_str()?, key.account) {
                ("Secret Key", Some(account)) => account,
                (name, _) if name.trim().is_empty() || name.contains(char::is_control) => return None,
                (name, _) => name,
            };
            Some((key.id.clone(), name.to_owned()))
        })
        .collect()
    }

    /// The service itself: for tests that stop the clock, which sockets do not know of.
    pub(crate) async fn answer(&self, head: http::request::Parts) -> Result<Response<Body>, io::Error> {
        let now = self.0.now.fetch_add(1, SeqCst) + 1;
        self.0.most.fetch_max(now, SeqCst);
        let _in_flight = InFlight(self.0.clone());
        let target = head.uri.path_and_query().unwrap().to_string();
        let nth = {
            let mut asked = self.0.asked.lock().unwrap();
            asked.push(target);
            asked.len() - 1
        };
        // So that others come meanwhile.
        tokio::time::sleep(Duration::from_millis(2)).await;
        let answer = {
            let mut lists = self.lists();
            let path = head.uri.path();
            let planned = lists.faults.get_mut(path).and_then(VecDeque::pop_front);
            let fault =
                lists.on_nth.get(&nth).cloned().or(planned).or_else(|| lists.always.get(path).cloned());
            match fault {
                Some(fault) => Err(fault),
                None => Ok(lists.route(&head.method, &head.uri, &head.headers)),
            }
        };
        match answer {
            Ok(answer) => Ok(answer),
            Err(fault) => fault.happen().await,
        }
    }

    /// Over loopback.
    pub(crate) async fn serve(&self) -> SocketAddr {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let organization = self.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let organization = organization.clone();
                let service = service_fn(move |request: Request<hyper::body::Incoming>| {
                    let organization = organization.clone();
                    async move { organization.answer(request.into_parts().0).await }
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

fn odd_key(nth: usize) -> Key {
    let id = format!("key_{nth:05}");
    match nth % 100 {
        7 => key(id, Value::Null),
        17 => key(id, "  "),
        27 => key(id, "tab\there"),
        37 => key(id, "the same name"),
        47 => key(id, format!("ключ «{nth}» 🦀 \"quoted\" \\ back")),
        57 => Key { account: Some("nightly indexer"), ..key(id, "Secret Key") },
        67 => Key { orphaned: true, ..key(id, format!("orphaned {nth}")) },
        _ => key(id, format!("service-{nth}")),
    }
}

impl Lists {
    fn route(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Response<Body> {
        assert_eq!((method, &headers[ACCEPT_ENCODING]), (&Method::GET, &"identity".parse().unwrap()));
        let query: HashMap<_, _> =
            uri.query().unwrap_or_default().split('&').filter_map(|pair| pair.split_once('=')).collect();
        let parts: Vec<_> = uri.path().split('/').skip(1).collect();
        if parts[1] == "organizations" {
            assert!(headers["x-api-key"] == SECRET && headers["anthropic-version"] == "2023-06-01");
            assert_eq!((parts[2], query["limit"]), ("api_keys", "1000"));
            let keys: Vec<_> = self.projects.iter().flat_map(|project| &project.keys).collect();
            return page(&keys, 1000, query.get("after_id").copied());
        }
        assert_eq!(headers[AUTHORIZATION], format!("Bearer {SECRET}"));
        assert_eq!(query["limit"], "100");
        let after = query.get("after").copied();
        match parts[..] {
            ["v1", "organization", "projects"] => {
                let all = query.get("include_archived") == Some(&"true");
                let listed = self.projects.iter().filter(|project| all || !project.archived);
                page(&listed.collect::<Vec<_>>(), 100, after)
            }
            ["v1", "organization", "projects", id, "api_keys"] => {
                let any = query.get("owner_project_access") == Some(&"any");
                match self.projects.iter().find(|project| project.id == id) {
                    Some(project) => {
                        let listed = project.keys.iter().filter(|key| any || !key.orphaned);
                        page(&listed.collect::<Vec<_>>(), 100, after)
                    }
                    None => status(404, None),
                }
            }
            ["v1", "organization", "admin_api_keys"] => {
                page(&self.admin_keys.iter().collect::<Vec<_>>(), 100, after)
            }
            _ => status(404, None),
        }
    }
}

impl Listed for Project {
    fn id(&self) -> &str {
        &self.id
    }

    fn json(&self) -> Value {
        let status = if self.archived { "archived" } else { "active" };
        json!({"id": self.id, "object": "organization.project", "name": "A project", "status": status})
    }
}

impl Listed for Key {
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

trait Listed {
    fn id(&self) -> &str;
    fn json(&self) -> Value;
}

/// The items behind this cursor, as many as there may be.
fn page<T: Listed>(items: &[&T], limit: usize, after: Option<&str>) -> Response<Body> {
    let start = after.map_or(0, |id| 1 + items.iter().position(|item| item.id() == id).unwrap());
    let end = items.len().min(start + limit);
    let data: Vec<_> = items[start..end].iter().map(|item| item.json()).collect();
    let id = |item: Option<&Value>| item.map_or(Value::Null, |item| item["id"].clone());
    let (first, last) = (id(data.first()), id(data.last()));
    let has_more = end < items.len();
    json_answer(
        json!({"object": "list", "data": data, "first_id": first, "last_id": last, "has_more": has_more})
            .to_string(),
    )
}

fn json_answer(body: String) -> Response<Body> {
    let body = Full::from(body).map_err(|never: Infallible| match never {}).boxed_unsync();
    Response::builder().header(CONTENT_TYPE, "application/json").body(body).unwrap()
}

fn status(status: u16, retry_after: Option<&str>) -> Response<Body> {
    // An API's own words can hold a part of the key: none of them may be repeated.
    let mut answer = json_answer(json!({"error": {"message": format!("odd words: {SECRET}")}}).to_string());
    *answer.status_mut() = StatusCode::from_u16(status).unwrap();
    if let Some(wait) = retry_after {
        answer.headers_mut().insert(RETRY_AFTER, wait.parse().unwrap());
    }
    answer
}

impl Fault {
    async fn happen(self) -> Result<Response<Body>, io::Error> {
        match self {
            Self::Status(code) => Ok(status(code, None)),
            Self::Wait(code, wait) => Ok(status(code, Some(&wait))),
            Self::Stall => Ok(Response::new(unfinished(b"{\"data\":[", 1))),
            Self::Hang => pending().await,
            Self::Break => Err(io::Error::other("the connection was reset")),
            Self::Long(bytes) => Ok(Response::new(unfinished(&[b' '; 65536], bytes / 65536))),
            Self::Compressed => {
                let mut answer = json_answer("{}".into());
                answer.headers_mut().insert(CONTENT_ENCODING, "gzip".parse().unwrap());
                Ok(answer)
            }
            Self::Text(text) => Ok(json_answer(text.into())),
        }
    }
}

/// This chunk so many times, and then nothing: it never ends.
fn unfinished(chunk: &'static [u8], times: usize) -> Body {
    let chunks = (0..times).map(move |_| Ok(Frame::data(Bytes::from_static(chunk))));
    StreamBody::new(stream::iter(chunks).chain(stream::pending())).boxed_unsync()
}
