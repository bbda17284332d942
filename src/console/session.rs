//! Who is at the console: sessions in memory, known by a random number in a cookie. A restart ends them all.

use super::access::{Power, Role};
use aws_lc_rs::{constant_time, digest, rand};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// More than there are people who may; the one that was not used for longest goes first.
const MOST: usize = 1000;

/// How somebody proved who he is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    Password,
    Provider,
}

#[derive(Clone, Debug)]
pub struct Session {
    /// As it stands in the audit log.
    pub name: String,
    pub roles: Vec<Role>,
    pub by: By,
    csrf: String,
    since: Instant,
    used: Instant,
}

impl Session {
    pub fn may(&self, power: Power) -> bool {
        self.roles.iter().any(|role| role.may(power))
    }

    /// To stand in each form.
    pub fn csrf(&self) -> &str {
        &self.csrf
    }

    pub fn is_csrf(&self, token: &str) -> bool {
        constant_time::verify_slices_are_equal(self.csrf.as_bytes(), token.as_bytes()).is_ok()
    }
}

#[derive(Debug)]
pub struct Sessions {
    /// Not used for so long, it ends.
    idle: Duration,
    /// However much it is used.
    longest: Duration,
    /// By a digest of the number, so that what is in memory opens nothing.
    known: Mutex<HashMap<[u8; 32], Session>>,
}

impl Sessions {
    pub fn new(idle: Duration, longest: Duration) -> Sessions {
        Sessions { idle, longest, known: Mutex::default() }
    }

    /// The number for the cookie.
    pub fn begin(&self, name: String, roles: Vec<Role>, by: By, now: Instant) -> Option<String> {
        let (id, csrf) = (random()?, random()?);
        let mut known = self.known();
        known.retain(|_, session| self.is_alive(session, now));
        if known.len() >= MOST {
            let oldest = known.iter().min_by_key(|(_, session)| session.used).map(|(key, _)| *key);
            oldest.and_then(|key| known.remove(&key));
        }
        known.insert(key(&id), Session { name, roles, by, csrf, since: now, used: now });
        Some(id)
    }

    pub fn of(&self, id: &str, now: Instant) -> Option<Session> {
        let (mut known, key) = (self.known(), key(id));
        let session = known.get_mut(&key)?;
        if !self.is_alive(session, now) {
            known.remove(&key);
            return None;
        }
        session.used = now;
        Some(session.clone())
    }

    pub fn end(&self, id: &str) -> Option<Session> {
        self.known().remove(&key(id))
    }

    fn is_alive(&self, session: &Session, now: Instant) -> bool {
        now.duration_since(session.used) < self.idle && now.duration_since(session.since) < self.longest
    }

    fn known(&self) -> MutexGuard<'_, HashMap<[u8; 32], Session>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// 256 bits that nobody guesses, as text.
pub fn random() -> Option<String> {
    let mut bytes = [0; 32];
    rand::fill(&mut bytes).ok()?;
    Some(URL_SAFE_NO_PAD.encode(bytes))
}

fn key(id: &str) -> [u8; 32] {
    let mut key = [0; 32];
    key.copy_from_slice(digest::digest(&digest::SHA256, id.as_bytes()).as_ref());
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDLE: Duration = Duration::from_secs(60);
    const LONGEST: Duration = Duration::from_secs(150);

    fn sessions() -> (Sessions, Instant) {
        (Sessions::new(IDLE, LONGEST), Instant::now())
    }

    fn begin(sessions: &Sessions, now: Instant) -> String {
        sessions.begin("j.jansen".to_owned(), vec![Role::Operator], By::Password, now).unwrap()
    }

    #[test]
    fn a_session_ends_when_it_is_not_used_and_in_any_case_after_a_while() {
        let (sessions, now) = sessions();
        let at = |seconds| now + Duration::from_secs(seconds);
        let idle = begin(&sessions, now);
        assert!(sessions.of(&idle, at(59)).is_some());
        assert!(sessions.of(&idle, at(119)).is_none());
        assert!(sessions.of(&idle, at(59)).is_none(), "what ended stays so");
        let busy = begin(&sessions, now);
        for seconds in [50, 100, 149] {
            assert!(sessions.of(&busy, at(seconds)).is_some(), "{seconds}");
        }
        assert!(sessions.of(&busy, at(150)).is_none());
    }

    #[test]
    fn it_is_known_by_its_number_alone_and_gone_when_it_is_ended() {
        let (sessions, now) = sessions();
        let (one, other) = (begin(&sessions, now), begin(&sessions, now));
        assert_ne!(one, other);
        assert_eq!(one.len(), 43);
        assert!(sessions.of("", now).is_none() && sessions.of(&one[1..], now).is_none());
        let (a, b) = (sessions.of(&one, now).unwrap(), sessions.of(&other, now).unwrap());
        assert!(a.is_csrf(a.csrf()) && !a.is_csrf(b.csrf()) && !a.is_csrf(""));
        sessions.end(&one);
        assert!(sessions.of(&one, now).is_none() && sessions.of(&other, now).is_some());
    }

    #[test]
    fn there_are_never_more_than_there_is_room_for() {
        let (sessions, now) = sessions();
        let first = begin(&sessions, now);
        let second = begin(&sessions, now + Duration::from_millis(1));
        for _ in 2..=MOST {
            begin(&sessions, now + Duration::from_millis(2));
        }
        assert!(sessions.of(&first, now + Duration::from_millis(3)).is_none());
        assert!(sessions.of(&second, now + Duration::from_millis(3)).is_some());
    }
}
