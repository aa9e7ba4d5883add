"""The cache of the process, for applications that need only one."""

from typing import Final

from .service import CacheProvider

cache: Final = CacheProvider()
