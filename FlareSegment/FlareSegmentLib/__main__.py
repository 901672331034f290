"""``python -m FlareSegmentLib``: the command ``flare-segment``."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
