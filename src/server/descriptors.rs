//! File descriptors: a shell gives a process 1,024, and every client needs two.

use std::error::Error as StdError;

/// What is needed beside connections: the trail, listeners, the admin's connections, whoami.
const SPARE: u64 = 200;

/// Provides for `connections` clients, each with a connection to the origin, as far as the system lets
/// us; says so if that is not enough. Then accepting waits when they are used up.
pub(super) fn provide(connections: usize) {
    let needed = 2 * connections as u64 + SPARE;
    match rlimit::increase_nofile_limit(needed) {
        Ok(limit) if limit >= needed => {}
        Ok(limit) => tracing::warn!(
            limit,
            needed,
            "too few file descriptors for limits.connections: raise the limit (`LimitNOFILE=` in the \
             unit, `ulimit -n`), or lower limits.connections"
        ),
        Err(error) => tracing::warn!(
            error = &error as &dyn StdError,
            "the limit of file descriptors could not be raised"
        ),
    }
}
