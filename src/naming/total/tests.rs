use super::*;

fn held(total: &Total) -> u64 {
    total.held.load(Relaxed)
}

#[test]
fn a_share_gets_what_is_left() {
    let total = Arc::new(Total::new(100));
    let [mut first, mut second] = [(); 2].map(|()| Share::new(Some(total.clone())));
    first.grow(60);
    assert_eq!((first.allowed(), held(&total)), (60, 60));
    // No less than it has.
    first.grow(10);
    assert_eq!((first.allowed(), held(&total)), (60, 60));
    second.grow(50);
    assert_eq!((second.allowed(), held(&total)), (40, 100));
    first.grow(61);
    assert_eq!((first.allowed(), held(&total)), (60, 100));
    first.set(20);
    second.grow(50);
    assert_eq!((second.allowed(), held(&total)), (50, 70));
    drop(first);
    assert_eq!(held(&total), 50);
    drop(second);
    assert_eq!(held(&total), 0);
}

#[test]
fn what_is_not_asked_for_counts_all_the_same() {
    let total = Arc::new(Total::new(100));
    let [mut first, mut second] = [(); 2].map(|()| Share::new(Some(total.clone())));
    first.set(150);
    assert_eq!(held(&total), 150);
    second.grow(1);
    assert_eq!((second.allowed(), held(&total)), (0, 150));
    first.set(99);
    second.grow(2);
    assert_eq!((second.allowed(), held(&total)), (1, 100));
    drop(first);
    assert_eq!(held(&total), 1);
}

#[test]
fn without_a_total_there_is_no_end() {
    let mut share = Share::default();
    share.grow(u64::MAX);
    share.set(7);
    assert_eq!((share.allowed(), share.held), (u64::MAX, 0));
}

#[test]
fn threads_never_get_more_than_there_is() {
    let total = Arc::new(Total::new(1_000));
    std::thread::scope(|scope| {
        for nth in 1..=4_u64 {
            let total = &total;
            scope.spawn(move || {
                for round in 0..5_000 {
                    let mut share = Share::new(Some(total.clone()));
                    for part in 1..=4 {
                        share.grow(part * nth * 97 + round % 7);
                        assert!(held(total) <= 1_000);
                    }
                    share.set(share.held / 2);
                }
            });
        }
    });
    assert_eq!(held(&total), 0);
}
