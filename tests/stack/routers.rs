//! Under axum's routers, which ask of a layer all that there is to ask, and which take prefixes off paths.

use axum::Router;
use axum::body::Body as AxumBody;
use axum::routing::{any_service, get as on_get};
use http::{StatusCode, Uri};

use super::*;

async fn ask(router: Router, uri: &str) -> Response<AxumBody> {
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
async fn under_layer_and_route_layer() {
    for router in [api().layer(layer()), api().route_layer(layer())] {
        assert_eq!(text(ask(router.clone(), COSTS).await).await, NAMED);
        assert_eq!(text(ask(router.clone(), "/v1/models").await).await, PLAIN);
        assert_eq!(ask(router, "/v1/organization/none").await.status(), StatusCode::NOT_FOUND);
    }
}

#[tokio::test]
async fn on_one_route() {
    let one = Router::new().route("/v1/organization/costs", on_get(costs).layer(layer()));
    assert_eq!(text(ask(one, COSTS).await).await, NAMED);
    let service = tower::ServiceBuilder::new().layer(layer()).service(Upstream::costs());
    let one = Router::new().route("/v1/organization/{*rest}", any_service(service));
    assert_eq!(text(ask(one, COSTS).await).await, NAMED);
}

#[tokio::test]
async fn extractors_see_the_query_that_goes_upstream() {
    let echo = Router::new().route(
        "/v1/organization/costs",
        on_get(|uri: Uri| async move { uri.query().unwrap_or_default().to_owned() }),
    );
    let asked = text(ask(echo.layer(layer()), COSTS).await).await;
    assert_eq!(asked, "start_time=1730419200&group_by=api_key_id");
}

#[tokio::test]
async fn a_nest_takes_its_prefix_off() {
    let uri = "/openai/v1/organization/costs";
    // Inside the nest the path is the API's own: the default scope knows it.
    let inside = Router::new().nest("/openai", api().layer(layer()));
    assert_eq!(text(ask(inside, uri).await).await, NAMED);

    // Outside, the prefix is still there. The default scope says nothing and names nothing;
    let outside = Router::new().nest("/openai", api()).layer(layer());
    assert_eq!(text(ask(outside, uri).await).await, PLAIN);
    // a predicate of one line does.
    let scope = |uri: &Uri| uri.path().starts_with("/openai/v1/organization/");
    let outside = Router::new().nest("/openai", api()).layer(layer().scope(scope));
    assert_eq!(text(ask(outside.clone(), uri).await).await, NAMED);
    assert_eq!(text(ask(outside, "/openai/v1/models").await).await, PLAIN);

    // A nest that takes part of the API's path off with the prefix: what is left is all in scope.
    let rest = || Router::new().route("/costs", on_get(costs));
    let deep = Router::new().nest("/v1/organization", rest().layer(layer()));
    assert_eq!(text(ask(deep, COSTS).await).await, PLAIN);
    let deep = Router::new().nest("/v1/organization", rest().layer(layer().scope(|_| true)));
    assert_eq!(text(ask(deep, COSTS).await).await, NAMED);
}

#[tokio::test]
async fn head_is_answered_by_get() {
    // axum runs the route of GET, writes a Content-Length from the body's hint, and takes the body away: all
    // of it above the layer.
    let router = api().layer(layer());
    let request = Request::head(COSTS).body(AxumBody::empty()).unwrap();
    let response = router.oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert!(!response.headers().contains_key(header::CONTENT_LENGTH), "that of the unnamed page");
    assert!(!response.headers().contains_key(header::ETAG));
    assert!(response.into_body().collect().await.unwrap().to_bytes().is_empty());
}
