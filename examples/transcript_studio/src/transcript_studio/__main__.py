"""``python -m transcript_studio``."""

import sys

from .cli import main

sys.exit(main())
