"""``python -m exporter`` is the command ``exporter``."""

from .cli import main

raise SystemExit(main())
