//! The sockets that the service manager opened for us, and keeps open while we are restarted.
//!
//! # Promise
//!
//! They are found by name (`FileDescriptorName=`), never by number: a number changes when somebody
//! adds a socket. Only sockets that listen for streams are taken, and what is something else is said.

use std::io;
use std::net::TcpListener;
use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;

use listenfd::ListenFd;
use socket2::SockRef;

/// What a socket is called that came without a name: as `sd_listen_fds_with_names(3)` has it.
const UNNAMED: &str = "unknown";

/// The sockets passed by systemd, or by whoever else speaks its protocol (`LISTEN_FDS`).
#[derive(Debug, Default)]
pub struct Inherited {
    sockets: Vec<(String, Passed)>,
}

/// One descriptor that was passed.
#[derive(Debug)]
pub(super) enum Passed {
    Tcp(TcpListener),
    Unix(UnixListener),
    /// Nothing that can be listened on; with the reason.
    Other(String),
    /// Already given away.
    Taken,
}

// === impl Inherited ===

impl Inherited {
    /// No sockets.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Takes what was passed, with its `names` (`LISTEN_FDNAMES`), out of the environment.
    ///
    /// Call it once, and before there is a second thread: it changes the environment, so that no
    /// child of ours takes these descriptors for its own.
    ///
    /// # Errors
    ///
    /// If there are not as many names as descriptors. What is wrong with one descriptor is said when
    /// it is asked for: one that nobody wants does no harm.
    pub fn take(names: Option<&str>) -> io::Result<Self> {
        let mut passed = ListenFd::from_env();
        let names: Vec<_> = match names {
            Some(names) if passed.len() > 0 => names.split(':').collect(),
            Some(_) | None => vec![UNNAMED; passed.len()],
        };
        if names.len() != passed.len() {
            let text = format!(
                "{} sockets were passed, with {} names: LISTEN_FDS and LISTEN_FDNAMES do not go \
                 together",
                passed.len(),
                names.len()
            );
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        let sockets = names.into_iter().enumerate().map(|(index, name)| {
            let passed = Passed::take(&mut passed, index).unwrap_or_else(|error| {
                // Its text says which descriptor.
                Passed::Other(error.to_string())
            });
            (name.to_owned(), passed)
        });
        Ok(Self {
            sockets: sockets.collect(),
        })
    }

    /// All sockets called `name`.
    ///
    /// # Errors
    ///
    /// If there is none, naming those that there are, or if one is no socket that listens for streams.
    pub(super) fn by_name(&mut self, name: &str) -> io::Result<Vec<Passed>> {
        let mut found = Vec::new();
        for (_, passed) in self.sockets.iter_mut().filter(|(its, _)| its == name) {
            match std::mem::replace(passed, Passed::Taken) {
                Passed::Other(reason) => {
                    return Err(io::Error::new(io::ErrorKind::InvalidInput, reason));
                }
                Passed::Taken => {}
                socket @ (Passed::Tcp(_) | Passed::Unix(_)) => found.push(socket),
            }
        }
        if found.is_empty() {
            let text = format!("no socket of this name was passed; {}", self.said());
            return Err(io::Error::new(io::ErrorKind::NotFound, text));
        }
        Ok(found)
    }

    /// The names that nobody asked for: connections to such a socket wait for ever.
    #[must_use]
    pub fn unused(&self) -> Vec<&str> {
        let waiting = |passed: &Passed| !matches!(passed, Passed::Taken);
        let unused = self.sockets.iter().filter(|(_, passed)| waiting(passed));
        let mut names: Vec<_> = unused.map(|(name, _)| name.as_str()).collect();
        names.dedup();
        names
    }

    /// What was passed, for an operator who looked for something else.
    fn said(&self) -> String {
        let mut names: Vec<_> = self.sockets.iter().map(|(name, _)| name.as_str()).collect();
        names.dedup();
        if names.is_empty() {
            "none was: is the .socket unit started?".to_owned()
        } else {
            format!("there is {}", names.join(", "))
        }
    }

    #[cfg(test)]
    pub(super) fn of(sockets: Vec<(&str, Passed)>) -> Self {
        let named = |(name, passed): (&str, Passed)| (name.to_owned(), passed);
        Self {
            sockets: sockets.into_iter().map(named).collect(),
        }
    }
}

// === impl Passed ===

impl Passed {
    fn take(from: &mut ListenFd, index: usize) -> io::Result<Self> {
        // A descriptor that is no TCP socket stays where it is, to be tried as the other kind.
        if let Ok(Some(socket)) = from.take_tcp_listener(index) {
            return listening(socket).map(Self::Tcp);
        }
        match from.take_unix_listener(index) {
            Ok(Some(socket)) => listening(socket).map(Self::Unix),
            Ok(None) => Ok(Self::Taken),
            Err(error) => {
                let text = format!("{error}, and no TCP one");
                Err(io::Error::new(io::ErrorKind::InvalidInput, text))
            }
        }
    }
}

/// `socket`, made fit for waiting, if it listens: one that is connected would be accepted from in
/// vain (`Accept=yes`).
fn listening<S: AsFd>(socket: S) -> io::Result<S> {
    let inner = SockRef::from(&socket);
    if !inner.is_listener()? {
        let text = "the socket does not listen: set Accept=no, and ListenStream=";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    inner.set_nonblocking(true)?;
    Ok(socket)
}

#[cfg(test)]
mod tests;
