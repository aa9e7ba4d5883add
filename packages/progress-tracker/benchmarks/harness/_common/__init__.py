"""What the benchmarks of several packages are made of: the same files in each that uses them."""
