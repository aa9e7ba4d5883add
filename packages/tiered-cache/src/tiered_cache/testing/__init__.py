"""What adapter authors and applications test with (extra ``testing``).

Subclass a suite, give its fixture an empty tier or two backplanes that hear each other, and skip
nothing.
"""

from .._common.clock import FakeClock, settle
from ..adapters.memory import MemoryBackplane, MemoryRemote
from .backplanes import BackplaneSuite
from .fakes import FlakyRemote
from .local_tiers import LocalTierSuite
from .remote_tiers import RemoteTierSuite
from .single_flight import assert_single_flight

__all__ = [
    "BackplaneSuite",
    "FakeClock",
    "FlakyRemote",
    "LocalTierSuite",
    "MemoryBackplane",
    "MemoryRemote",
    "RemoteTierSuite",
    "assert_single_flight",
    "settle",
]
