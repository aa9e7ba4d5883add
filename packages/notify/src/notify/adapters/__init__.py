"""Stores, backplanes and channels, one module per technology; imported only when chosen."""
