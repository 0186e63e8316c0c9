//! The layer under axum's routers, which require more traits than tower, and remove prefixes from paths.

use axum::Router;
use axum::body::Body as AxumBody;
use axum::routing::{any_service, get as on_get};
use http::{StatusCode, Uri};

use super::*;

async fn call(router: Router, uri: &str) -> Response<AxumBody> {
    router.oneshot(Request::get(uri).body(AxumBody::empty()).unwrap()).await.unwrap()
}

async fn text(response: Response<AxumBody>) -> String {
    assert_eq!(response.status(), StatusCode::OK);
    let length = response.headers().get(header::CONTENT_LENGTH).map(|it| it.to_str().unwrap().to_owned());
    let text = String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().into()).unwrap();
    if let Some(length) = length {
        assert_eq!(length, text.len().to_string());
    }
    text
}

async fn costs() -> Response<AxumBody> {
    page(PLAIN.into())
}

fn api() -> Router {
    Router::new().route("/v1/organization/costs", on_get(costs)).route("/v1/models", on_get(costs))
}

#[tokio::test]
async fn router_layer_and_route_layer_amend() {
    for router in [api().layer(layer()), api().route_layer(layer())] {
        assert_eq!(text(call(router.clone(), COSTS).await).await, NAMED);
        assert_eq!(text(call(router.clone(), "/v1/models").await).await, PLAIN);
        assert_eq!(call(router, "/v1/organization/none").await.status(), StatusCode::NOT_FOUND);
    }
}

#[tokio::test]
async fn layer_on_one_route_amends() {
    let one = Router::new().route("/v1/organization/costs", on_get(costs).layer(layer()));
    assert_eq!(text(call(one, COSTS).await).await, NAMED);
    let service = tower::ServiceBuilder::new().layer(layer()).service(Upstream::costs());
    let one = Router::new().route("/v1/organization/{*rest}", any_service(service));
    assert_eq!(text(call(one, COSTS).await).await, NAMED);
}

#[tokio::test]
async fn extractor_below_the_layer_receives_the_rewritten_query() {
    let echo = Router::new().route(
        "/v1/organization/costs",
        on_get(|uri: Uri| async move { uri.query().unwrap_or_default().to_owned() }),
    );
    let query = text(call(echo.layer(layer()), COSTS).await).await;
    assert_eq!(query, "start_time=1730419200&group_by=api_key_id");
}

#[tokio::test]
async fn scope_depends_on_the_prefix_that_a_nest_removes() {
    let uri = "/openai/v1/organization/costs";
    // Inside the nest the path is that of the API, so the default scope matches.
    let inside = Router::new().nest("/openai", api().layer(layer()));
    assert_eq!(text(call(inside, uri).await).await, NAMED);

    // Outside the nest the path has the prefix, so the default scope does not match.
    let outside = Router::new().nest("/openai", api()).layer(layer());
    assert_eq!(text(call(outside, uri).await).await, PLAIN);
    // A predicate for the prefix matches.
    let scope = |uri: &Uri| uri.path().starts_with("/openai/v1/organization/");
    let outside = Router::new().nest("/openai", api()).layer(layer().scope(scope));
    assert_eq!(text(call(outside.clone(), uri).await).await, NAMED);
    assert_eq!(text(call(outside, "/openai/v1/models").await).await, PLAIN);

    // A nest may also remove a part of the API's path.
    let rest = || Router::new().route("/costs", on_get(costs));
    let deep = Router::new().nest("/v1/organization", rest().layer(layer()));
    assert_eq!(text(call(deep, COSTS).await).await, PLAIN);
    let deep = Router::new().nest("/v1/organization", rest().layer(layer().scope(|_| true)));
    assert_eq!(text(call(deep, COSTS).await).await, NAMED);
}

#[tokio::test]
async fn head_request_on_a_get_route_has_no_length() {
    // Above the layer, axum calls the GET route, derives a Content-Length from the size hint, and removes the body.
    let router = api().layer(layer());
    let request = Request::head(COSTS).body(AxumBody::empty()).unwrap();
    let response = router.oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert!(!response.headers().contains_key(header::CONTENT_LENGTH), "the length of the original page");
    assert!(!response.headers().contains_key(header::ETAG));
    assert!(response.into_body().collect().await.unwrap().to_bytes().is_empty());
}
