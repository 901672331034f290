"""One request to the worker, from the volume to its outcome."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .errors import FlareError
from .exchange import ArrayWriter
from .progress import ProgressCallback
from .volume import LabelMap, Volume
from .windows import Box
from .worker_errors import no_room
from .worker_protocol import Message

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class SegmentRequest:
    """One volume to segment.

    Attributes
    ----------
    volume
        The scan; its array is written to the exchange folder as it is.
    targets
        Keys of `labels.json`; None for all that the model knows.
    model
        Folder of a model bundle; None for the bundled one.
    device
        ``auto``, ``cpu``, ``cuda`` or what torch calls a device.
    region
        Voxels (k, j, i) outside of which nothing is wanted; None for the whole volume.
    """

    volume: Volume
    targets: Sequence[str] | None = None
    model: Path | None = None
    device: str = "auto"
    region: Box | None = None


@dataclass(frozen=True)
class RequestListener:
    """Who is told of a request: progress, and then exactly one of the other two."""

    on_progress: ProgressCallback
    on_result: Callable[[LabelMap], None]
    on_error: Callable[[FlareError], None]


class RequestOnItsWay:
    """A request between the client and the worker, with its files.

    Parameters
    ----------
    number
        Its identifier.
    request
        What is asked for.
    folder
        The exchange folder.
    tell
        Who is told.

    Raises
    ------
    OutputError
        When the folder has no room for the scan.
    """

    def __init__(
        self, number: int, request: SegmentRequest, folder: Path, tell: RequestListener
    ) -> None:
        self.number = number
        self.request = request
        self.tell = tell
        self.sent = False
        self._input = folder / f"{number}.input.npy"
        self._output = folder / f"{number}.output.npy"
        try:
            self._writer = ArrayWriter(self._input, request.volume.array)
        except OSError as error:
            raise no_room(folder, request.volume.array, error) from error

    @property
    def written(self) -> bool:
        """Whether the scan is in the exchange folder."""
        return self._writer.done

    def write_piece(self) -> None:
        """Write the next piece of the scan; raises `OutputError` when there is no room."""
        try:
            self._writer.step()
        except OSError as error:
            raise no_room(self._input.parent, self.request.volume.array, error) from error

    def message(self) -> Message:
        """Give the message that asks the worker."""
        request = self.request
        region = request.region
        return {
            "op": "segment",
            "id": self.number,
            "input": str(self._input),
            "output": str(self._output),
            "affine": np.asarray(request.volume.affine, dtype=float).tolist(),
            "name": request.volume.name,
            "targets": list(request.targets) if request.targets is not None else None,
            "model": str(request.model) if request.model else None,
            "device": request.device,
            "region": [[int(part.start), int(part.stop)] for part in region] if region else None,
        }

    def label_map(self, message: Message) -> LabelMap:
        """Give the result that `message` tells of; its array is mapped from the folder."""
        extras = {key: message[key] for key in ("extent", "statistics")}
        array = np.load(self._output, mmap_mode="c")
        affine = np.asarray(self.request.volume.affine, dtype=float)
        return LabelMap(array, affine, tuple(message["targets"]), {**message["report"], **extras})

    def remove_files(self) -> None:
        """Remove what is in the exchange folder; an array still mapped stays usable."""
        self._writer.close()
        for path in (self._input, self._output):
            try:
                path.unlink(missing_ok=True)
            except OSError:  # mapped, on Windows; removed with the folder
                logger.debug("still in use: %s", path)
