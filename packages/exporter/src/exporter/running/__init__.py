"""The background of the service: jobs wait, run in threads, renew their leases, end."""

from .ledger import BATCH
from .runner import GONE, Runner
from .runs import Counts, Run

__all__ = ["BATCH", "GONE", "Counts", "Run", "Runner"]
