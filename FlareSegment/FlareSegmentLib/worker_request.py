"""One request to the worker, from the volume to its outcome."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .errors import FlareError, WorkerError
from .exchange import ArrayWriter
from .progress import ProgressCallback
from .volume import LabelMap, Volume
from .windows import Box
from .worker_errors import cancelled, no_room, reported_error
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

    def outcome(self, outcome: LabelMap | FlareError) -> None:
        """Tell what came of the request."""
        if isinstance(outcome, FlareError):
            self.on_error(outcome)
        else:
            self.on_result(outcome)


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

    def write_for(self, seconds: float) -> bool:
        """Write pieces of the scan for about that long; give whether all is written.

        Raises
        ------
        OutputError
            When there is no room.
        """
        deadline = time.monotonic() + seconds
        try:
            while not self.written:
                self._writer.step()
                if time.monotonic() > deadline:
                    return False
        except OSError as error:
            raise no_room(self._input.parent, self.request.volume.array, error) from error
        return True

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

    def outcome(self, message: Message, cancelling: bool) -> LabelMap | FlareError:
        """Give the result that the worker's last message tells of, or what went wrong.

        Parameters
        ----------
        message
            ``result``, ``cancelled`` or ``error``.
        cancelling
            Whether the request was to be stopped; a result that came all the same is dropped.
        """
        if cancelling or message["event"] == "cancelled":
            return cancelled()
        if message["event"] != "result":
            return reported_error(message)
        try:
            array = np.load(self._output, mmap_mode="c")
        except (OSError, ValueError) as error:
            return WorkerError(
                f"The result could not be read from the temporary folder ({error}). Another "
                "program may have cleaned it up: run again, or choose another temporary folder "
                "in Slicer's application settings."
            )
        extras = {key: message[key] for key in ("extent", "statistics")}
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


def warm_up_message(number: int, model: Path | None, device: str) -> Message:
    """Give the message that makes the worker load `model` on `device`."""
    return {
        "op": "warm_up",
        "id": number,
        "model": str(model) if model else None,
        "device": device,
    }
