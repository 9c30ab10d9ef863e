"""The parts of `benches/instructions`, which says what they are for."""
