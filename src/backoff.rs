//! Backoff: how long to wait before trying again. The one formula for deliveries and for connections.

use std::time::Duration;

/// Doubles from `first` with each failure up to `longest`; somewhere between half of that and all of it, so that
/// what failed together does not come back together.
pub fn delay(first: Duration, longest: Duration, failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1);
    let whole = first.saturating_mul(2u32.saturating_pow(doublings)).min(longest);
    whole.mul_f64(0.5 + fastrand::f64() / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_up_to_the_longest_with_jitter_below() {
        let (first, longest) = (Duration::from_secs(1), Duration::from_secs(900));
        for (failures, whole) in [(0, 1), (1, 1), (2, 2), (3, 4), (10, 512), (11, 900), (33, 900), (u32::MAX, 900)] {
            let whole = Duration::from_secs(whole);
            let drawn: Vec<_> = (0..500).map(|_| delay(first, longest, failures)).collect();
            assert!(drawn.iter().all(|d| (whole / 2..=whole).contains(d)), "{failures}");
            let (least, most) = (drawn.iter().min().unwrap(), drawn.iter().max().unwrap());
            assert!(*most - *least > whole / 4, "{failures}: no jitter");
        }
    }

    #[test]
    fn never_over_the_longest() {
        let longest = Duration::from_millis(300);
        assert!((0..100).all(|failures| delay(Duration::from_secs(5), longest, failures) <= longest));
    }
}
