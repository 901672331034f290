"""The engine: a CT volume in, a label map on its grid out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from .bundle import ModelBundle, bundled_model
from .devices import choose_device, choose_precision
from .errors import InputError
from .inference_settings import InferenceSettings
from .labels import parse_targets
from .prediction import Predictor
from .progress import CancelQuery, Monitor, ProgressCallback
from .segmentation_run import SegmentationRun
from .volume import LabelMap, Volume
from .windows import Box

__all__ = ["InferenceSettings", "Segmenter"]


class Segmenter:
    """A bundle made ready on a device; segments any number of volumes.

    Parameters
    ----------
    bundle
        The model, or its folder; None for the one that comes with the program.
    device
        "auto", "cpu" or "cuda".
    settings
        How to run it; None for the way the bundle asks for.

    Attributes
    ----------
    device, device_note
        Where it computes, and a sentence about it for the user or "".
    predictor, localiser
        The bundle's networks; `localiser` is None for a bundle without one.

    Raises
    ------
    BundleError
        If the folder holds no model, or a damaged one.
    InputError
        If the device or the precision is unknown.
    DeviceError
        If a GPU was asked for and none can be used.
    """

    def __init__(
        self,
        bundle: ModelBundle | Path | str | None = None,
        device: str = "auto",
        settings: InferenceSettings | None = None,
    ) -> None:
        if not isinstance(bundle, ModelBundle):
            bundle = ModelBundle.load(bundled_model() if bundle is None else bundle)
        self.bundle = bundle
        self.settings = settings or InferenceSettings.of(bundle.info.inference)
        self.device, self.device_note = choose_device(device)
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
        targets: Sequence[str] | str | None = None,
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
            Keys of the wanted targets, or one text with commas between them; None for all the
            model has. The result of a target does not depend on which others are wanted.
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
        DeviceError
            If there is not enough memory, even with small windows.
        Cancelled
            If `cancel` returned true.
        """
        run = SegmentationRun(self, Monitor(progress, cancel))
        wanted = self._wanted(targets)
        with torch.inference_mode():
            return run.segment(volume, wanted, region)

    def _wanted(self, targets: Sequence[str] | str | None) -> tuple[str, ...]:
        known = self.bundle.info.targets
        if isinstance(targets, str):
            targets = None if targets.strip().lower() == "all" else parse_targets(targets)
        if targets is None:
            return known
        if not targets:
            raise InputError(
                f"No target is wanted. Name at least one of: {', '.join(known)}, or leave the "
                "targets out for all."
            )
        missing = [key for key in targets if key not in known]
        if missing:
            raise InputError(
                f"The model '{self.bundle.name}' does not segment {', '.join(missing)}. "
                f"It segments: {', '.join(known)}."
            )
        return tuple(key for key in known if key in set(targets))

    def move_to_cpu(self) -> str:
        """Compute on the CPU from now on; gives a sentence about it."""
        self.device = torch.device("cpu")
        torch.cuda.empty_cache()
        self._place_networks()
        return "The GPU's memory was not enough; the CPU was used instead."
