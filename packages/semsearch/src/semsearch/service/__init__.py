"""The search: what applications call, in four parts.

``writing`` and ``documents`` change the index, ``maintenance`` mends and renews it, ``queries`` and
``figures`` read it.
"""

from .base import Tree
from .figures import Figures
from .maintenance import Maintenance

__all__ = ["SearchService", "Tree"]


class SearchService(Maintenance, Figures):
    """Semantic and keyword search over documents. Safe for several event loops and threads.

    ``aclose`` waits for the calls that are running; ``index_batch`` ends with the batch it is at.
    """
