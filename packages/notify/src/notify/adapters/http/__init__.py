"""Providers that are spoken to over HTTP, each in a module of its own on one base."""
