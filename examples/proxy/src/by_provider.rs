//! One value for each provider: a base URL, the names, or a stack of layers.
use std::task::{Context, Poll, ready};

use http::Request;
use tower::Service;
use tower_api_key_name::names::Provider;

/// A value for each provider. As a service, it calls the stack of the provider that the path belongs to.
#[derive(Clone, Debug, Default)]
pub struct ByProvider<T> {
    pub openai: T,
    pub anthropic: T,
}

impl<T> ByProvider<T> {
    /// Makes a value for each provider. Returns the first error.
    pub fn try_new<E>(mut make: impl FnMut(Provider) -> Result<T, E>) -> Result<Self, E> {
        Ok(Self { openai: make(Provider::OpenAi)?, anthropic: make(Provider::Anthropic)? })
    }

    /// Uses one value for both providers.
    pub fn both(value: T) -> Self
    where
        T: Clone,
    {
        Self { openai: value.clone(), anthropic: value }
    }

    pub fn get(&self, provider: Provider) -> &T {
        match provider {
            Provider::Anthropic => &self.anthropic,
            _ => &self.openai,
        }
    }

    pub fn get_mut(&mut self, provider: Provider) -> &mut T {
        match provider {
            Provider::Anthropic => &mut self.anthropic,
            _ => &mut self.openai,
        }
    }

    /// Returns the values with their providers.
    pub fn iter(&self) -> [(Provider, &T); 2] {
        [(Provider::OpenAi, &self.openai), (Provider::Anthropic, &self.anthropic)]
    }
}

impl<S: Service<Request<A>>, A> Service<Request<A>> for ByProvider<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        ready!(self.openai.poll_ready(cx))?;
        self.anthropic.poll_ready(cx)
    }

    fn call(&mut self, request: Request<A>) -> S::Future {
        match Provider::of_path(request.uri().path()) {
            Some(Provider::Anthropic) => self.anthropic.call(request),
            _ => self.openai.call(request),
        }
    }
}
