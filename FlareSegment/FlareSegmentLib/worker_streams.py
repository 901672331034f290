"""Standard streams of a process that speaks JSON lines: nothing else gets between the lines."""

from __future__ import annotations

import logging
import os
import sys
from typing import BinaryIO, TextIO


def reserve_standard_output() -> BinaryIO:
    """Give a stream on the standard output and turn everything else's output to stderr.

    Libraries print; one line of theirs between two of ours would break the protocol. The file
    descriptor is moved, not only ``sys.stdout``, because native code writes to it directly.
    """
    reserved = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return reserved


def log_to(stream: TextIO) -> None:
    """Send the log to `stream`, in UTF-8 whatever the locale."""
    if hasattr(stream, "reconfigure"):
        stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    logging.basicConfig(stream=stream, level=logging.INFO, format="%(levelname)s %(message)s")
