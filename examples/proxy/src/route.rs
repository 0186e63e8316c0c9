//! What is ours: `/health`, and the two organization trees. All else ends here, and what is too much.
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, ALLOW, CONTENT_LENGTH, HOST, MAX_FORWARDS};
use http::{HeaderValue, Method, Request, Response, StatusCode, Version};
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use memchr::memchr3;
use pin_project_lite::pin_project;
use tower::{BoxError, Layer, Service};
use tower_api_key_name::SharedKeyNames;

use super::errors::{self, ErrorForm};
use super::health;
use super::server::Overload;

const ALLOWED: &str = "GET, POST, PUT, PATCH, DELETE, OPTIONS, HEAD";

#[derive(Clone)]
pub struct RouteLayer {
    names: SharedKeyNames,
}

#[derive(Clone)]
pub struct Route<S> {
    inner: S,
    names: SharedKeyNames,
}

pin_project! {
    pub struct RouteFuture<F> {
        #[pin]
        state: State<F>,
        head: bool,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F> {
        Ours { response: Option<Response<Full<Bytes>>> },
        Upstreams { #[pin] answer: F },
    }
}

pin_project! {
    #[project = ContentProj]
    pub enum Content<B> {
        Ours { #[pin] body: Full<Bytes> },
        Upstreams { #[pin] body: B },
        // To HEAD. Its length is not known to be 0: that would be said in the head (RFC 9110 §8.6).
        None,
    }
}

// === what is ours ===

fn in_scope(path: &str) -> bool {
    ["/v1/organization/", "/v1/organizations/"]
        .iter()
        .any(|tree| path.strip_prefix(tree).is_some_and(stays_inside))
}

/// Whether a path below a tree stays in it, whoever resolves it on the way and however (RFC 3986 §5.2.4):
/// no `.` or `..` as a segment, also not percent-encoded, once or more often, not behind a backslash that
/// some read as a slash, nor before `;parameters` that some cut off. Nor an empty segment, which some
/// join. An encoded slash in an id (`%2F`) is fine as long as the same holds for what it divides.
fn stays_inside(path: &str) -> bool {
    // What every SDK sends has none of these, and its segments can be judged as they are.
    if memchr3(b'%', b';', b'\\', path.as_bytes()).is_none() {
        return segments_stay(path.as_bytes());
    }
    // Decoded once by the next hop, once more by the one behind it. More than that is no path.
    let mut path = path.as_bytes().to_vec();
    for round in 0..3 {
        if !segments_stay(&path) {
            return false;
        }
        // What is an escape on the wire is whole; a `%` that comes of `%25` may be just that.
        match decode(&path, round == 0) {
            Decoded::Same => return true,
            Decoded::New(decoded) => path = decoded,
            Decoded::Broken => return false,
        }
    }
    false
}

fn segments_stay(path: &[u8]) -> bool {
    // A path may end in a slash, or be empty: the tree's own root.
    let path = path.strip_suffix(b"/").unwrap_or(path);
    let stays = |segment: &[u8]| {
        !matches!(segment, b"" | b"." | b".." | [b';', ..] | [b'.', b';', ..] | [b'.', b'.', b';', ..])
    };
    path.is_empty() || (!path.contains(&b'\\') && path.split(|b| *b == b'/').all(stays))
}

enum Decoded {
    Same,
    New(Vec<u8>),
    Broken,
}

/// RFC 3986 §2.1. Broken: where it is `strict` a `%` without its two digits, a control character, or bytes
/// that are no UTF-8 (an overlong `%c0%ae` was a dot to some).
fn decode(path: &[u8], strict: bool) -> Decoded {
    let mut decoded = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        let byte = match (byte, rest) {
            (b'%', [high, low, tail @ ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                rest = tail;
                hex(*high) << 4 | hex(*low)
            }
            (b'%', _) if strict => return Decoded::Broken,
            _ => byte,
        };
        if byte.is_ascii_control() {
            return Decoded::Broken;
        }
        decoded.push(byte);
    }
    match std::str::from_utf8(&decoded) {
        Err(_) => Decoded::Broken,
        Ok(_) if decoded.len() == path.len() => Decoded::Same,
        Ok(_) => Decoded::New(decoded),
    }
}

fn hex(digit: u8) -> u8 {
    char::from(digit).to_digit(16).map_or(0, |d| d as u8)
}

/// RFC 9112 §3.2: what has none or several is read in one way here, and in another elsewhere.
fn has_a_host<A>(request: &Request<A>) -> bool {
    match request.headers().get_all(HOST).iter().count() {
        // HTTP/2 has `:authority`, and HTTP/1.0 nothing.
        0 => request.version() != Version::HTTP_11,
        many => many == 1,
    }
}

fn ours<A>(request: &Request<A>, names: &SharedKeyNames) -> Option<Response<Full<Bytes>>> {
    if !has_a_host(request) {
        return Some(errors::proxy_error(
            ErrorForm::for_path(request.uri().path()),
            StatusCode::BAD_REQUEST,
            "bad_request",
            "A request has one Host field.",
        ));
    }
    let path = request.uri().path();
    if path == "/health" {
        return Some(match *request.method() {
            Method::GET | Method::HEAD => health::answer(names),
            _ => wrong_method(request, "GET, HEAD"),
        });
    }
    if !in_scope(path) {
        return Some(errors::proxy_error(
            ErrorForm::for_path(request.uri().path()),
            StatusCode::NOT_FOUND,
            "not_found",
            "Only /health, /v1/organization/* and /v1/organizations/* are served here.",
        ));
    }
    let answer = match *request.method() {
        Method::OPTIONS => last_hop(request),
        Method::GET | Method::POST | Method::PUT | Method::PATCH | Method::DELETE | Method::HEAD => None,
        _ => Some(wrong_method(request, ALLOWED)),
    };
    // Only what goes to the upstream can be too much: all else is answered at any time.
    answer.or_else(|| {
        let overload = request.extensions().get::<Overload>()?;
        (!overload.evict_stalled()).then(|| errors::overloaded(ErrorForm::for_path(path)))
    })
}

fn wrong_method<A>(request: &Request<A>, allowed: &'static str) -> Response<Full<Bytes>> {
    let mut response = errors::proxy_error(
        ErrorForm::for_path(request.uri().path()),
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        "This method is not passed on.",
    );
    // RFC 9110 §15.5.6
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    response
}

/// RFC 9110 §7.6.2: `OPTIONS` with `Max-Forwards: 0` is for whoever got it.
fn last_hop<A>(request: &Request<A>) -> Option<Response<Full<Bytes>>> {
    let zero = request.headers().get(MAX_FORWARDS)?.as_bytes() == b"0";
    zero.then(|| {
        let mut response = Response::new(Full::default());
        *response.status_mut() = StatusCode::NO_CONTENT;
        response.headers_mut().insert(ALLOW, HeaderValue::from_static(ALLOWED));
        response
    })
}

// === impl RouteLayer, Route ===

impl RouteLayer {
    pub fn new(names: SharedKeyNames) -> Self {
        Self { names }
    }
}

impl<S> Layer<S> for RouteLayer {
    type Service = Route<S>;

    fn layer(&self, inner: S) -> Route<S> {
        Route { inner, names: self.names.clone() }
    }
}

impl<S, A, B> Service<Request<A>> for Route<S>
where
    S: Service<Request<A>, Response = Response<B>, Error = Infallible>,
{
    type Response = Response<Content<B>>;
    type Error = Infallible;
    type Future = RouteFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<A>) -> Self::Future {
        let head = *request.method() == Method::HEAD;
        let state = match ours(&request, &self.names) {
            Some(response) => State::Ours { response: Some(response) },
            None => {
                if head {
                    // Nothing to compress; the coding that GET would have may be left out (RFC 9110 §9.3.2).
                    request.headers_mut().remove(ACCEPT_ENCODING);
                } else if *request.method() == Method::OPTIONS {
                    one_hop_less(&mut request);
                }
                State::Upstreams { answer: self.inner.call(request) }
            }
        };
        RouteFuture { state, head }
    }
}

/// RFC 9110 §7.6.2: one less for the next.
fn one_hop_less<A>(request: &mut Request<A>) {
    let headers = request.headers_mut();
    let hops = headers.get(MAX_FORWARDS).and_then(|v| v.to_str().ok()?.parse::<u32>().ok());
    if let Some(hops) = hops {
        headers.insert(MAX_FORWARDS, hops.saturating_sub(1).into());
    }
}

// === impl RouteFuture ===

impl<F, B> Future for RouteFuture<F>
where
    F: Future<Output = Result<Response<B>, Infallible>>,
{
    type Output = Result<Response<Content<B>>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut response = match this.state.project() {
            // Polled again after its end: against the contract, and still no reason to panic.
            StateProj::Ours { response } => {
                response.take().unwrap_or_default().map(|body| Content::Ours { body })
            }
            StateProj::Upstreams { answer } => match ready!(answer.poll(cx)) {
                Ok(response) => response.map(|body| Content::Upstreams { body }),
            },
        };
        if *this.head {
            // hyper's HTTP/1 leaves content out of the answer to HEAD, its HTTP/2 does not.
            if let Content::Ours { body } = response.body() {
                let length = body.size_hint().exact().unwrap_or_default();
                response.headers_mut().insert(CONTENT_LENGTH, length.into());
            }
            response = response.map(|_| Content::None);
        }
        Poll::Ready(Ok(response))
    }
}

// === impl Content ===

impl<B> Body for Content<B>
where
    B: Body<Data = Bytes, Error = BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.project() {
            ContentProj::Ours { body } => body.poll_frame(cx).map_err(|never| match never {}),
            ContentProj::Upstreams { body } => body.poll_frame(cx),
            ContentProj::None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Ours { body } => body.is_end_stream(),
            Self::Upstreams { body } => body.is_end_stream(),
            Self::None => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Ours { body } => body.size_hint(),
            Self::Upstreams { body } => body.size_hint(),
            Self::None => SizeHint::default(),
        }
    }
}
