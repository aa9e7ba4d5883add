"""Tiers and backplanes, one module per technology; nothing here is imported until it is chosen."""
