"""What the benchmarks of notify are made of."""
