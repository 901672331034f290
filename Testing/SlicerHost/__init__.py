"""A Slicer application for tests: the real MRML core with stand-ins for what only the app has.

``slicer-core`` (pip) brings the real nodes, logics and ``slicer.util``; this package adds Qt in
PythonQt's manners, the CTK and MRML widgets used, ``slicer.app``, modules and their base classes.
A stand-in is strict: what real Slicer does not have raises here. ``CHECKED.md`` says what each was
checked against.

>>> from SlicerHost import start
>>> host = start()
>>> module = host.load_module(Path("FlareSegment/FlareSegment.py"))
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from SlicerHost.host import Host

_host: Host | None = None


def start() -> Host:
    """Give the one host of this process, started the first time."""
    global _host
    if _host is None:
        from SlicerHost.host import Host

        _host = Host()
    return _host
