"""What `benches/desk` is made of."""
