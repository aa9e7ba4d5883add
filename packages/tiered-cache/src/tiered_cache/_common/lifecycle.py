"""From configuration to first use to close: what the six services have in common."""

import asyncio
import contextlib
import logging
import threading
from abc import ABC, abstractmethod
from collections.abc import Coroutine, Iterable, Mapping
from types import TracebackType
from typing import Any, ClassVar, Generic, Protocol, Self, TypeVar

from ..errors import ConfigurationError
from .config import BaseSettings
from .home import Home, at_home

SettingsT = TypeVar("SettingsT", bound=BaseSettings)
PartsT = TypeVar("PartsT")
T = TypeVar("T")
logger = logging.getLogger(__name__)


class Adapter(Protocol):
    """What a service asks of every adapter beside its port."""

    async def aclose(self) -> None:
        """Disconnect; a later call connects again."""

    def detach(self) -> None:
        """Forget, without I/O, what is bound to another event loop or process."""


def part(name: str, given: T, port: type[object]) -> T:
    """Return a part that a caller brings, None included, if it is what the service calls.

    Raises:
        ConfigurationError: It does not derive from ``port``; a URL or a name in its place, say.
    """
    if given is None or isinstance(given, port):
        return given
    # no value in the message: a URL may carry a password
    raise ConfigurationError(
        f"{name} takes a ready {port.__name__}, not {type(given).__name__}: URLs and names of "
        "adapters belong in the settings, see from_url and Settings.from_mapping"
    )


class Service(ABC, Generic[SettingsT, PartsT]):
    """A service that is configured late, built at first use and bound to one home loop.

    Constructing one does no I/O and reads no environment. The first operation settles the
    settings: the constructor's, those of :meth:`configure`, those that the environment names, or
    the defaults (in memory, with one warning). ``aclose`` leads back to the state after
    construction.
    """

    settings_type: ClassVar[type[BaseSettings]]
    durable_example: ClassVar[str] = ""

    def __init__(self, settings: SettingsT | None = None) -> None:
        """Use ``settings``, or find them out at the first operation.

        Raises:
            ConfigurationError: ``settings`` are not this service's ``Settings``.
        """
        given: object = settings
        if given is not None and not isinstance(given, self.settings_type):
            raise ConfigurationError(
                f"{type(self).__name__}() takes Settings, not {type(settings).__name__}: see "
                "Settings.from_mapping and from_url"
            )
        self._home = Home(self._moved)
        self._own_settings = settings
        self._settings = settings
        self._built: PartsT | None = None
        self._build_lock = threading.Lock()
        self._tasks: set[asyncio.Task[Any]] = set()

    @abstractmethod
    def _build(self, settings: SettingsT) -> PartsT:
        """Construct the adapters; no I/O."""

    @abstractmethod
    def _adapters(self, parts: PartsT) -> Iterable[Adapter]:
        """Return the adapters in the order in which they are closed."""

    def _is_volatile(self) -> bool:
        """Whether defaults would keep in memory what users expect to be durable."""
        return True

    def configure(self, settings: SettingsT | Mapping[str, Any] | str) -> None:
        """Set the configuration, before the first operation.

        Args:
            settings: The package's ``Settings``, a mapping as in its YAML, or a URL.

        Raises:
            ConfigurationError: The settings are wrong, or the instance is in use.
        """
        made: Any = settings
        if isinstance(settings, str):
            made = self.settings_type.from_url(settings)
        elif isinstance(settings, Mapping):
            made = self.settings_type.from_mapping(settings)
        elif not isinstance(settings, self.settings_type):
            raise ConfigurationError(
                f"configure() takes Settings, a mapping or a URL, not {settings!r}"
            )
        with self._build_lock:
            if self._built is not None:
                raise ConfigurationError(
                    "configure() comes before the first operation; aclose() first"
                )
            self._settings = made

    @property
    def settings(self) -> SettingsT:
        """The settings in force; asking settles them.

        Raises:
            ConfigurationError: The environment names settings that are wrong.
        """
        if self._settings is None:
            found: Any = self.settings_type.discover()
            if found is None:
                found = self.settings_type()
                if self._is_volatile():
                    kind = self.settings_type
                    logger.warning(
                        "%s is not configured and keeps everything in memory; to keep it, call "
                        "configure() or set %s_URL, for example %s",
                        kind.DIST, kind.PREFIX, self.durable_example,
                    )  # fmt: skip
            self._settings = found
        return self._settings

    @property
    def _parts(self) -> PartsT:
        """The adapters, built when first asked for."""
        if (built := self._built) is not None:
            return built
        with self._build_lock:
            if self._built is None:
                self._built = self._build(self.settings)
            return self._built

    def _spawn(self, work: Coroutine[Any, Any, Any], name: str) -> "asyncio.Task[Any]":
        """Run ``work`` in the background of the running (home) loop until ``aclose``."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (exc := task.exception()) is not None:
            logger.error("background.failed", extra={"task": task.get_name()}, exc_info=exc)

    def _moved(self) -> None:
        """Forget the old home's connections and tasks; runs on the new one, without I/O."""
        tasks, self._tasks = self._tasks, set()
        self._home.stop(*tasks)
        if self._built is not None:
            for adapter in self._adapters(self._built):
                adapter.detach()

    async def _closing(self) -> None:
        """Finish what must not be lost; called at home before anything is closed."""

    @at_home
    async def aclose(self) -> None:
        """Finish, disconnect and return to the state after construction. Idempotent."""
        if self._built is not None:
            await self._closing()
        current = asyncio.current_task()
        while tasks := [task for task in self._tasks if task is not current]:
            for task in tasks:
                task.cancel()
            # again each second: libraries on asyncio.wait_for lose cancellations before 3.12
            await asyncio.wait(tasks, timeout=1.0)
        built, self._built = self._built, None
        if built is not None:
            async with contextlib.AsyncExitStack() as stack:
                for adapter in reversed(list(self._adapters(built))):
                    stack.push_async_callback(adapter.aclose)
        self._settings = self._own_settings
        self._home.leave()

    async def __aenter__(self) -> Self:
        """Return the service itself."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the service."""
        await self.aclose()
