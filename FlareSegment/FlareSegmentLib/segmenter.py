"""The engine: a CT volume in, a label map on its grid out."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from . import __version__
from .bundle import ModelBundle, NetworkEntry
from .checking import check_ct
from .cleanup import CleanupSettings, stray_voxels
from .devices import choose_device, choose_precision, is_out_of_memory
from .errors import DeviceError, InputError
from .geometry import canonical_volume
from .labels import target_by_id
from .localiser import LocaliserSettings, organ_components, region_of_interest
from .progress import CancelQuery, Monitor, ProgressCallback
from .resampling import grid_size, resample_volume
from .upsampling import upsample_argmax, upsample_labels
from .volume import LabelMap, Volume
from .windows import Box, plan_windows, round_up

logger = logging.getLogger(__name__)

REMOVED = -1e4
"""Logit of a channel where its component was removed; finite, so interpolation stays finite."""

NO_ORGAN = (
    "No organ found: nothing in this scan looks like an abdomen. If it should, check that the "
    "volume is a CT in HU and that its orientation is right."
)

T = TypeVar("T")


@dataclass(frozen=True)
class InferenceSettings:
    """How a bundle is run.

    Attributes
    ----------
    step
        Distance of neighbouring windows as a share of the window.
    patch
        Largest window (k, j, i) voxels; empty takes the bundle's.
    precision
        "auto", "float32", "bfloat16" or "float16".
    upsampling
        "logits" (exact), or "labels" (P1: threshold, then resample; about 4 points of DSC worse).
    localiser, cleanup
        Settings of these stages; `cleanup` None switches it off.
    """

    step: float = 0.75
    patch: tuple[int, ...] = ()
    precision: str = "auto"
    upsampling: str = "logits"
    localiser: LocaliserSettings = field(default_factory=LocaliserSettings)
    cleanup: CleanupSettings | None = field(default_factory=CleanupSettings)


class Segmenter:
    """A bundle made ready on a device; segments any number of volumes.

    Parameters
    ----------
    bundle
        The model.
    device
        "auto", "cpu" or "cuda".
    settings
        How to run it.

    Raises
    ------
    DeviceError
        If a GPU was asked for and none can be used.
    """

    def __init__(
        self,
        bundle: ModelBundle,
        device: str = "auto",
        settings: InferenceSettings = InferenceSettings(),
    ) -> None:
        self.bundle = bundle
        self.settings = settings
        self.device, self._device_note = choose_device(device)
        self._place_networks()

    def _place_networks(self) -> None:
        self.precision = choose_precision(self.settings.precision, self.device)
        self._network = self._placed(self.bundle.network())
        localiser = self.bundle.localiser()
        self._localiser = None if localiser is None else self._placed(localiser)

    def _placed(self, network: nn.Module) -> nn.Module:
        network = network.to(self.device, self.precision)
        if self.device.type == "cpu":
            network = network.to(memory_format=torch.channels_last_3d)
        return network.eval()

    def warm_up(self) -> None:
        """Run the networks once on a small input, so that the first case is not the slow one."""
        with torch.inference_mode():
            for network, entry in (
                (self._network, self.bundle.info.network),
                (self._localiser, self.bundle.info.localiser),
            ):
                if network is not None and entry is not None:
                    size = tuple(2 * n for n in _multiple(network))
                    self._forward(network, torch.zeros(size))

    def segment(
        self,
        volume: Volume,
        targets: Sequence[str] | None = None,
        progress: ProgressCallback | None = None,
        cancel: CancelQuery | None = None,
    ) -> LabelMap:
        """Segment one volume.

        Parameters
        ----------
        volume
            CT in HU, any axis order.
        targets
            Keys of the wanted targets; None for all the model has. The result of a target does
            not depend on which others are wanted.
        progress, cancel
            See `progress`; cancel is asked between windows and slices.

        Returns
        -------
        Label map on the grid of `volume`, with a report.

        Raises
        ------
        InputError, NotCTError
            If the volume cannot be segmented.
        Cancelled
            If `cancel` returned true.
        """
        run = _Run(self, Monitor(progress, cancel))
        wanted = self._wanted(targets)
        with torch.inference_mode():
            return run.segment(volume, wanted)

    def _wanted(self, targets: Sequence[str] | None) -> tuple[str, ...]:
        known = self.bundle.info.targets
        if targets is None:
            return known
        missing = [key for key in targets if key not in known]
        if missing:
            raise InputError(
                f"The model '{self.bundle.name}' does not segment {', '.join(missing)}. "
                f"It segments: {', '.join(known)}."
            )
        return tuple(key for key in known if key in set(targets))

    def _forward(self, network: nn.Module, image: Tensor) -> Tensor:
        """Float32 logits (channels, k, j, i) of one window (k, j, i), background first."""
        x = image[None, None].to(self.device, self.precision)
        logits: Tensor = network(x)[0].float()
        if self.bundle.info.activation == "sigmoid":
            # Probability one half is logit zero: background wins where no channel exceeds it.
            logits = torch.cat([torch.zeros_like(logits[:1]), logits])
        return logits

    def _fall_back(self) -> str:
        """Move to the CPU; a sentence about it."""
        self.device = torch.device("cpu")
        torch.cuda.empty_cache()
        self._place_networks()
        return "The GPU's memory was not enough; the CPU was used instead."


def _multiple(network: nn.Module) -> tuple[int, int, int]:
    k, j, i = getattr(network, "size_multiple", (1, 1, 1))
    return (int(k), int(j), int(i))


class _Run:
    """What belongs to one call of `segment`."""

    def __init__(self, segmenter: Segmenter, monitor: Monitor) -> None:
        self.segmenter = segmenter
        self.settings = segmenter.settings
        self.info = segmenter.bundle.info
        self.monitor = monitor
        self.seconds: dict[str, float] = {}
        self.notes: list[str] = [segmenter._device_note] if segmenter._device_note else []
        self.windows = 0
        self.windows_skipped = 0

    @contextmanager
    def _timed(self, stage: str):  # type: ignore[no-untyped-def]
        start = time.perf_counter()
        self.monitor.step(stage, 0.0)
        yield
        self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - start
        self.monitor.step(stage, 1.0)

    def segment(self, volume: Volume, wanted: tuple[str, ...]) -> LabelMap:
        start = time.perf_counter()
        volume = check_ct(volume)
        self.notes += volume.notes
        scan, order = canonical_volume(volume)
        result = np.zeros(volume.array.shape, np.uint8)
        with self._timed("localise"):
            box, organs = self._localise(scan)
        report_box = None
        if box is not None:
            report_box = [[s.start, s.stop] for s in box]
            labels = self._with_memory_fall_back(lambda: self._segment_box(scan, box, organs))
            order.apply(result)[box] = self._to_ids(wanted)[labels]
        if not result.any():
            # An empty result is never silent.
            self.notes.append(NO_ORGAN if box is None else self._nothing_of(wanted))
        self.seconds["total"] = time.perf_counter() - start
        return LabelMap(result, volume.affine, wanted, self._report(volume, report_box))

    def _nothing_of(self, wanted: tuple[str, ...]) -> str:
        if len(wanted) == len(self.info.targets):
            return NO_ORGAN
        return f"None of the wanted targets was found: {', '.join(wanted)}."

    def _report(self, volume: Volume, box: list[list[int]] | None) -> dict[str, Any]:
        return {
            "model": self.segmenter.bundle.name,
            "model_sha256": self.segmenter.bundle.sha256,
            "engine_version": __version__,
            "torch_version": torch.__version__,
            "device": str(self.segmenter.device),
            "precision": str(self.segmenter.precision).removeprefix("torch."),
            "threads": torch.get_num_threads(),
            "seconds": {k: round(v, 4) for k, v in self.seconds.items()},
            "region_of_interest": box,
            "windows": self.windows,
            "windows_skipped": self.windows_skipped,
            "size": list(volume.array.shape),
            "spacing_mm": [round(s, 6) for s in volume.spacing],
            "notes": list(dict.fromkeys(self.notes)),
        }

    def _to_ids(self, wanted: tuple[str, ...]) -> np.ndarray:
        """Look-up table from channel to label value; unwanted targets become background."""
        table = np.zeros(len(self.info.targets) + 1, np.uint8)
        for channel, label in enumerate(self.info.target_ids, start=1):
            if target_by_id(label).key in wanted:
                table[channel] = label
        return table

    # Localising

    def _localise(self, scan: Volume) -> tuple[Box | None, np.ndarray | None]:
        """Region of interest in scan voxels, and the coarse organ mask over the whole scan."""
        settings, entry = self.settings.localiser, self.info.localiser
        network = self.segmenter._localiser
        whole = tuple(slice(0, n) for n in scan.array.shape)
        if not settings.enabled or network is None or entry is None:
            return whole, None  # type: ignore[return-value]
        size = _working_size(entry, scan.array.shape, scan.spacing)
        coarse = resample_volume(scan.array, size)
        self.monitor.step("localise", 0.6)
        logits = self._with_memory_fall_back(lambda: self._predict(coarse, entry, network, None))
        spacing = [n * s / m for n, s, m in zip(scan.array.shape, scan.spacing, size, strict=True)]
        voxel_ml = float(np.prod(spacing)) / 1000
        labels = logits.argmax(0).to(torch.uint8).cpu().numpy()
        organs = organ_components(labels, self.info.targets, voxel_ml, settings)
        if not organs.any():
            return None, None
        return region_of_interest(organs, spacing, scan.array.shape, settings.margin_mm), organs

    # Segmenting the region

    def _segment_box(self, scan: Volume, box: Box, organs: np.ndarray | None) -> np.ndarray:
        """Channel numbers (k, j, i) uint8 on the scan's grid within `box`."""
        entry = self.info.network
        region = scan.array[box]
        with self._timed("resample"):
            size = _working_size(entry, region.shape, scan.spacing)
            image = resample_volume(region, size)
        spacing = [n * s / m for n, s, m in zip(region.shape, scan.spacing, size, strict=True)]
        with self._timed("network"):
            foreground = _foreground(organs, box, scan.array.shape, size, spacing)
            logits = self._predict(image, entry, self.segmenter._network, foreground)
            del image
            self._clean_up(logits, float(np.prod(spacing)) / 1000)
        with self._timed("upsample"):
            if self.settings.upsampling == "labels":
                return upsample_labels(logits, region.shape)
            return upsample_argmax(logits, region.shape, self.monitor)

    def _clean_up(self, logits: Tensor, voxel_ml: float) -> None:
        """Change, in place, the logits of components that should not be there."""
        if self.settings.cleanup is None:
            return
        winner = logits.argmax(0).to(torch.uint8).cpu().numpy()
        for last in (False, True):
            stray = stray_voxels(winner, voxel_ml, self.info.targets, self.settings.cleanup)
            if not stray.any():
                return
            # Positions, not a flattened copy: the logits may be a view of a padded array.
            k, j, i = (torch.from_numpy(n).to(logits.device) for n in np.nonzero(stray))
            if last:
                # What takes the place of a stray component may be as stray; then nothing is there.
                logits[0, k, j, i] = -REMOVED
                return
            channel = torch.from_numpy(winner[stray].astype(np.int64)).to(logits.device)
            logits[channel, k, j, i] = REMOVED
            winner[stray] = logits[:, k, j, i].argmax(0).to(torch.uint8).cpu().numpy()

    def _predict(
        self,
        image: Tensor,
        entry: NetworkEntry,
        network: nn.Module,
        foreground: np.ndarray | None,
    ) -> Tensor:
        """Blended logits (channels, k, j, i) on the image's grid, on the CPU unless they fit."""
        multiple = _multiple(network)
        padded = round_up(image.shape, multiple)
        size = image.shape
        image = entry.intensity.normalise(image)
        if padded != tuple(size):
            # As in training: the border slices are repeated, no air is invented.
            pad = [n - m for n, m in zip(padded, size, strict=True)]
            image = functional.pad(
                image[None, None], (0, pad[2], 0, pad[1], 0, pad[0]), mode="replicate"
            )[0, 0]
        patch = self.settings.patch if entry is self.info.network else ()
        plan = plan_windows(padded, patch or entry.patch, multiple, self.settings.step)
        if len(plan.boxes) == 1:
            self.windows += 1
            logits = self.segmenter._forward(network, image)
            self.monitor.step("network", 0.95)
            return logits[:, : size[0], : size[1], : size[2]]
        weight = [torch.from_numpy(plan.axis_weights(axis)) for axis in range(3)]
        window_weight = weight[0][:, None, None] * weight[1][:, None] * weight[2]
        total: Tensor | None = None
        mass = torch.zeros(padded)
        for number, box in enumerate(plan.boxes):
            self.monitor.step("network", 0.95 * number / len(plan.boxes))
            if foreground is not None and not foreground[box].any():
                self.windows_skipped += 1
                continue
            self.windows += 1
            logits = self.segmenter._forward(network, image[box]).cpu()
            if total is None:
                total = torch.zeros((logits.shape[0], *padded))
            total[(slice(None), *box)].addcmul_(logits, window_weight)
            mass[box] += window_weight
        if total is None:
            raise InputError(NO_ORGAN)
        empty = mass == 0
        total /= torch.where(empty, 1.0, mass)
        # Where every window was skipped the localiser saw background only.
        total[0][empty] = 1.0
        return total[:, : size[0], : size[1], : size[2]]

    # Memory

    def _with_memory_fall_back(self, compute: Callable[[], T]) -> T:
        """Compute; out of memory: smaller windows, then the CPU, then a sentence."""
        original = self.settings
        try:
            for attempt in range(4):
                try:
                    return compute()
                except (RuntimeError, MemoryError) as error:
                    if not is_out_of_memory(error) or attempt == 3:
                        raise
                    self._use_less_memory(attempt)
            raise AssertionError("unreachable")
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            raise DeviceError(
                "There is not enough memory for this scan, even with small windows. Close other "
                "programs, or crop the volume to the abdomen."
            ) from error
        finally:
            self.settings = original

    def _use_less_memory(self, attempt: int) -> None:
        if attempt == 2 or (attempt == 1 and self.segmenter.device.type == "cuda"):
            if self.segmenter.device.type == "cuda":
                self.notes.append(self.segmenter._fall_back())
            return
        if self.segmenter.device.type == "cuda":
            torch.cuda.empty_cache()
        patch = self.settings.patch or self.info.network.patch
        smaller = tuple(max(16, n // 2) for n in patch)
        self.settings = replace(self.settings, patch=smaller)
        self.notes.append("Memory was short; smaller windows were used.")
        logger.warning("out of memory, now with windows of %s voxels", smaller)


def _working_size(
    entry: NetworkEntry, shape: Sequence[int], spacing: Sequence[float]
) -> tuple[int, int, int]:
    if entry.fixed_size:
        k, j, i = entry.fixed_size
        return (k, j, i)
    return grid_size(shape, spacing, entry.spacing)


def _foreground(
    organs: np.ndarray | None,
    box: Box,
    shape: Sequence[int],
    size: Sequence[int],
    spacing: Sequence[float],
    margin_mm: float = 30.0,
) -> np.ndarray | None:
    """The localiser's organs, with a margin, on the padded working grid of the region."""
    if organs is None:
        return None
    indices = []
    for axis in range(3):
        length = box[axis].stop - box[axis].start
        centre = box[axis].start + (np.arange(size[axis]) + 0.5) * length / size[axis]
        coarse = (centre * organs.shape[axis] / shape[axis]).astype(np.int64)
        indices.append(np.minimum(coarse, organs.shape[axis] - 1))
    mask = organs[np.ix_(*indices)]
    for axis in range(3):
        mask = _widen(mask, axis, int(np.ceil(margin_mm / spacing[axis])))
    return mask


def _widen(mask: np.ndarray, axis: int, reach: int) -> np.ndarray:
    """Dilate a mask along one axis by `reach` voxels."""
    counts = np.cumsum(mask, axis=axis, dtype=np.int32)
    length = mask.shape[axis]
    upper = np.minimum(np.arange(length) + reach, length - 1)
    lower = np.arange(length) - reach - 1
    below = np.take(counts, np.maximum(lower, 0), axis=axis)
    shape = [1, 1, 1]
    shape[axis] = length
    below = np.where((lower < 0).reshape(shape), 0, below)
    return np.take(counts, upper, axis=axis) > below
