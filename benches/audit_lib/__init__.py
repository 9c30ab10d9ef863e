"""The parts of `benches/audit`."""
