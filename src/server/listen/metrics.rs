//! How many clients there are, and who had to go.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// The metrics of all listeners.
#[derive(Clone, Default)]
pub(in crate::server) struct Metrics {
    pub(super) connections: Gauge,
    pub(super) sent_away: Counter,
    pub(super) accept_failures: Counter,
}

// === impl Metrics ===

impl Metrics {
    /// Registers the metrics.
    pub(in crate::server) fn new(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register(
            "client_connections",
            "Connections of clients that are open",
            metrics.connections.clone(),
        );
        registry.register(
            "client_connections_sent_away",
            "Connections that waited for a request, and were told to make room for others",
            metrics.sent_away.clone(),
        );
        registry.register(
            "accept_failures",
            "Attempts to accept a connection that failed for want of descriptors or memory",
            metrics.accept_failures.clone(),
        );
        metrics
    }
}
