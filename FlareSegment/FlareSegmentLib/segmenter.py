"""The engine: a CT volume in, a label map on its grid out."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from . import __version__
from .bundle import BundleInference, ModelBundle
from .checking import check_ct
from .cleanup import CleanupSettings, stray_voxels
from .coarse_support import CoarseSupport
from .devices import choose_device, choose_precision, is_out_of_memory
from .errors import DeviceError, InputError
from .geometry import canonical_volume
from .labels import target_by_id
from .localiser import (
    LocaliserSettings,
    agreement,
    organ_components,
    organs_on_grid,
    region_of_interest,
)
from .prediction import Predictor, WindowCount
from .progress import CancelQuery, Monitor, ProgressCallback
from .region import canonical_box, clear_outside, common, part_of, relative_to, widened
from .resampling import resample_volume
from .upsampling import largest_channel, upsample_argmax, upsample_labels
from .volume import LabelMap, Volume
from .windows import Box

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
    window_filter
        Leave out rows of windows whose middle holds no organ (P3); see `windows.row_probes`.
    localiser, cleanup
        Settings of these stages; `cleanup` None switches it off.
    """

    step: float = 0.75
    patch: tuple[int, ...] = ()
    precision: str = "auto"
    upsampling: str = "logits"
    window_filter: bool = False
    localiser: LocaliserSettings = field(default_factory=LocaliserSettings)
    cleanup: CleanupSettings | None = field(default_factory=CleanupSettings)

    @classmethod
    def of(cls, wanted: BundleInference) -> InferenceSettings:
        """Give the settings that a bundle asks for."""
        return cls(
            step=wanted.step,
            upsampling=wanted.upsampling,
            window_filter=wanted.window_filter,
            cleanup=CleanupSettings(
                largest_only=wanted.largest_only, tumor_outside=wanted.tumor_outside
            ),
        )


