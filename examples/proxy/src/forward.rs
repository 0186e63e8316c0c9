//! What a gateway changes in a message that it passes on: the target, Via, and whatever belongs to one connection
//! only (RFC 9110 §7.6).
use std::future::Future;
use std::hash::{BuildHasher, RandomState};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::header::{AUTHORIZATION, CONNECTION, COOKIE, SET_COOKIE, TE, VIA};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, Version};
use http_body::Frame;
use pin_project_lite::pin_project;
use tower::{Layer, Service};

use super::base::Base;
use super::errors::Failure;
use super::framing;

/// RFC 9110 §7.6.1, and what older peers send without naming it in Connection. `Trailer` is not among
/// them: it announces the trailers that are passed on, and hyper sends none without it.
fn is_hop_by_hop(name: &[u8]) -> bool {
    matches!(
        name,
        b"connection"
            | b"keep-alive"
            | b"proxy-authenticate"
            | b"proxy-authentication-info"
            | b"proxy-authorization"
            | b"proxy-connection"
            | b"te"
            | b"transfer-encoding"
            | b"upgrade"
    )
}

static SECRETS: [HeaderName; 4] = [AUTHORIZATION, COOKIE, SET_COOKIE, HeaderName::from_static("x-api-key")];

#[derive(Clone)]
pub struct ForwardLayer {
    here: Arc<Here>,
}

#[derive(Clone)]
pub struct Forward<S> {
    inner: S,
    here: Arc<Here>,
}

/// Made once, so that a request costs no formatting.
struct Here {
    base: Base,
    pseudonym: String,
    via_1_0: HeaderValue,
    via_1_1: HeaderValue,
    via_2: HeaderValue,
}

