"""The parts of `benches/seal`."""
