//! Who is logged in, for how long.
//!
//! # Promise
//!
//! - A session ends half an hour after its last request, twelve hours after it began, at the log-out, and
//!   with the process: it is in memory alone.
//! - What is kept cannot be used to come in: of the id in the cookie there is only a hash.
//! - However many log in, no more than [`MOST`] sessions are kept; the one that was used least lately goes first.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::token::{Holder, chance};
use crate::clock::Clock;

/// A session that nobody has used for that long is over.
pub(super) const IDLE: TimeDelta = TimeDelta::minutes(30);
/// A session is over after that, used or not: a working day.
pub(super) const LONGEST: TimeDelta = TimeDelta::hours(12);
/// So many people look at one trail.
const MOST: usize = 1000;

/// All sessions.
pub(super) struct Sessions {
    open: Mutex<HashMap<[u8; 32], Session>>,
    clock: Arc<dyn Clock>,
}

/// What a form must hold to be taken from a visitor: it proves that our own page made it. Displayed, it is
/// what the field `csrf` holds; empty for the API, which has no forms.
#[derive(Clone, Default)]
pub struct Csrf(Option<Arc<SecretString>>);

struct Session {
    holder: Holder,
    csrf: Csrf,
    began: DateTime<Utc>,
    seen: DateTime<Utc>,
}

// === impl Sessions ===

impl Sessions {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            open: Mutex::default(),
            clock,
        }
    }

    /// Begins a session, and gives its id, which nobody but the visitor may know.
    pub(super) fn begin(&self, holder: Holder) -> SecretString {
        let id = chance();
        let now = self.clock.now();
        let session = Session {
            holder,
            csrf: Csrf(Some(Arc::new(chance()))),
            began: now,
            seen: now,
        };
        let mut open = self.open();
        if open.len() >= MOST {
            open.retain(|_, session| !session.is_over(now));
        }
        if open.len() >= MOST {
            let oldest = open.iter().min_by_key(|(_, session)| session.seen);
            if let Some(oldest) = oldest.map(|(id, _)| *id) {
                open.remove(&oldest);
            }
        }
        open.insert(key(id.expose_secret()), session);
        id
    }

    /// Whose session `id` is, if it is not over. It is used by that.
    pub(super) fn find(&self, id: &str) -> Option<(Holder, Csrf)> {
        let key = key(id);
        let now = self.clock.now();
        let mut open = self.open();
        if open.get(&key)?.is_over(now) {
            open.remove(&key);
            return None;
        }
        let session = open.get_mut(&key)?;
        session.seen = now;
        Some((session.holder.clone(), session.csrf.clone()))
    }

    /// Ends the session `id`, if it is one.
    pub(super) fn end(&self, id: &str) {
        self.open().remove(&key(id));
    }

    fn open(&self) -> MutexGuard<'_, HashMap<[u8; 32], Session>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key(id: &str) -> [u8; 32] {
    Sha256::digest(id).into()
}

// === impl Session ===

impl Session {
    fn is_over(&self, now: DateTime<Utc>) -> bool {
        now - self.seen >= IDLE || now - self.began >= LONGEST
    }
}

// === impl Csrf ===

impl Csrf {
    /// Whether `said` is it, in a time that does not tell how much of it is.
    pub(super) fn is(&self, said: &str) -> bool {
        self.0.as_ref().is_some_and(|csrf| {
            csrf.expose_secret()
                .as_bytes()
                .ct_eq(said.as_bytes())
                .into()
        })
    }
}

impl fmt::Display for Csrf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_ref().map_or("", |csrf| csrf.expose_secret()))
    }
}

impl fmt::Debug for Csrf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Csrf(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::config::Role;
    use crate::clock::MockClock;

    fn sessions() -> (Sessions, Arc<MockClock>) {
        let clock = Arc::new(MockClock::new(DateTime::UNIX_EPOCH));
        (Sessions::new(Arc::<MockClock>::clone(&clock)), clock)
    }

    fn kim() -> Holder {
        Holder {
            name: "kim".into(),
            role: Role::Auditor,
        }
    }

    #[test]
    fn a_session_that_is_not_used_ends() {
        let (sessions, clock) = sessions();
        let id = sessions.begin(kim());
        let id = id.expose_secret();
        assert_eq!(sessions.find(id).unwrap().0, kim());
        clock.advance(IDLE - TimeDelta::seconds(1));
        assert!(sessions.find(id).is_some());
        clock.advance(IDLE);
        assert!(sessions.find(id).is_none());
        clock.advance(-IDLE);
        assert!(sessions.find(id).is_none(), "it does not come back");
    }

    #[test]
    fn a_session_that_is_used_ends_all_the_same() {
        let (sessions, clock) = sessions();
        let id = sessions.begin(kim());
        for _ in 0..47 {
            clock.advance(TimeDelta::minutes(15));
            assert!(sessions.find(id.expose_secret()).is_some());
        }
        clock.advance(TimeDelta::minutes(15));
        assert!(sessions.find(id.expose_secret()).is_none());
    }

    #[test]
    fn a_session_ends_at_the_log_out_and_others_go_on() {
        let (sessions, _) = sessions();
        let (one, other) = (sessions.begin(kim()), sessions.begin(kim()));
        sessions.end(one.expose_secret());
        assert!(sessions.find(one.expose_secret()).is_none());
        assert!(sessions.find(other.expose_secret()).is_some());
        assert!(sessions.find("").is_none());
    }

    #[test]
    fn there_are_never_more_sessions_than_may_be() {
        let (sessions, clock) = sessions();
        let ids: Vec<_> = (0..=MOST)
            .map(|_| {
                clock.advance(TimeDelta::milliseconds(1));
                sessions.begin(kim())
            })
            .collect();
        assert_eq!(sessions.open().len(), MOST);
        assert!(sessions.find(ids[0].expose_secret()).is_none());
        assert!(sessions.find(ids[1].expose_secret()).is_some());
    }

    #[test]
    fn a_form_is_taken_from_its_own_session_only() {
        let (sessions, _) = sessions();
        let csrf = |id: &SecretString| sessions.find(id.expose_secret()).unwrap().1;
        let (one, other) = (csrf(&sessions.begin(kim())), csrf(&sessions.begin(kim())));
        assert!(one.is(&one.to_string()));
        assert!(!one.is(&other.to_string()));
        assert!(!one.is(""));
        assert!(!Csrf::default().is(""), "the API has no forms");
        assert_eq!(format!("{one:?}"), "Csrf(…)");
    }
}
