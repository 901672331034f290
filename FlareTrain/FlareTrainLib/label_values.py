"""Values in label maps that the whole training knows by name."""

from __future__ import annotations

ORGANS = tuple(range(1, 14))
"""Ids of the 13 organs."""

TUMOR = 14
"""Id of the tumor, which lies inside organs."""

IGNORE = 255
"""Value of voxels of which nothing is known; no loss reaches them."""
