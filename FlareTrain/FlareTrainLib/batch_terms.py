"""From a batch to the terms of its loss."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from FlareSegmentLib.network import SubvoxelUNet, space_to_depth

from .label_values import TUMOR
from .losses import Annotation, Loss
from .losses.deep_supervision import deeply_supervised
from .losses.softmax import Marginal
from .sampling import Batch
from .training_settings import TrainingSettings


def autocast(device: str, precision: torch.dtype) -> torch.autocast:
    """Context in which a network with float32 weights computes in `precision`."""
    return torch.autocast(device, precision, enabled=precision != torch.float32)


def batch_terms(
    model: nn.Module,
    loss: Loss,
    batch: Batch,
    settings: TrainingSettings,
    precision: torch.dtype,
) -> dict[str, Tensor]:
    """Terms of the loss of a batch; their sum is minimised.

    Parameters
    ----------
    model
        The network, or DistributedDataParallel around it.
    batch
        As the network wants it, see `Trainer.draw`.
    precision
        Of the network's computation; the loss is computed in float32.
    """
    targets = settings.targets
    tumor = targets.index(TUMOR) + 1 if TUMOR in targets else None
    annotation = Annotation(batch.known, tumor)
    device = batch.image.device.type
    # On a GPU its many small steps would be slow, and DistributedDataParallel sees only what goes
    # through the model's own call.
    if (
        device == "cpu"
        and isinstance(model, SubvoxelUNet)
        and isinstance(loss, Marginal)
        and loss.fusible
    ):
        image = batch.image.contiguous(memory_format=torch.channels_last_3d)
        with autocast(device, precision):
            features = model.features(image)
        labels = space_to_depth(batch.labels.int(), model.settings.stem_stride)
        return loss.of_features(features, model.head, labels, annotation)
    with autocast(device, precision):
        outputs = model(batch.image)
    return deeply_supervised(loss, outputs, batch.labels, annotation, settings.fit.coarsest)
