//! Retries and deadlines. The clock is paused, so waiting takes no time.

use std::time::{Duration, SystemTime};

use test_support::organization::{InjectedFailure, Organization};
use tokio::time::Instant;
use tower_api_key_name::directory::{FollowerEvent, ListError};

use crate::{assert_names, directory, missing};

#[tokio::test(start_paused = true)]
async fn transient_failure_costs_one_retry_and_no_name() {
    let organization = Organization::new(250, 12_000);
    let date = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(4));
    let failures = [
        InjectedFailure::Status(429),
        InjectedFailure::RetryAfter(429, "3".into()),
        InjectedFailure::Status(500),
        InjectedFailure::RetryAfter(503, "1".into()),
        InjectedFailure::RetryAfter(429, date),
        InjectedFailure::Status(502),
        InjectedFailure::BrokenConnection,
        InjectedFailure::StalledBody,
        InjectedFailure::Hang,
        InjectedFailure::Status(504),
    ];
    {
        let mut state = organization.state();
        for (nth, failure) in failures.iter().cycle().take(100).enumerate() {
            let path = match nth {
                0 => "/v1/organization/projects".into(),
                1 => "/v1/organization/admin_api_keys".into(),
                nth => format!("/v1/organization/projects/proj_{:04}/api_keys", nth * 2),
            };
            state.next.insert(path, [failure.clone()].into());
        }
    }
    let listing = directory(&organization).list().await;
    assert_eq!(missing(&listing), [""; 0]);
    assert_names(&listing.names, &organization);
    assert_eq!(listing.retries, 100);
    assert_eq!(organization.requests(), organization.pages() + 100);
    assert_eq!(listing.requests, organization.requests());
    assert!(organization.max_in_flight() <= 8);
}

#[tokio::test(start_paused = true)]
async fn requested_delay_pauses_all_requests() {
    let organization = Organization::new(40, 40);
    organization.state().on_nth.insert(20, InjectedFailure::RetryAfter(429, "25".into()));
    let start = Instant::now();
    let listing = tokio::spawn({
        let directory = directory(&organization);
        async move { directory.list().await }
    });
    tokio::time::sleep(Duration::from_secs(24)).await;
    // Requests in flight continued, and no request was started.
    let requests = organization.requests();
    assert!((21..=28).contains(&requests), "{requests}");
    assert!(listing.await.unwrap().is_complete());
    assert!(start.elapsed() >= Duration::from_secs(25) && start.elapsed() < Duration::from_secs(30));
}

#[tokio::test(start_paused = true)]
async fn page_that_fails_for_a_minute_is_missing_alone() {
    for (failure, reason) in [
        (InjectedFailure::Status(500), "the API responded with 500 repeatedly; try later"),
        (InjectedFailure::StalledBody, "no complete response within 30 s"),
        (InjectedFailure::Hang, "no complete response within 30 s"),
        (InjectedFailure::BrokenConnection, "the API cannot be reached: the connection was reset"),
        (
            InjectedFailure::RetryAfter(429, "61".into()),
            "the API responded with 429 and requests a delay of 61 s, which is too long",
        ),
    ] {
        let organization = Organization::new(30, 300);
        let path = "/v1/organization/projects/proj_0007/api_keys";
        organization.state().always.insert(path.into(), failure);
        let start = Instant::now();
        let listing = directory(&organization).list().await;
        assert!(start.elapsed() < Duration::from_secs(95), "{:?}", start.elapsed());
        assert_eq!(listing.missing.len(), 1);
        let missing = &listing.missing[0];
        assert!(missing.to_string().starts_with(&format!("the keys of proj_0007: {reason}")), "{missing}");
        assert!(!missing.is_permanent());
        assert_eq!(organization.requests(), organization.pages() + listing.retries);
        assert!(listing.retries < 20);
        organization.state().projects[7].keys.clear();
        assert_names(&listing.names, &organization);
    }
}

#[tokio::test(start_paused = true)]
async fn listing_with_hanging_lists_ends_at_its_deadline() {
    // 250 lists that time out after 30 s take longer than the deadline.
    let organization = Organization::new(250, 1000);
    for nth in 0..250 {
        let path = format!("/v1/organization/projects/proj_{nth:04}/api_keys");
        organization.state().always.insert(path, InjectedFailure::Hang);
    }
    let start = Instant::now();
    let listing = directory(&organization).list().await;
    assert_eq!(start.elapsed().as_secs(), 300);
    assert_eq!((listing.missing.len(), listing.keys()), (250, 2));
    assert!(listing.missing.iter().any(|missing| missing.error == ListError::DeadlineExceeded));
    assert!(organization.requests() < 150, "{}", organization.requests());
    assert!(listing.missing.iter().all(|missing| !missing.is_permanent()));
}

#[tokio::test(start_paused = true)]
async fn unreachable_api_is_given_up_after_a_minute() {
    let organization = Organization::new(250, 1000);
    organization.state().on_nth = (0..10_000).map(|nth| (nth, InjectedFailure::BrokenConnection)).collect();
    let start = Instant::now();
    let listing = directory(&organization).list().await;
    assert!(start.elapsed() < Duration::from_secs(61));
    assert_eq!((listing.missing.len(), listing.keys()), (2, 0));
    assert!(organization.requests() < 40);
}

/// A delay requested for one list pauses the others, but not beyond their own time for retries.
#[tokio::test(start_paused = true)]
async fn pause_for_another_list_counts_towards_the_retry_timeout() {
    let organization = Organization::new(3, 30);
    {
        let mut state = organization.state();
        let delay = InjectedFailure::RetryAfter(429, "55".into());
        state.always.insert("/v1/organization/projects".into(), delay);
        state.always.insert("/v1/organization/admin_api_keys".into(), InjectedFailure::Hang);
    }
    let start = Instant::now();
    let listing = directory(&organization).list().await;
    assert_eq!(listing.missing.len(), 2);
    assert!(start.elapsed() <= Duration::from_secs(61), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn longest_possible_durations_do_not_overflow() {
    let directory = directory(&Organization::new(3, 30))
        .timeout(Duration::MAX)
        .retry_timeout(Duration::MAX)
        .deadline(Duration::MAX)
        .interval(Duration::MAX)
        .min_interval(Duration::MAX);
    assert!(directory.list().await.is_complete());
    let folder = tempfile::tempdir().unwrap();
    let (_names, follower) = directory.watch([] as [&str; 0], folder.path().join("learned.json")).unwrap();
    let (sender, mut events) = tokio::sync::mpsc::unbounded_channel();
    let follower = tokio::spawn(follower.run(move |event| sender.send(event).unwrap()));
    assert!(matches!(events.recv().await, Some(FollowerEvent::Listed(_))));
    tokio::time::sleep(Duration::from_secs(86_400)).await;
    assert!(!follower.is_finished());
    follower.abort();
}

#[tokio::test(start_paused = true)]
async fn shorter_timeouts_end_a_listing_earlier() {
    let organization = Organization::new(3, 30);
    organization.state().always.insert("/v1/organization/admin_api_keys".into(), InjectedFailure::Hang);
    let start = Instant::now();
    let directory =
        directory(&organization).timeout(Duration::from_secs(2)).retry_timeout(Duration::from_secs(5));
    let listing = directory.list().await;
    assert!(start.elapsed() <= Duration::from_secs(8), "{:?}", start.elapsed());
    assert!(missing(&listing)[0].contains("within 2 s"));
    let start = Instant::now();
    directory.deadline(Duration::from_secs(1)).list().await;
    assert_eq!(start.elapsed().as_secs(), 1);
}