class Segmenter:
    """A bundle made ready on a device; segments any number of volumes.

    Parameters
    ----------
    bundle
        The model.
    device
        "auto", "cpu" or "cuda".
    settings
        How to run it; None for the way the bundle asks for.

    Raises
    ------
    DeviceError
        If a GPU was asked for and none can be used.
    """

    def __init__(
        self,
        bundle: ModelBundle,
        device: str = "auto",
        settings: InferenceSettings | None = None,
    ) -> None:
        self.bundle = bundle
        self.settings = settings or InferenceSettings.of(bundle.info.inference)
        self.device, self._device_note = choose_device(device)
        self._place_networks()

    def _place_networks(self) -> None:
        info = self.bundle.info
        self.precision = choose_precision(self.settings.precision, self.device)
        sigmoid = info.activation == "sigmoid"
        self.predictor = Predictor(
            self.bundle.network(), info.network, sigmoid, self.device, self.precision
        )
        localiser = self.bundle.localiser()
        self.localiser: Predictor | None = None
        if localiser is not None and info.localiser is not None:
            self.localiser = Predictor(
                localiser, info.localiser, sigmoid, self.device, self.precision
            )

    def warm_up(self) -> None:
        """Run the networks once on a small input, so that the first case is not the slow one."""
        with torch.inference_mode():
            self.predictor.warm_up()
            if self.localiser is not None:
                self.localiser.warm_up()

    def segment(
        self,
        volume: Volume,
        targets: Sequence[str] | None = None,
        progress: ProgressCallback | None = None,
        cancel: CancelQuery | None = None,
        region: Box | None = None,
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
        region
            Voxels (k, j, i) of `volume` outside of which nothing is wanted; None for all.

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
            return run.segment(volume, wanted, region)

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

    def _fall_back(self) -> str:
        """Move to the CPU; a sentence about it."""
        self.device = torch.device("cpu")
        torch.cuda.empty_cache()
        self._place_networks()
        return "The GPU's memory was not enough; the CPU was used instead."


@dataclass(frozen=True)
class _Coarse:
    """What the localiser saw: channel numbers and the mask of believable organs, (k, j, i)."""

    labels: np.ndarray
    organs: np.ndarray


class _Run:
    """What belongs to one call of `segment`."""

    def __init__(self, segmenter: Segmenter, monitor: Monitor) -> None:
        self.segmenter = segmenter
        self.settings = segmenter.settings
        self.info = segmenter.bundle.info
        self.monitor = monitor
        self.seconds: dict[str, float] = {}
        self.notes: list[str] = [segmenter._device_note] if segmenter._device_note else []
        self.count = WindowCount()
        self.agreement: float | None = None

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        start = time.perf_counter()
        self.monitor.step(stage, 0.0)
        yield
        self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - start
        self.monitor.step(stage, 1.0)

    def segment(
        self, volume: Volume, wanted: tuple[str, ...], region: Box | None = None
    ) -> LabelMap:
        start = time.perf_counter()
        volume = check_ct(volume)
        self.notes += volume.notes
        scan, order = canonical_volume(volume)
        result = np.zeros(volume.array.shape, np.uint8)
        with self._timed("localise"):
            box, coarse = self._with_memory_fall_back(lambda: self._localise(scan))
        nothing = self._nothing_of(wanted, box, region)
        limits = None
        if region is not None and box is not None:
            limits = common(box, canonical_box(region, volume.array.shape, order))
            box = box if limits is not None else None
        report_box = None
        if box is not None:
            report_box = [[s.start, s.stop] for s in box]
            labels = self._with_memory_fall_back(
                lambda: self._segment_box(scan, box, coarse, limits)
            )
            order.apply(result)[box] = self._to_ids(labels, wanted)
            if region is not None:
                clear_outside(result, region)
        if not result.any():
            # An empty result is never silent.
            self.notes.append(NO_ORGAN if self._networks_disagree() else nothing)
        self.seconds["total"] = time.perf_counter() - start
        report = self._report(volume, report_box)
        if region is not None:
            report["region"] = [[int(part.start), int(part.stop)] for part in region]
        return LabelMap(result, volume.affine, wanted, report)

    def _nothing_of(self, wanted: tuple[str, ...], found: Box | None, region: Box | None) -> str:
        """Say that nothing was found, where the localiser gave the box `found`."""
        if found is not None and region is not None:
            return (
                "None of the wanted structures was found in the box of interest; the abdomen of "
                "this scan was found."
            )
        if found is None or len(wanted) == len(self.info.targets):
            return NO_ORGAN
        return f"None of the wanted targets was found: {', '.join(wanted)}."

    def _networks_disagree(self) -> bool:
        least = self.settings.localiser.least_agreement
        return self.agreement is not None and self.agreement < least

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
            "localiser_agreement": None if self.agreement is None else round(self.agreement, 4),
            "windows": self.count.computed,
            "windows_skipped": self.count.skipped,
            "size": list(volume.array.shape),
            "spacing_mm": [round(s, 6) for s in volume.spacing],
            "notes": list(dict.fromkeys(self.notes)),
        }

    def _to_ids(self, labels: np.ndarray, wanted: tuple[str, ...]) -> np.ndarray:
        """Label values of channel numbers; unwanted targets become background."""
        table = np.zeros(len(self.info.targets) + 1, np.uint8)
        for channel, label in enumerate(self.info.target_ids, start=1):
            if target_by_id(label).key in wanted:
                table[channel] = label
        if np.array_equal(table, np.arange(len(table))):
            return labels
        return np.take(table, labels, mode="clip")

    # Localising

    def _localise(self, scan: Volume) -> tuple[Box | None, _Coarse | None]:
        """Region of interest in scan voxels, and what the localiser saw in the whole scan."""
        settings, localiser = self.settings.localiser, self.segmenter.localiser
        if not settings.enabled or localiser is None:
            k, j, i = (slice(0, n) for n in scan.array.shape)
            return (k, j, i), None
        size = localiser.working_size(scan.array.shape, scan.spacing)
        coarse = resample_volume(scan.array, size)
        self.monitor.step("localise", 0.6)
        patch = localiser.entry.patch
        logits = localiser.predict(
            coarse, patch, self.settings.step, None, Monitor(None, self.monitor.cancel), self.count
        )
        spacing = _spacing(scan.array.shape, scan.spacing, size)
        labels = largest_channel(logits)
        organs = organ_components(
            labels, self.info.targets, float(np.prod(spacing)) / 1000, settings
        )
        if not organs.any():
            return None, None
        box = region_of_interest(organs, spacing, scan.array.shape, settings.margin_mm)
        return box, _Coarse(labels, organs)

    # Segmenting the region

    def _segment_box(
        self, scan: Volume, box: Box, coarse: _Coarse | None, limits: Box | None
    ) -> np.ndarray:
        """Channel numbers (k, j, i) uint8 on the scan's grid within `box`.

        Only those within `limits`, a part of `box`, are wanted unless it is None.
        """
        predictor = self.segmenter.predictor
        region = scan.array[box]
        k, j, i = region.shape
        with self._timed("resample"):
            size = predictor.working_size(region.shape, scan.spacing)
            image = resample_volume(region, size)
        spacing = _spacing(region.shape, scan.spacing, size)
        with self._timed("network"):
            foreground = self._foreground(scan, box, coarse, limits, size)
            if foreground is not None and not foreground.any():
                return np.zeros((k, j, i), np.uint8)
            patch = self.settings.patch or predictor.entry.patch
            logits = predictor.predict(
                image,
                patch,
                self.settings.step,
                foreground,
                self.monitor,
                self.count,
                self.settings.window_filter,
            )
            del image
            support = None
            if coarse is not None:
                support = CoarseSupport(
                    coarse.labels,
                    self.info.targets,
                    box,
                    scan.array.shape,
                    size,
                    self.settings.localiser,
                )
            winner = self._clean_up(logits, float(np.prod(spacing)) / 1000, support)
            # Where windows were left out for the limits, there is nothing to compare; that the
            # scan shows an abdomen is known from the localiser all the same.
            if coarse is not None and (limits is None or not self.count.skipped):
                self.agreement = agreement(
                    coarse.labels, winner, box, scan.array.shape, self.info.targets
                )
                if self._networks_disagree():
                    return np.zeros((k, j, i), np.uint8)
        with self._timed("upsample"):
            if self.settings.upsampling == "labels":
                return upsample_labels(logits, (k, j, i))
            return upsample_argmax(logits, (k, j, i), self.monitor)

    def _foreground(
        self,
        scan: Volume,
        box: Box,
        coarse: _Coarse | None,
        limits: Box | None,
        size: Sequence[int],
    ) -> np.ndarray | None:
        """Where windows are needed on the working grid of `box`; None for everywhere.

        Limits leave windows out and change none of the others: a network that sees less than a
        window of the scan about an organ finds it less well.
        """
        shape = tuple(part.stop - part.start for part in box)
        spacing = _spacing(shape, scan.spacing, size)
        foreground = None
        if coarse is not None:
            foreground = organs_on_grid(coarse.organs, box, scan.array.shape, size, spacing)
        if limits is None:
            return foreground
        wanted = np.zeros(size, bool)
        # A working voxel further, because neighbours are interpolated.
        reach = widened(relative_to(box, limits), scan.spacing, shape, max(spacing))
        part_of(wanted, reach, shape)[...] = True
        return wanted if foreground is None else foreground & wanted

    def _clean_up(
        self, logits: Tensor, voxel_ml: float, support: CoarseSupport | None
    ) -> np.ndarray:
        """Change, in place, the logits of components that should not be there; the winners then.

        Returns
        -------
        (k, j, i) uint8 channel numbers.
        """
        winner = largest_channel(logits)
        if self.settings.cleanup is None:
            return winner
        for last in (False, True):
            stray = stray_voxels(
                winner, voxel_ml, self.info.targets, self.settings.cleanup, support
            )
            if not stray.any():
                break
            # Positions, not a flattened copy: the logits may be a view of a padded array.
            k, j, i = (torch.from_numpy(n).to(logits.device) for n in np.nonzero(stray))
            if last:
                # What takes the place of a stray component may be as stray; then nothing is there.
                logits[0, k, j, i] = -REMOVED
                winner[stray] = 0
                break
            channel = torch.from_numpy(winner[stray].astype(np.int64)).to(logits.device)
            logits[channel, k, j, i] = REMOVED
            winner[stray] = logits[:, k, j, i].argmax(0).to(torch.uint8).cpu().numpy()
        # An organ that is second in two neighbouring voxels may be first between them: where it is
        # nowhere first, that is no find.
        present = np.bincount(winner.ravel(), minlength=len(logits))
        for absent in np.flatnonzero(present[1:] == 0) + 1:
            logits[absent] = REMOVED
        return winner

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


def _spacing(
    shape: Sequence[int], spacing: Sequence[float], size: Sequence[int]
) -> tuple[float, ...]:
    """Spacing (mm) of a grid of `size` voxels over the box of `shape` voxels of `spacing`."""
    return tuple(n * s / m for n, s, m in zip(shape, spacing, size, strict=True))
