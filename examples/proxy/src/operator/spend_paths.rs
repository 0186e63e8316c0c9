//! The paths `/spend*`: the page, its files and its runs. Checks and headers protect the keys that users enter.
use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{Either, Full};
use hyper::body::Incoming;

use super::hosts::{AllowedHosts, has_foreign_origin};
use crate::spend_page::{self, PageBody, PageRuns};
use crate::stack::errors::ErrorFormat;

/// The headers of each response, also of errors.
const SECURITY_HEADERS: [(HeaderName, &str); 6] = [
    (
        CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (REFERRER_POLICY, "no-referrer"),
    (CACHE_CONTROL, "no-store"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
];

/// The runs of the page, and the hosts for which the page is served.
#[derive(Clone)]
pub struct PageWithHosts {
    pub hosts: AllowedHosts,
    pub runs: PageRuns,
}

impl PageWithHosts {
    /// Returns the response to a request for a path that begins with `/spend`. The caller adds the security headers.
    pub(super) async fn respond(&self, request: Request<Incoming>) -> Response<PageBody> {
        if !self.hosts.is_allowed(&request) {
            host_not_allowed().map(Either::Left)
        } else if request.uri().path() == "/spend.json" {
            self.respond_with_run(request).await
        } else {
            respond_with_file(&request, self.runs.has_ledger()).map(Either::Left)
        }
    }

    /// Starts a run and returns its response. Returns an error if another website may have sent the request.
    async fn respond_with_run(&self, request: Request<Incoming>) -> Response<PageBody> {
        match reject_run(&request) {
            Some(rejection) => rejection.map(Either::Left),
            None => self.runs.start(request).await,
        }
    }
}

/// Returns a 421 (RFC 9110 §15.5.20). Its message contains the flag that allows a host.
fn host_not_allowed() -> Response<Full<Bytes>> {
    let message = "/spend is not served for the host of this request, which protects it from other websites (DNS \
                   rebinding). If the host belongs to this proxy, start it with --allowed-host HOST.";
    ErrorFormat::OpenAi.response(StatusCode::MISDIRECTED_REQUEST, "host_not_allowed", message)
}

/// Returns the error for a request with another method, from another website, or without JSON. `None` if a run may start.
fn reject_run<A>(request: &Request<A>) -> Option<Response<Full<Bytes>>> {
    let form = ErrorFormat::OpenAi;
    if request.method() != Method::POST {
        return Some(form.method_not_allowed("POST"));
    }
    if has_foreign_origin(request) || is_cross_site(request.headers()) {
        let message = "This request was sent by another website. If another proxy is in front of this one, it must \
                       pass on the Host header.";
        return Some(form.response(StatusCode::FORBIDDEN, "cross_origin", message));
    }
    // A script of another website cannot send this type without a preflight request, which receives a 405.
    if !is_json(request.headers()) {
        let message = "The Content-Type of a run is application/json.";
        return Some(form.response(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", message));
    }
    None
}

/// True if a browser reports that a script or page of another origin sent the request. Other clients report nothing.
fn is_cross_site(headers: &HeaderMap) -> bool {
    match headers.get("sec-fetch-site") {
        Some(site) => site != "same-origin" && site != "none",
        None => false,
    }
}

/// True if the content type is JSON. Its parameters are not checked.
fn is_json(headers: &HeaderMap) -> bool {
    let Some(content_type) = headers.get(CONTENT_TYPE) else { return false };
    let text = content_type.to_str().unwrap_or_default();
    let media_type = text.split(';').next().unwrap_or_default();
    media_type.trim().eq_ignore_ascii_case("application/json")
}

/// Returns the page or one of its files, or an error for another path or method.
fn respond_with_file<A>(request: &Request<A>, has_ledger: bool) -> Response<Full<Bytes>> {
    let Some(file) = spend_page::file(request.uri().path(), has_ledger) else {
        let message = "The page is at /spend.";
        return ErrorFormat::OpenAi.response(StatusCode::NOT_FOUND, "not_found", message);
    };
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return ErrorFormat::OpenAi.method_not_allowed("GET, HEAD");
    }
    let mut response = Response::new(Full::from(file.content));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(file.content_type));
    response
}

/// Adds the headers of the paths `/spend*`.
pub(super) fn insert_security_headers(headers: &mut HeaderMap) {
    for (name, value) in SECURITY_HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
}
