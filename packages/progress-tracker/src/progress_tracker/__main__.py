"""``python -m progress_tracker`` is the command ``progress-tracker``."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