pin_project! {
    pub struct ForwardFuture<F> {
        #[pin]
        state: State<F>,
        here: Arc<Here>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F> {
        Sent { #[pin] answer: F },
        Refused { failure: Option<Failure> },
    }
}

// === impl Here ===

impl Here {
    fn new(base: &Base) -> Self {
        // Random for each process: two proxies in a row are no loop. A pseudonym, not the host's name
        // (RFC 9110 §7.6.3), which is nobody's business upstream.
        let pseudonym = format!("api-key-name-{:016x}", RandomState::new().hash_one(0));
        let via = |protocol: &str| {
            HeaderValue::try_from(format!("{protocol} {pseudonym}"))
                .unwrap_or_else(|_| HeaderValue::from_static("1.1 api-key-name"))
        };
        Self { base: base.clone(), via_1_0: via("1.0"), via_1_1: via("1.1"), via_2: via("2.0"), pseudonym }
    }

    /// `received-protocol` is that of the message that came (RFC 9110 §7.6.3).
    fn via(&self, came_as: Version) -> HeaderValue {
        match came_as {
            Version::HTTP_2 => &self.via_2,
            Version::HTTP_11 => &self.via_1_1,
            _ => &self.via_1_0,
        }
        .clone()
    }

    fn send<A>(&self, request: &mut Request<A>) -> Result<(), Failure> {
        let came_as = request.version();
        let target = request.uri().path_and_query().ok_or(Failure::TooLong)?;
        *request.uri_mut() = self.base.join(target).ok_or(Failure::TooLong)?.into();
        // What the next hop speaks is decided by its connection.
        *request.version_mut() = Version::HTTP_11;

        let headers = request.headers_mut();
        if self.has_seen(headers) {
            return Err(Failure::Loop);
        }
        if !framing::is_plain(headers) {
            return Err(Failure::Coded);
        }
        if !framing::say_once(headers) {
            return Err(Failure::ClientBroke);
        }
        strip(headers);
        if came_as == Version::HTTP_2 {
            join_cookies(headers);
        }
        hide(headers);
        // Trailers are passed on, so they are welcome (RFC 9110 §6.5.1, §10.1.4).
        headers.insert(TE, HeaderValue::from_static("trailers"));
        headers.append(VIA, self.via(came_as));
        Ok(())
    }

    fn answer<B>(&self, response: &mut Response<B>) -> Result<(), Failure> {
        if response.status().is_informational() {
            // Nothing was asked that 101 could be the answer to, and hyper takes care of the others.
            return Err(Failure::Unusable);
        }
        framing::settle(response.status(), response.headers_mut())?;
        let came_as = response.version();
        // An old upstream's version is no word about the connection to the client.
        *response.version_mut() = Version::HTTP_11;
        let headers = response.headers_mut();
        strip(headers);
        hide(headers);
        headers.append(VIA, self.via(came_as));
        Ok(())
    }

    fn has_seen(&self, headers: &HeaderMap) -> bool {
        // `protocol pseudonym (comment), …`. A comma or a space inside a comment splits it too, and does no
        // harm: nobody else knows this word.
        headers.get_all(VIA).iter().any(|line| {
            line.as_bytes()
                .split(|b| matches!(b, b' ' | b'\t' | b','))
                .any(|word| word == self.pseudonym.as_bytes())
        })
    }
}

/// Takes off what Connection names, Connection itself, and the rest of RFC 9110 §7.6.1's list.
pub fn strip(headers: &mut HeaderMap) {
    // Most heads have one at most: looking at the names there are costs less than looking up those on the list.
    let mut going: Vec<HeaderName> =
        headers.keys().filter(|name| is_hop_by_hop(name.as_str().as_bytes())).cloned().collect();
    if going.contains(&CONNECTION) {
        let lines = headers.get_all(CONNECTION).iter();
        let options = lines.flat_map(|line| line.as_bytes().split(|b| *b == b',')).map(<[u8]>::trim_ascii);
        // What is on the list goes anyway.
        let named = options.filter(|option| !is_hop_by_hop(option));
        going.extend(named.filter_map(|option| HeaderName::from_bytes(option).ok()));
    }
    for name in going {
        headers.remove(name);
    }
}

/// Of trailers, too: HTTP/2 would have none of it (RFC 9113 §8.2.2), and break the stream.
pub fn without_hops<D, E>(frame: Option<Result<Frame<D>, E>>) -> Option<Result<Frame<D>, E>> {
    frame.map(|frame| {
        frame.map(|mut frame| {
            frame.trailers_mut().into_iter().for_each(strip);
            frame
        })
    })
}

/// One line of several, which HTTP/2 allows and HTTP/1.1 does not (RFC 9113 §8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let lines: Vec<_> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if lines.len() > 1
        && let Ok(joined) = HeaderValue::from_bytes(&lines.join(&b"; "[..]))
    {
        headers.insert(COOKIE, joined);
    }
}

/// Keeps secrets out of Debug output; and HPACK never indexes them (RFC 7541 §7.1.3).
fn hide(headers: &mut HeaderMap) {
    for (name, value) in headers {
        if SECRETS.contains(name) {
            value.set_sensitive(true);
        }
    }
}

// === impl ForwardLayer, Forward ===

impl ForwardLayer {
    pub fn new(base: &Base) -> Self {
        Self { here: Arc::new(Here::new(base)) }
    }
}

impl<S> Layer<S> for ForwardLayer {
    type Service = Forward<S>;

    fn layer(&self, inner: S) -> Forward<S> {
        Forward { inner, here: self.here.clone() }
    }
}

impl<S, A, B> Service<Request<A>> for Forward<S>
where
    S: Service<Request<A>, Response = Response<B>, Error = Failure>,
{
    type Response = Response<B>;
    type Error = Failure;
    type Future = ForwardFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<A>) -> Self::Future {
        let state = match self.here.send(&mut request) {
            Ok(()) => State::Sent { answer: self.inner.call(request) },
            Err(failure) => State::Refused { failure: Some(failure) },
        };
        ForwardFuture { state, here: self.here.clone() }
    }
}

// === impl ForwardFuture ===

impl<F, B> Future for ForwardFuture<F>
where
    F: Future<Output = Result<Response<B>, Failure>>,
{
    type Output = Result<Response<B>, Failure>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        Poll::Ready(match this.state.project() {
            StateProj::Sent { answer } => {
                let mut response = ready!(answer.poll(cx))?;
                this.here.answer(&mut response).map(|()| response)
            }
            StateProj::Refused { failure } => Err(failure.take().unwrap_or(Failure::Unusable)),
        })
    }
}
