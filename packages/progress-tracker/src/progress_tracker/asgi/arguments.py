"""What ``create_app`` is given: wrong kinds are told at once, not by the first page."""

import re
from typing import Any

from ..errors import ConfigurationError
from ..rules import checks
from ..service import ProgressTracker
from .limits import Limits

_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^/?#\s*]+")


def check_arguments(
    tracker: Any, authenticate: Any, authorize: Any, allowed_origins: Any, limits: Any
) -> None:
    """Check the arguments of ``create_app``.

    Raises:
        ConfigurationError: One is of another kind, or an origin is none.
    """
    if not isinstance(tracker, ProgressTracker):
        raise ConfigurationError(
            f"create_app() takes a ProgressTracker (of a blocking one its .asynchronous), "
            f"not {checks.shown(tracker)}"
        )
    if not callable(authenticate):
        raise ConfigurationError(
            "authenticate must be a function that returns the user id of a connection, or None; "
            f"not {checks.shown(authenticate)}"
        )
    if authorize is not None and not callable(authorize):
        raise ConfigurationError(
            "authorize must be a function of (user_id, action, progress), or None; "
            f"not {checks.shown(authorize)}"
        )
    if isinstance(allowed_origins, str):
        raise ConfigurationError(
            f"allowed_origins must be a list: write [{checks.shown(allowed_origins)}]"
        )
    for origin in allowed_origins:
        if not (isinstance(origin, str) and _ORIGIN.fullmatch(origin)):
            raise ConfigurationError(
                "an allowed origin is scheme, host and port as a browser sends them, like "
                f"'https://app.example.com', with no path and no '*'; not {checks.shown(origin)}"
            )
    if limits is not None and not isinstance(limits, Limits):
        raise ConfigurationError(f"limits must be Limits(…), not {checks.shown(limits)}")
