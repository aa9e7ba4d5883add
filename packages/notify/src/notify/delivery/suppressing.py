"""Addresses on the suppression list: known by digest, so that the list holds none."""

import hashlib


def digest_of(channel: str, address: str) -> str:
    """Return the digest of an address; e-mail addresses differ by no more than their case."""
    text = address.strip().lower() if channel == "email" else address.strip()
    return hashlib.sha256(f"{channel}\0{text}".encode(errors="surrogatepass")).hexdigest()
