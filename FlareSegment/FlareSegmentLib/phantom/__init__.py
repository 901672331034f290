"""Labelled CT phantoms of the abdomen, and scans in which nothing may be found.

`make_phantom` makes an abdomen with all 14 targets; `negatives` makes what is no abdomen.
"""

from __future__ import annotations

from .generate import PhantomSettings, make_phantom

__all__ = ["PhantomSettings", "make_phantom"]
