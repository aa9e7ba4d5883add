"""``python -m tiered_cache``."""

import sys

from .cli import main

sys.exit(main())
