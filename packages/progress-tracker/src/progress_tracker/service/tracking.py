"""``track`` and ``tracked``: handles for those who work."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar, overload

from ..handle import ProgressHandle
from ..handle.decorator import handle_parameter, wrapped
from ..models import ProgressOptions
from ..rules.creation import options_of
from .base import TrackerBase

F = TypeVar("F", bound=Callable[..., Any])


class Tracking(TrackerBase):
    """Handles, in the hands of workers."""

    def track(
        self,
        id: str | None = None,
        options: ProgressOptions | None = None,
        *,
        stages: Sequence[str] | None = None,
        weights: Mapping[str, float] | Sequence[float] | None = None,
        total: float | None = None,
        metadata: Mapping[str, Any] | None = None,
        user_id: str | None = None,
        parent_id: str | None = None,
        kind: str | None = None,
        weight: float | None = None,
        resume: bool = False,
    ) -> ProgressHandle:
        """Return a handle: ``async with tracker.track(…) as p``, or ``with`` in blocking code.

        An operation that has the id already is taken over in its next epoch: from then on writes
        of its former worker are refused.

        Args:
            id: 1 to 200 printable characters; unguessable if None.
            options: All of these as an object, instead of keywords.
            stages: As for :meth:`create`, like all that follow.
            weights: Of the stages.
            total: Units in all.
            metadata: JSON.
            user_id: Whose operation it is.
            parent_id: The operation that it is part of.
            kind: What sort of operation it is.
            weight: Its part of the parent.
            resume: Keep the counts and stages of an operation that is taken over.

        Raises:
            InvalidProgress: An option is out of range.
        """
        given = {
            "id": id, "stages": stages, "weights": weights, "total": total, "metadata": metadata,
            "user_id": user_id, "parent_id": parent_id, "kind": kind, "weight": weight,
        }  # fmt: skip
        return self._parts.flusher.handle(options_of("track", options, given), resume=resume)

    @overload
    def tracked(self, function: F, /) -> F: ...
    @overload
    def tracked(
        self,
        /,
        *,
        id: Callable[..., str] | None = None,
        stages: Sequence[str] | None = None,
        weights: Mapping[str, float] | Sequence[float] | None = None,
        total: float | None = None,
        metadata: Mapping[str, Any] | None = None,
        user_id: str | None = None,
        kind: str | None = None,
    ) -> Callable[[F], F]: ...
    def tracked(
        self,
        function: Any = None,
        /,
        *,
        id: Callable[..., str] | None = None,
        stages: Sequence[str] | None = None,
        weights: Mapping[str, float] | Sequence[float] | None = None,
        total: float | None = None,
        metadata: Mapping[str, Any] | None = None,
        user_id: str | None = None,
        kind: str | None = None,
    ) -> Any:
        """Track each call of the decorated function, which may be ``async``, as an operation.

        A parameter that is annotated :class:`ProgressHandle` gets the handle; callers leave it out.

        Args:
            function: The function, where the decorator is used without parentheses.
            id: Makes the operation's id from the call's arguments; unguessable if None.
            stages: As for :meth:`create`, like all that follow.
            weights: Of the stages.
            total: Units in all.
            metadata: JSON.
            user_id: Whose operations they are.
            kind: What sort of operations they are; the function's name.

        Raises:
            TypeError: The function is a generator, or ``id`` no function.
        """
        if id is not None and not callable(id):
            raise TypeError("tracked(id=…) takes a function of the call's arguments")

        def decorate(decorated: Callable[..., Any]) -> Callable[..., Any]:
            slot = handle_parameter(decorated)

            def begin(args: tuple[Any, ...], kwargs: dict[str, Any]) -> ProgressHandle:
                return self.track(
                    None if id is None else id(*args, **kwargs),
                    stages=stages,
                    weights=weights,
                    total=total,
                    metadata=metadata,
                    user_id=user_id,
                    kind=kind or decorated.__qualname__,
                )

            return wrapped(decorated, begin, slot)

        return decorate if function is None else decorate(function)
