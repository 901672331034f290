"""A trained network of any origin, a bundle's or an ONNX file's, that labels scans in training."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from FlareSegmentLib.bundle import ModelBundle, NetworkEntry
from FlareSegmentLib.bundle_info import DESCRIPTION, IntensityStatistics
from FlareSegmentLib.devices import choose_device, choose_precision
from FlareSegmentLib.errors import InputError
from FlareSegmentLib.labels import target_by_key
from FlareSegmentLib.prediction import Predictor, WindowCount
from FlareSegmentLib.progress import Monitor
from FlareSegmentLib.resampling import resample_volume

from .initial_weights import find_bundle
from .packing import SoftLabels

if TYPE_CHECKING:
    import onnxruntime

    from .teacher_settings import OnnxSettings, TaughtSettings

STEP = 0.6
"""Distance of neighbouring windows as a share of the window."""


@dataclass(frozen=True)
class TeacherNetwork:
    """A network and what its channels mean.

    Attributes
    ----------
    predictor
        The network, ready to run.
    targets
        Target id of each channel after the background's.
    offsets
        Added to the logits of these channels, as where the network segments; empty for none.
    """

    predictor: Predictor
    targets: tuple[int, ...]
    offsets: tuple[float, ...] = ()

    def label(self, image: np.ndarray, spacing: tuple[float, ...]) -> tuple[np.ndarray, SoftLabels]:
        """Label a scan.

        Parameters
        ----------
        image
            (k, j, i) int16 HU, canonical axes.
        spacing
            (k, j, i) mm.

        Returns
        -------
        labels, soft
            (k, j, i) uint8 target ids on the image's grid.
        """
        predictor = self.predictor
        size = predictor.working_size(image.shape, spacing)
        with torch.inference_mode():
            logits = predictor.predict(
                resample_volume(image, size), predictor.patch, STEP, None, Monitor(), WindowCount()
            ).cpu()
            if tuple(logits.shape[1:]) != image.shape:
                logits = functional.interpolate(
                    logits[None], size=image.shape, mode="trilinear", align_corners=False
                )[0]
            if self.offsets:
                logits = logits + torch.tensor((0.0, *self.offsets))[:, None, None, None]
            shares, channels = logits.softmax(0).topk(2, dim=0)
        ids = torch.tensor([0, *self.targets], dtype=torch.uint8)
        first, second = (ids[channel].numpy() for channel in channels)
        share = (255 * shares[0] / (shares[0] + shares[1])).round().to(torch.uint8)
        return first, SoftLabels(second, share.numpy())


def teacher_file(settings: TaughtSettings, home: Path) -> Path:
    """Give the file that says which network it is: an ONNX file, or a bundle's description.

    Raises
    ------
    InputError
        When there is no such network.
    """
    if settings.teacher.lower().endswith(".onnx"):
        path = home / settings.teacher
        if not path.is_file():
            raise InputError(
                f"The teacher {path} is not there. Give an ONNX file relative to the dataset, or "
                "take 'taught' out of the recipe."
            )
        return path
    inside = home / settings.teacher
    return find_bundle(str(inside if inside.is_dir() else settings.teacher)) / DESCRIPTION


def open_teacher(settings: TaughtSettings, home: Path) -> TeacherNetwork:
    """Load the network that `settings` name.

    Parameters
    ----------
    home
        Folder that relative paths begin at.

    Raises
    ------
    InputError
        When there is no such network, or not enough is known of it.
    BundleError
        When a bundle is damaged.
    """
    file = teacher_file(settings, home)
    if file.name != DESCRIPTION:
        return _onnx_teacher(file, settings.onnx)
    bundle = ModelBundle.load(file.parent)
    if bundle.info.activation != "softmax":
        raise InputError(
            f"The model '{bundle.name}' has no background channel, so its labels cannot be "
            "weighed against each other. Choose a teacher with a softmax."
        )
    device, _ = choose_device("auto")
    entry = bundle.info.network
    predictor = Predictor(bundle.network(), entry, False, device, choose_precision("auto", device))
    targets = bundle.info.targets
    offsets = bundle.info.inference.logit_offsets
    return TeacherNetwork(
        predictor,
        tuple(target_by_key(key).id for key in targets),
        tuple(offsets.get(key, 0.0) for key in targets),
    )


class OnnxNetwork(nn.Module):
    """An ONNX file as a network: (1, 1, k, j, i) to (1, channels, k, j, i), float32, on the CPU.

    Attributes
    ----------
    window
        Size (k, j, i) of its input.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._session = _session(path)
        (entry,) = self._session.get_inputs()
        shape = entry.shape
        if len(shape) != 5 or not all(isinstance(n, int) for n in shape[2:]):
            raise InputError(
                f"The network in '{path}' takes {shape}; needed is (batch, 1, k, j, i) "
                "with numbers for k, j and i. Export it with such an input."
            )
        self._input = entry.name
        self.window: tuple[int, ...] = tuple(shape[2:])

    def forward(self, x: Tensor) -> Tensor:
        """Logits of one window; a smaller one is padded with 0, behind, and cut back."""
        size = x.shape[2:]
        k, j, i = (n - m for n, m in zip(self.window, size, strict=True))
        padded = functional.pad(x, (0, i, 0, j, 0, k))
        (logits,) = self._session.run(None, {self._input: padded.numpy()})
        return torch.from_numpy(logits)[:, :, : size[0], : size[1], : size[2]]


def _onnx_teacher(path: Path, onnx: OnnxSettings) -> TeacherNetwork:
    if not onnx.targets:
        raise InputError(
            f"An ONNX file does not say on which grid {path.name} works. Give spacing, intensity "
            "and targets in the recipe's 'onnx'."
        )
    network = OnnxNetwork(path)
    entry = NetworkEntry(
        name="onnx",
        arguments={},
        weights=path.name,
        sha256="",
        spacing=onnx.spacing,
        patch=network.window,
        intensity=IntensityStatistics(*onnx.intensity),
    )
    device = torch.device("cpu")
    predictor = Predictor(network, entry, False, device, torch.float32)
    return TeacherNetwork(predictor, onnx.targets)


def _session(path: Path) -> onnxruntime.InferenceSession:
    try:
        import onnxruntime
    except ImportError as error:
        raise InputError(
            f"To run {path.name}, the Python package onnxruntime is needed and is not installed. "
            "Install it (pip install onnxruntime), or choose a bundle as the teacher."
        ) from error
    options: Any = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own exceptions have no common base of their own
        raise InputError(
            f"'{path}' cannot be read as an ONNX network ({str(error).splitlines()[0]}). Copy it "
            "again, or choose another teacher."
        ) from error
