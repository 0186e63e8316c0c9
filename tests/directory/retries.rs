//! Bad days: what is asked again, how often, and when it is given up. The clock stands still but for waiting.

use super::organization::{Fault, Organization};
use super::{assert_names, directory, missing};
use std::time::{Duration, SystemTime};
use tokio::time::Instant;
use tower_api_key_name::SharedKeyNames;

#[tokio::test(start_paused = true)]
async fn a_bad_day_costs_one_retry_a_fault_and_no_name() {
    let organization = Organization::new(250, 12_000);
    let date = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(4));
    let faults = [
        Fault::Status(429),
        Fault::Wait(429, "3".into()),
        Fault::Status(500),
        Fault::Wait(503, "1".into()),
        Fault::Wait(429, date),
        Fault::Status(502),
        Fault::Break,
        Fault::Stall,
        Fault::Hang,
        Fault::Status(504),
    ];
    {
        let mut lists = organization.lists();
        for (nth, fault) in faults.iter().cycle().take(100).enumerate() {
            let path = match nth {
                0 => "/v1/organization/projects".into(),
                1 => "/v1/organization/admin_api_keys".into(),
                nth => format!("/v1/organization/projects/proj_{:04}/api_keys", nth * 2),
            };
            lists.faults.insert(path, [fault.clone()].into());
        }
    }
    let listing = directory(&organization).walk().await;
    assert_eq!(missing(&listing), [""; 0]);
    assert_names(listing.names(), &organization);
    assert_eq!(listing.retries(), 100);
    assert_eq!(organization.requests(), organization.pages() + 100);
    assert_eq!(listing.requests(), organization.requests());
    assert!(organization.most() <= 8);
}

#[tokio::test(start_paused = true)]
async fn who_is_asked_to_wait_lets_the_others_wait_too() {
    let organization = Organization::new(40, 40);
    organization.lists().on_nth.insert(20, Fault::Wait(429, "25".into()));
    let (start, told) = (Instant::now(), organization.clone());
    let walk = tokio::spawn({
        let directory = directory(&organization);
        async move { directory.walk().await }
    });
    tokio::time::sleep(Duration::from_secs(24)).await;
    // What was under way was answered; nothing new was asked.
    let asked = told.requests();
    assert!((21..=28).contains(&asked), "{asked}");
    assert!(walk.await.unwrap().is_complete());
    assert!(start.elapsed() >= Duration::from_secs(25) && start.elapsed() < Duration::from_secs(30));
}

#[tokio::test(start_paused = true)]
async fn one_page_that_never_comes_is_given_up_after_a_minute() {
    for (fault, reason) in [
        (Fault::Status(500), "the API answered 500 again and again; try later"),
        (Fault::Stall, "no whole answer came within 30 s"),
        (Fault::Hang, "no whole answer came within 30 s"),
        (Fault::Break, "the API cannot be reached: the connection was reset"),
        (
            Fault::Wait(429, "61".into()),
            "the API answered 429 and asks to wait for 61 s, longer than there is time",
        ),
    ] {
        let organization = Organization::new(30, 300);
        let path = "/v1/organization/projects/proj_0007/api_keys";
        organization.lists().always.insert(path.into(), fault);
        let start = Instant::now();
        let listing = directory(&organization).walk().await;
        assert!(start.elapsed() < Duration::from_secs(95), "{:?}", start.elapsed());
        assert_eq!(listing.missing().len(), 1);
        let missing = &listing.missing()[0];
        assert!(missing.to_string().starts_with(&format!("the keys of proj_0007: {reason}")), "{missing}");
        assert!(!missing.lasting);
        assert_eq!(organization.requests(), organization.pages() + listing.retries());
        assert!(listing.retries() < 20);
        organization.lists().projects[7].keys.clear();
        assert_names(listing.names(), &organization);
    }
}

#[tokio::test(start_paused = true)]
async fn a_walk_ends_in_time_whatever_happens() {
    // Every project's keys hang: 250 × 30 s would be longer than there is.
    let organization = Organization::new(250, 1000);
    for nth in 0..250 {
        let path = format!("/v1/organization/projects/proj_{nth:04}/api_keys");
        organization.lists().always.insert(path, Fault::Hang);
    }
    let start = Instant::now();
    let listing = directory(&organization).walk().await;
    assert_eq!(start.elapsed().as_secs(), 300);
    assert_eq!((listing.missing().len(), listing.keys()), (250, 2), "what could be read was");
    assert!(listing.missing().iter().any(|missing| missing.why.contains("the walk's time was over")));
    assert!(organization.requests() < 150, "{}", organization.requests());
    assert!(listing.missing().iter().all(|missing| !missing.lasting));

    // Nobody answers at all: it does not take the whole time to say so.
    let organization = Organization::new(250, 1000);
    organization.lists().on_nth = (0..10_000).map(|nth| (nth, Fault::Break)).collect();
    let start = Instant::now();
    let listing = directory(&organization).walk().await;
    assert!(start.elapsed() < Duration::from_secs(61));
    assert_eq!((listing.missing().len(), listing.keys()), (2, 0));
    assert!(organization.requests() < 40);
}

/// One list is told to wait, and so do the others; none of them longer than one page is tried for.
#[tokio::test(start_paused = true)]
async fn a_wait_that_another_list_was_told_counts() {
    let organization = Organization::new(3, 30);
    organization.lists().always.insert("/v1/organization/projects".into(), Fault::Wait(429, "55".into()));
    organization.lists().always.insert("/v1/organization/admin_api_keys".into(), Fault::Hang);
    let start = Instant::now();
    let listing = directory(&organization).walk().await;
    assert_eq!(listing.missing().len(), 2);
    assert!(start.elapsed() <= Duration::from_secs(61), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_time_without_end_is_one() {
    let organization = Organization::new(3, 30);
    let forever = directory(&organization)
        .timeout(Duration::MAX)
        .retry_timeout(Duration::MAX)
        .deadline(Duration::MAX)
        .interval(Duration::MAX)
        .min_interval(Duration::MAX);
    assert!(forever.walk().await.is_complete());
    let (sender, mut ends) = tokio::sync::mpsc::unbounded_channel();
    let (folder, names) = (tempfile::tempdir().unwrap(), SharedKeyNames::default());
    let file = folder.path().join("synced.json");
    let follow = tokio::spawn({
        let names = names.clone();
        async move { match forever.follow(file, &names, |went| sender.send(went.is_ok()).unwrap()).await {} }
    });
    assert_eq!(ends.recv().await, Some(true));
    tokio::time::sleep(Duration::from_secs(86_400)).await;
    assert!(!follow.is_finished());
    follow.abort();
}

#[tokio::test(start_paused = true)]
async fn the_settings_of_patience() {
    let organization = Organization::new(3, 30);
    organization.lists().always.insert("/v1/organization/admin_api_keys".into(), Fault::Hang);
    let start = Instant::now();
    let directory =
        directory(&organization).timeout(Duration::from_secs(2)).retry_timeout(Duration::from_secs(5));
    let listing = directory.walk().await;
    assert!(start.elapsed() <= Duration::from_secs(8), "{:?}", start.elapsed());
    assert!(listing.missing()[0].why.contains("within 2 s"));
    let start = Instant::now();
    directory.deadline(Duration::from_secs(1)).walk().await;
    assert_eq!(start.elapsed().as_secs(), 1);
}
