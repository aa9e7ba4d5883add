"""What adapter authors and applications test with (extra ``testing``).

``StorageSuite``, ``HistoryStoreSuite`` and ``RendererSuite`` are what every storage, history and
format passes: subclass one, give its fixture, and skip nothing; what an adapter cannot do is
declared in its ``capabilities``.
"""

from .._common.clock import FakeClock, settle
from .formats import RendererSuite
from .histories import HistoryStoreSuite
from .made import HOSTILE, documents, record, render
from .storages import StorageSuite, written

__all__ = [
    "HOSTILE",
    "FakeClock",
    "HistoryStoreSuite",
    "RendererSuite",
    "StorageSuite",
    "documents",
    "record",
    "render",
    "settle",
    "written",
]
