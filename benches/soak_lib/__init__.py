"""The parts of `benches/soak`, which says what they are for."""
