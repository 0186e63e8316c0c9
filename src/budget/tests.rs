use super::*;

fn reserved(budget: &Budget) -> u64 {
    budget.reserved.load(Relaxed)
}

fn budget_and_two_reservations() -> (Arc<Budget>, [Reservation; 2]) {
    let budget = Arc::new(Budget::new(100));
    let reservations = [(); 2].map(|()| Reservation::new(Some(budget.clone())));
    (budget, reservations)
}

#[test]
fn reservation_beyond_the_budget_gets_the_rest() {
    let (budget, [mut first, mut second]) = budget_and_two_reservations();
    first.grow(60);
    assert_eq!((first.allowed(), reserved(&budget)), (60, 60));
    second.grow(50);
    assert_eq!((second.allowed(), reserved(&budget)), (40, 100));
    first.grow(61);
    assert_eq!((first.allowed(), reserved(&budget)), (60, 100));
}

#[test]
fn reservation_grown_to_less_keeps_its_bytes() {
    let (budget, [mut first, _]) = budget_and_two_reservations();
    first.grow(60);
    first.grow(10);
    assert_eq!((first.allowed(), reserved(&budget)), (60, 60));
}

#[test]
fn reservation_set_to_less_returns_bytes_to_others() {
    let (budget, [mut first, mut second]) = budget_and_two_reservations();
    first.grow(80);
    first.set(20);
    second.grow(90);
    assert_eq!((second.allowed(), reserved(&budget)), (80, 100));
}

#[test]
fn reservation_after_its_drop_is_returned() {
    let (budget, [mut first, mut second]) = budget_and_two_reservations();
    first.grow(20);
    second.grow(50);
    drop(first);
    assert_eq!(reserved(&budget), 50);
    drop(second);
    assert_eq!(reserved(&budget), 0);
}

#[test]
fn reservation_set_beyond_the_budget_leaves_nothing_for_others() {
    let (budget, [mut first, mut second]) = budget_and_two_reservations();
    first.set(150);
    second.grow(1);
    assert_eq!((second.allowed(), reserved(&budget)), (0, 150));
    first.set(99);
    second.grow(2);
    assert_eq!((second.allowed(), reserved(&budget)), (1, 100));
}

#[test]
fn reservation_without_a_budget_is_unlimited() {
    let mut reservation = Reservation::default();
    reservation.grow(u64::MAX);
    reservation.set(7);
    assert_eq!((reservation.allowed(), reservation.bytes), (u64::MAX, 0));
}

#[test]
fn reservations_of_several_threads_never_exceed_the_budget() {
    let budget = Arc::new(Budget::new(1_000));
    std::thread::scope(|scope| {
        for thread in 1..=4_u64 {
            let budget = &budget;
            scope.spawn(move || {
                for round in 0..5_000 {
                    let mut reservation = Reservation::new(Some(budget.clone()));
                    for step in 1..=4 {
                        reservation.grow(step * thread * 97 + round % 7);
                        assert!(reserved(budget) <= 1_000);
                    }
                    reservation.set(reservation.bytes / 2);
                }
            });
        }
    });
    assert_eq!(reserved(&budget), 0);
}
