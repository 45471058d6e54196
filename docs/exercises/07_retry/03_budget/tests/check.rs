//! What must hold: the names of the tests say it, their messages say where to look.

use std::thread;

use ex_07_03::Budget;

#[test]
fn a_retry_costs_five() {
    let budget = Budget::new(500);
    assert!(budget.spend(false), "there is enough");
    assert_eq!(budget.left(), 495);
}

#[test]
fn a_retry_of_what_may_have_been_paid_for_costs_ten() {
    let budget = Budget::new(500);
    assert!(budget.spend(true), "there is enough");
    assert_eq!(budget.left(), 490);
}

#[test]
fn the_last_token_may_be_spent() {
    let budget = Budget::new(10);
    assert!(budget.spend(false) && budget.spend(false), "5 and 5 are 10");
    assert_eq!(budget.left(), 0);
}

#[test]
fn with_too_little_left_nothing_is_taken() {
    let budget = Budget::new(9);
    assert!(!budget.spend(true), "9 are there, and 10 are asked for");
    assert_eq!(budget.left(), 9, "who is refused has not paid");
    assert!(
        budget.spend(false),
        "5 are left for somebody who needs less"
    );
}

#[test]
fn a_success_gives_one_back_and_the_purse_never_overflows() {
    let budget = Budget::new(10);
    budget.refund();
    assert_eq!(budget.left(), 10);
    assert!(budget.spend(false));
    budget.refund();
    assert_eq!(budget.left(), 6);
}

#[test]
fn in_the_long_run_one_call_in_six_is_a_retry() {
    let budget = Budget::new(5);
    let retries = (0..600).filter(|_| {
        budget.refund();
        budget.spend(false)
    });
    assert_eq!(
        retries.count(),
        120,
        "600 successes earn 600, and a retry costs 5"
    );
}

#[test]
fn eight_threads_that_spend_at_once_never_spend_more_than_there_is() {
    for _ in 0..20 {
        let budget = Budget::new(500_000);
        let paid = thread::scope(|scope| {
            let spender = || {
                std::iter::repeat_with(|| budget.spend(false))
                    .take_while(|it| *it)
                    .count()
            };
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(spender)).collect();
            threads
                .into_iter()
                .map(|it| it.join().expect("it does not panic"))
                .sum::<usize>()
        });
        assert_eq!(
            paid, 100_000,
            "100,000 retries were there to spend. Between a load and a store another thread may pay with \
             the same tokens: look and pay in one step"
        );
        assert_eq!(budget.left(), 0);
    }
}
