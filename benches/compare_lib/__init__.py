"""The parts of `benches/compare`, which says what they are for."""
