"""Local time: quiet hours, in which nothing makes a noise, and the times of digests."""

from .digests import AnyDigest, DailyDigest, digest_of, next_digest, plain_digest
from .hours import QuietHours, check_coverage, check_zone, quiet_until

__all__ = [
    "AnyDigest",
    "DailyDigest",
    "QuietHours",
    "check_coverage",
    "check_zone",
    "digest_of",
    "next_digest",
    "plain_digest",
    "quiet_until",
]
