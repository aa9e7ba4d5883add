"""The database of a PostgreSQL broker."""

from typing import Any

from ..._common.sql_quick import QuickDatabase
from ..._common.sql_statements import Statement
from .derived import derived


class DerivingDatabase(QuickDatabase):
    """Keeps the derived columns in each statement that stores a job."""

    def __init__(self, *args: Any, **options: Any) -> None:
        """As any other."""
        super().__init__(*args, **options)
        self._prepared: dict[str, Statement] = {}

    def prepare(self, sql: str) -> Statement:
        if (known := self._prepared.get(sql)) is None:
            known = self._prepared[sql] = super().prepare(derived(sql))
        return known
