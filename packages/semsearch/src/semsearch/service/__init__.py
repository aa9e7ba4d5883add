"""The search: what applications call, in four parts.

``writing`` and ``documents`` change the index, ``queries`` and ``figures`` read it.
"""

from .base import Tree
from .documents import Documents
from .figures import Figures

__all__ = ["SearchService", "Tree"]


class SearchService(Documents, Figures):
    """Semantic and keyword search over documents. Safe for several event loops and threads.

    ``aclose`` waits for the calls that are running; ``index_batch`` ends with the batch it is at.
    """
