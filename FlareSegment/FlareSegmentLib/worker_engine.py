"""What computes in a worker: an interface, and the engine on model bundles."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from .bundle_info import DESCRIPTION, bundled_model
from .progress import CancelQuery, ProgressCallback
from .volume import LabelMap
from .worker_protocol import Message
from .worker_request import SegmentRequest

if TYPE_CHECKING:
    from .segmenter import Segmenter


class Engine(Protocol):
    """What computes; `BundleEngine` in the product."""

    def warm_up(self, model: Path | None, device: str) -> Message:
        """Load what a request with `model` and `device` needs; give facts for the user."""

    def segment(
        self, request: SegmentRequest, progress: ProgressCallback, cancel: CancelQuery
    ) -> LabelMap:
        """Do what is asked for."""


class BundleEngine:
    """The engine on model bundles; keeps the last one loaded."""

    def __init__(self) -> None:
        self._key: tuple[Any, ...] | None = None
        self._segmenter: Segmenter | None = None

    def warm_up(self, model: Path | None, device: str) -> Message:
        """Load the bundle and move it to the device."""
        segmenter = self._load(model, device)
        segmenter.warm_up()
        return {"model": segmenter.bundle.name, "device": str(segmenter.device)}

    def segment(
        self, request: SegmentRequest, progress: ProgressCallback, cancel: CancelQuery
    ) -> LabelMap:
        """Segment with the bundle in `request.model`, the bundled one when None."""
        segmenter = self._load(request.model, request.device)
        return segmenter.segment(request.volume, request.targets, progress, cancel, request.region)

    def _load(self, model: Path | None, device: str) -> Segmenter:
        # Imported here because torch takes seconds, and hello must come before.
        from .bundle import ModelBundle
        from .segmenter import Segmenter

        folder = Path(model) if model is not None else bundled_model()
        description = folder / DESCRIPTION
        # The time is part of the key so that a model trained again under its name is noticed.
        stamp = description.stat().st_mtime_ns if description.is_file() else None
        key = (folder.resolve(), stamp, device)
        if self._segmenter is None or key != self._key:
            # Let go of the old model first: two at once may not fit into a small GPU.
            self._key, self._segmenter = None, None
            self._segmenter = Segmenter(ModelBundle.load(folder), device)
            self._key = key
        return self._segmenter
