"""The shared level in Redis or Valkey (6.2 or newer), and backplanes over it.

Keys below the prefix: ``v:KEY`` the value, ``f:KEY`` its fence, ``l:KEY`` the lease to compute it,
``tags`` a hash of versions, ``seq`` the number of the last message. Fences, versions and messages
change in the same script as what they speak of, by the server's clock.
"""

from .cluster import RedisClusterTier
from .pubsub import RedisBackplane
from .streams import StreamsBackplane
from .tier import RedisTier
from .tracking import TrackingBackplane

__all__ = [
    "RedisBackplane",
    "RedisClusterTier",
    "RedisTier",
    "StreamsBackplane",
    "TrackingBackplane",
]
