//! How often a login may fail, per user and per address, before it must wait. Tells no time itself.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

pub const WINDOW: Duration = Duration::from_secs(15 * 60);
/// Of one user: guessing takes years, and a person who mistypes has enough.
const PER_USER: u32 = 5;
/// Of one address, behind which a whole office may be.
const PER_ADDRESS: u32 = 20;
/// Who tries with ever other names does not fill the memory.
const MOST: usize = 10_000;

#[derive(Debug, Default)]
pub struct Limit {
    failed: HashMap<Who, (u32, Instant)>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Who {
    User(String),
    Address(IpAddr),
}

impl Limit {
    /// How long to wait before the next attempt, where that is too soon. It counts as failed until it is said to be
    /// right, so that many at once are no way around.
    pub fn attempt(&mut self, user: &str, address: IpAddr, now: Instant) -> Result<(), Duration> {
        self.failed.retain(|_, (_, since)| now.duration_since(*since) < WINDOW);
        let keys = [(Who::User(user.to_owned()), PER_USER), (Who::Address(network(address)), PER_ADDRESS)];
        let blocked = keys.iter().filter_map(|(who, most)| {
            let (count, since) = self.failed.get(who)?;
            (count >= most).then(|| WINDOW.saturating_sub(now.duration_since(*since)))
        });
        if let Some(wait) = blocked.max() {
            return Err(wait);
        }
        if self.failed.len() + keys.len() > MOST {
            return Err(WINDOW);
        }
        for (who, _) in keys {
            self.failed.entry(who).or_insert((0, now)).0 += 1;
        }
        Ok(())
    }

    pub fn right(&mut self, user: &str, address: IpAddr) {
        self.failed.remove(&Who::User(user.to_owned()));
        if let Some((count, _)) = self.failed.get_mut(&Who::Address(network(address))) {
            *count = count.saturating_sub(1);
        }
    }
}

/// Whoever has one IPv6 address has a whole network of them.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    #[test]
    fn a_user_is_held_after_five_wrong_passwords_wherever_they_come_from() {
        let (mut limit, now) = (Limit::default(), Instant::now());
        for last in 1..=5 {
            assert_eq!(limit.attempt("j.jansen", address(last), now), Ok(()));
        }
        assert_eq!(limit.attempt("j.jansen", address(6), now), Err(WINDOW));
        assert_eq!(limit.attempt("p.peters", address(6), now), Ok(()), "another is not");
        assert_eq!(limit.attempt("j.jansen", address(6), now + WINDOW), Ok(()), "and not for ever");
    }

    #[test]
    fn an_address_is_held_after_twenty_whoever_it_tries() {
        let (mut limit, now) = (Limit::default(), Instant::now());
        for user in 0..20 {
            assert_eq!(limit.attempt(&user.to_string(), address(1), now), Ok(()));
        }
        assert!(limit.attempt("another", address(1), now).is_err());
        assert!(limit.attempt("another", address(2), now).is_ok());
    }

    #[test]
    fn what_was_right_counts_for_nothing() {
        let (mut limit, now) = (Limit::default(), Instant::now());
        for _ in 0..100 {
            assert_eq!(limit.attempt("j.jansen", address(1), now), Ok(()));
            limit.right("j.jansen", address(1));
        }
    }

    #[test]
    fn one_network_of_ipv6_is_one_address() {
        let (mut limit, now) = (Limit::default(), Instant::now());
        for last in 0..20u16 {
            assert_eq!(
                limit.attempt(&last.to_string(), IpAddr::from([0x2001, 0xdb8, 1, 2, 0, 0, 0, last]), now),
                Ok(())
            );
        }
        assert!(limit.attempt("another", IpAddr::from([0x2001, 0xdb8, 1, 2, 9, 9, 9, 9]), now).is_err());
    }
}
