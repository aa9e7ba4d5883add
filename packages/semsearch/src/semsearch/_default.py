"""The search of the process, for applications that need only one."""

from typing import Final

from .service import SearchService

search_service: Final = SearchService()
