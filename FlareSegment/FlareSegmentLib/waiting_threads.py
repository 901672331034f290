"""How the threads of a computation wait for one another."""

from __future__ import annotations

import os
from collections.abc import MutableMapping

WAIT_POLICY = "OMP_WAIT_POLICY"
"""Variable of the OpenMP runtime that PyTorch computes with; it has no other switch for this."""


def let_threads_sleep(environment: MutableMapping[str, str] | None = None) -> None:
    """Make threads that are done with their part sleep until the others are, instead of spinning.

    By default they spin. When another program keeps a core busy, a spinning thread holds back the
    very one that it waits for; `Testing/Benchmarks/busy.py` measures what that costs. To be called
    before PyTorch is imported; a wish of the user in the environment stands.

    Parameters
    ----------
    environment
        Of the process that is to be started; None for this one.
    """
    (os.environ if environment is None else environment).setdefault(WAIT_POLICY, "PASSIVE")
