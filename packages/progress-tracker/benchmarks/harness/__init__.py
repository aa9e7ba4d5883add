"""What the benchmarks of progress-tracker are made of."""
