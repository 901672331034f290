"""Engine of the FlareSegment extension: abdominal organ and tumor segmentation of CT volumes.

For scripts::

    from FlareSegmentLib import Segmenter, read_volume

    volume = read_volume("scan.nii.gz")
    label_map = Segmenter().segment(volume, targets=["liver", "spleen"])
    label_map.save("scan_seg.nii.gz")
    rows = label_map.measure(volume)

What is named here is imported when it is first used: torch takes seconds, and much of the package
does without it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .bundle import ModelBundle
    from .errors import FlareError
    from .reading import read_label_map, read_volume
    from .segmenter import InferenceSettings, Segmenter
    from .volume import LabelMap, Volume

__version__ = "0.1.0"

__all__ = [
    "FlareError",
    "InferenceSettings",
    "LabelMap",
    "ModelBundle",
    "Segmenter",
    "Volume",
    "__version__",
    "read_label_map",
    "read_volume",
]

_MODULES = {
    "FlareError": "errors",
    "InferenceSettings": "inference_settings",
    "LabelMap": "volume",
    "ModelBundle": "bundle",
    "Segmenter": "segmenter",
    "Volume": "volume",
    "read_label_map": "reading",
    "read_volume": "reading",
}


def __getattr__(name: str) -> Any:
    """Import what is named in `__all__` when it is first used."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_MODULES[name]}", __name__), name)
