"""Two processes' caches in one, for tests of what one does and the other sees."""

from tiered_cache import CacheProvider, Settings
from tiered_cache.testing import FakeClock, FlakyRemote, MemoryBackplane


class Cluster:
    """Two processes' caches on one shared level, in memory."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.remote = FlakyRemote(clock=clock)
        self.planes = [MemoryBackplane(clock=clock)]
        self.planes.append(MemoryBackplane(self.planes[0].hub, clock=clock))
        self.other = FlakyRemote(clock=clock, shelf=self.remote.shelf)
        self.a = CacheProvider(
            Settings(), remote=self.remote, backplane=self.planes[0], clock=clock
        )
        self.b = CacheProvider(Settings(), remote=self.other, backplane=self.planes[1], clock=clock)
