"""What adapter authors and applications test with (extra ``testing``).

``ProgressStoreSuite`` is what every store passes, ``BackplaneSuite`` every backplane: subclass one,
give its fixture, and skip nothing. ``ChaosStore`` is a store that fails when it is told to.
"""

from .._common.clock import FakeClock, settle
from .backplanes import BackplaneSuite
from .chaos import ChaosStore
from .records import NOW, record, store_rule
from .stores import ProgressStoreSuite

__all__ = [
    "NOW",
    "BackplaneSuite",
    "ChaosStore",
    "FakeClock",
    "ProgressStoreSuite",
    "record",
    "settle",
    "store_rule",
]
