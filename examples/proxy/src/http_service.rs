//! The bounds of the services in the stack.
use http::{Request, Response};
use tower::Service;

/// A service of the stack. It is always ready, so a layer calls the inner service without waiting.
pub trait HttpService<A, B, E>:
    Service<Request<A>, Response = Response<B>, Error = E, Future: Send + 'static> + Clone + Send + 'static
{
}

impl<S, A, B, E> HttpService<A, B, E> for S where
    S: Service<Request<A>, Response = Response<B>, Error = E, Future: Send + 'static>
        + Clone
        + Send
        + 'static
{
}
