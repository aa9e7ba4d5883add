"""The command ``notify``: send and list, preview templates, run workers, look into the outbox."""

import argparse
import asyncio
import contextlib
import importlib
import logging
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Sequence
from importlib.metadata import version
from typing import Any

import msgspec

from .errors import BackendError, ConfigurationError, NotificationNotFound, NotifyError
from .models import DeliveryFilters, DeliveryStatus, Notification, NotificationType
from .service import NotificationService
from .settings import Settings

Command = Callable[[NotificationService, argparse.Namespace], Coroutine[Any, Any, int]]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code: 0 done, 1 not found, 2 wrong use."""
    arguments = _parser().parse_args(argv)
    logging.basicConfig(
        level=arguments.log_level.upper(), format="%(levelname)s %(name)s %(message)s"
    )
    try:
        return asyncio.run(_run(arguments))
    except NotificationNotFound as exc:
        print(f"notify: {exc}", file=sys.stderr)
        return 1
    except NotifyError as exc:
        print(f"notify: {exc}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # `notify list … | head`: whoever read has left
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130


async def _run(arguments: argparse.Namespace) -> int:
    command: Command = arguments.command
    async with _service(arguments) as service:
        return await command(service, arguments)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="notify", description="Notifications.")
    parser.add_argument(
        "--log-level", default="warning", choices=["debug", "info", "warning", "error"]
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {version('notify')}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, run: Command, text: str) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=text, description=text)
        made.add_argument("--url", help="the store; else NOTIFY_URL or NOTIFY_CONFIG")
        made.add_argument("--config", help="a YAML file with a section 'notification'")
        made.add_argument("--app", metavar="MODULE:SERVICE", help="the application's own service")
        made.set_defaults(command=run)
        return made

    send = add("send", _send, "send a notification")
    send.add_argument("user_id")
    send.add_argument("title")
    send.add_argument("--message", default="")
    send.add_argument("--type", default="info", choices=[str(each) for each in NotificationType])
    send.add_argument("--channel", action="append", dest="channels", help="may be given often")
    send.add_argument("--category")
    send.add_argument("--action-url")
    send.add_argument("--critical", action="store_true")
    send.add_argument("--key", help="idempotency key")
    send.add_argument("--wait", type=float, default=0.0, help="seconds to wait for deliveries")
    inbox = add("list", _list, "list a user's notifications, newest first")
    inbox.add_argument("user_id")
    inbox.add_argument("--unread", action="store_true")
    inbox.add_argument("--limit", type=int, default=50)
    preview = add("preview", _preview, "show what a template makes")
    preview.add_argument("template")
    preview.add_argument("--channel", default="email")
    preview.add_argument("--locale")
    preview.add_argument("--context", default="{}", help="the variables as JSON")
    preview.add_argument("--part", choices=["subject", "text", "html"])
    worker = add("worker", _worker, "deliver until SIGTERM or Ctrl-C")
    worker.add_argument("--once", action="store_true", help="deliver what is due and end")
    deliveries = add("deliveries", _deliveries, "list deliveries, oldest first")
    deliveries.add_argument("notification_id", nargs="?")
    deliveries.add_argument("--status", choices=[str(each) for each in DeliveryStatus])
    deliveries.add_argument("--channel")
    deliveries.add_argument("--limit", type=int, default=50)
    replay = add("replay", _replay, "try ended deliveries again")
    replay.add_argument("notification_id", nargs="?")
    replay.add_argument("--all-dead", action="store_true", help="every dead delivery")
    explain = add("explain", _explain, "say why a notification was, or was not, sent")
    explain.add_argument("notification_id")
    schema = add("schema", _schema, "create or upgrade the tables, or print them as SQL")
    schema.add_argument("action", choices=["upgrade", "sql"])
    return parser


def _service(arguments: argparse.Namespace) -> NotificationService:
    given = [each for each in (arguments.url, arguments.config, arguments.app) if each]
    if len(given) > 1:
        raise ConfigurationError("give one of --url, --config and --app")
    if arguments.app:
        return _loaded(arguments.app)
    if arguments.config:
        return NotificationService(Settings.from_yaml(arguments.config))
    if arguments.url:
        return NotificationService.from_url(arguments.url)
    found = Settings.discover()
    if found is None and arguments.command is not _preview:
        raise ConfigurationError("which store? give --url, --config or --app, or set NOTIFY_URL")
    return NotificationService(found or Settings())


def _loaded(target: str) -> NotificationService:
    module, _, attribute = target.partition(":")
    if not all(part.isidentifier() for part in module.split(".")):
        raise ConfigurationError(f"not a module: {target!r}; write module:service")
    sys.path.insert(0, os.getcwd())  # noqa: PTH109  what Python itself would put there
    try:
        found: Any = importlib.import_module(module)
    except ModuleNotFoundError as exc:
        if exc.name is None or not f"{module}.".startswith(f"{exc.name}."):
            raise
        raise ConfigurationError(f"there is no module {module!r}") from exc
    found = getattr(found, attribute or "notifications", None)
    if not isinstance(found, NotificationService):
        raise ConfigurationError(f"{target!r} is no NotificationService; write module:service")
    return found


def _check_durable(service: NotificationService) -> None:
    if not service.store.capabilities.shared:
        raise ConfigurationError(
            "notifications in memory cannot be seen from another process; use a durable store, for "
            f"example {service.durable_example}"
        )


async def _send(service: NotificationService, arguments: argparse.Namespace) -> int:
    _check_durable(service)
    result = await service.send(
        Notification(
            title=arguments.title,
            message=arguments.message,
            user_id=arguments.user_id,
            type=arguments.type,
            channels=arguments.channels,
            category=arguments.category,
            action_url=arguments.action_url,
            priority="critical" if arguments.critical else "normal",
            idempotency_key=arguments.key,
        ),
        wait=arguments.wait,
    )
    print(result.id)
    for each in result.deliveries:
        print(f"{each.channel}\t{each.status}\t{each.reason or ''}")
    return 0


async def _list(service: NotificationService, arguments: argparse.Namespace) -> int:
    page = await service.get_user_notifications(
        arguments.user_id, arguments.unread, arguments.limit
    )
    rows = [
        (each.id, "read" if each.read else "unread", str(each.type), each.title) for each in page
    ]
    _table(("id", "state", "type", "title"), rows)
    return 0


async def _preview(service: NotificationService, arguments: argparse.Namespace) -> int:
    try:
        context = msgspec.json.decode(arguments.context, type=dict[str, Any])
    except msgspec.DecodeError as exc:
        raise ConfigurationError(f"--context is no JSON object: {exc}") from exc
    for name in ("channel", "locale", "template"):
        if name in context:
            raise ConfigurationError(f"--context cannot hold {name!r} here")
    made = await service.preview(
        arguments.template, channel=arguments.channel, locale=arguments.locale, **context
    )
    if arguments.part:
        print(made[arguments.part] or "")
        return 0
    print(f"Subject: {made['subject'] or ''}\n\n{made['text'] or ''}")
    if made["html"]:
        print(f"--- html ---\n{made['html']}")
    return 0


async def _worker(service: NotificationService, arguments: argparse.Namespace) -> int:
    _check_durable(service)
    if arguments.once:
        print(await service.deliver_due())
        return 0
    task = asyncio.ensure_future(service.run())
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        with contextlib.suppress(NotImplementedError):  # Windows: Ctrl-C raises by itself
            loop.add_signal_handler(name, task.cancel)
    with contextlib.suppress(BackendError):  # the worker tries again, and says so
        await service.store.due()
    print("worker ready", flush=True)
    with contextlib.suppress(asyncio.CancelledError):
        await task
    return 0


async def _deliveries(service: NotificationService, arguments: argparse.Namespace) -> int:
    filters = DeliveryFilters(
        arguments.status, arguments.channel, notification_id=arguments.notification_id
    )
    page = await service.list_deliveries(filters, arguments.limit)
    rows = [
        (
            each.notification_id,
            each.channel,
            str(each.status),
            str(each.attempts),
            each.reason or "",
        )
        for each in page
    ]
    _table(("notification", "channel", "status", "attempts", "reason"), rows)
    return 0


async def _replay(service: NotificationService, arguments: argparse.Namespace) -> int:
    if bool(arguments.notification_id) == arguments.all_dead:
        raise ConfigurationError("give a notification's id, or --all-dead")
    _check_durable(service)
    if arguments.notification_id:
        await service.get(arguments.notification_id)
        print(await service.replay(arguments.notification_id))
    else:
        print(await service.replay(DeliveryFilters(status=DeliveryStatus.DEAD)))
    return 0


async def _explain(service: NotificationService, arguments: argparse.Namespace) -> int:
    for each in await service.explain(arguments.notification_id):
        print(each.summary)
        for step in each.steps:
            print(f"  {step}")
    return 0


async def _schema(service: NotificationService, arguments: argparse.Namespace) -> int:
    if arguments.action == "upgrade":
        await service.setup()
    else:
        print(service.store.schema_sql(), end="")
    return 0


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table: with rich on a terminal, else tab-separated."""
    if sys.stdout.isatty():
        with contextlib.suppress(ImportError):
            from rich.console import Console
            from rich.table import Table
            from rich.text import Text

            table = Table(*head)
            for row in rows:
                table.add_row(*(Text(cell) for cell in row))
            Console().print(table)
            return
    for row in rows:
        print("\t".join(row))
