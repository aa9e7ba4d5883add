"""The ports: a local tier, a remote tier, a backplane; serializers and compressors."""

from .backplanes import Backplane, Message
from .capabilities import Capabilities
from .codecs import Compressor, Serializer
from .factories import Factory
from .local_tiers import Alias, Entry, LocalTier
from .records import ALL, FENCE_LIFE, LATEST, Read, TagVersion, Write
from .remote_tiers import RemoteTier

__all__ = [
    "ALL",
    "FENCE_LIFE",
    "LATEST",
    "Alias",
    "Backplane",
    "Capabilities",
    "Compressor",
    "Entry",
    "Factory",
    "LocalTier",
    "Message",
    "Read",
    "RemoteTier",
    "Serializer",
    "TagVersion",
    "Write",
]
