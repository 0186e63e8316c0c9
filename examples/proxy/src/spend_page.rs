//! The page `/spend`: its files, and the run that fills it.
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use tower::BoxError;

use crate::stack::errors::ErrorFormat;

/// A body that is complete, or the lines of a run.
pub type PageBody = Either<Full<Bytes>, UnsyncBoxBody<Bytes, BoxError>>;

/// The page or a file that it loads.
pub struct PageFile {
    pub content_type: &'static str,
    pub content: &'static str,
}

/// Returns the file at a path, or `None` if there is none.
pub fn file(path: &str) -> Option<PageFile> {
    let (content_type, content) = match path {
        "/spend" => ("text/html; charset=utf-8", include_str!("spend_page/page.html")),
        "/spend.js" => ("text/javascript; charset=utf-8", include_str!("spend_page/page.js")),
        "/spend.css" => ("text/css; charset=utf-8", include_str!("spend_page/page.css")),
        _ => return None,
    };
    Some(PageFile { content_type, content })
}

/// Starts a run with the parameters in the body of the request. Returns a 501, because runs are not implemented.
pub async fn run(_request: Request<Incoming>) -> Response<PageBody> {
    let message = "This version cannot run a report.";
    ErrorFormat::OpenAi.response(StatusCode::NOT_IMPLEMENTED, "not_implemented", message).map(Either::Left)
}
