"""The language between Slicer and the worker: one JSON object per line, ASCII only.

Requests carry ``op``: ``warm_up``, ``segment``, ``cancel``. Events carry ``event``: ``hello``,
``heartbeat``, ``ready``, ``progress``, ``result``, ``cancelled``, ``error``. Every request but
``cancel`` has an ``id`` that its events repeat. Arrays travel as ``.npy`` files in the exchange
folder; only their paths are in the messages.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

PROTOCOL_VERSION = 2
"""Raised whenever a message changes its meaning, so that mixed installations are noticed."""

HEARTBEAT_SECONDS = 1.0
"""How often the worker shows that it is alive."""

Message = dict[str, Any]


def encode(message: Message) -> bytes:
    """Give the line that carries `message`.

    ASCII escapes make the line independent of the locale: a folder called ``Müller`` passes a
    pipe whose encoding is Latin-1 on one side.
    """
    return json.dumps(message, ensure_ascii=True).encode("ascii") + b"\n"


class LineReader:
    """Cuts a byte stream that arrives in pieces into lines."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield each line completed by `data`, without its line end."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            if line.strip():
                yield line.rstrip(b"\r")


def decode(line: bytes) -> Message | None:
    """Give the message on `line`, or None when the line is not one."""
    try:
        message = json.loads(line)
    except ValueError:
        return None
    return message if isinstance(message, dict) else None
