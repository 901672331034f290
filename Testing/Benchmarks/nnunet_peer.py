"""Segment one scan with nnU-Net's own predictor running our bundle's network and weights.

The plans say to nnU-Net what the bundle says to our engine: spacing, patch, intensities. Everything
else is nnU-Net's default for CT: cubic resampling of the image, linear of the logits, Gaussian
windows at step 0.5. Off: mirroring, `perform_everything_on_device`. One process does all of it
(`predict_single_npy_array`): for a single scan the variant with worker processes is slower.

With `--resampling trained` the scan is prepared as it was for the training of the network: mean
over what a coarse voxel covers, then clipping; border slices repeated up to the window where
nnU-Net pads with zeros, 40 HU. Windows and logits are nnU-Net's. It shows how much of a difference
in DSC is due to another preparation than the network knows.

    .venv-bench/bin/python Testing/Benchmarks/nnunet_peer.py MODEL SCAN OUT.nii.gz
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from measuring import ROOT  # noqa: F401  (sets the import path)

if TYPE_CHECKING:
    import numpy as np

    from FlareSegmentLib.bundle import ModelInfo

# nnU-Net asks for its folders when it is imported, and only warns; none of them is used.
os.environ |= dict.fromkeys(("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"), os.devnull)

RESAMPLING = {
    "default": ("resample_data_or_seg_to_shape", {"order_z": 0, "force_separate_z": None}),
    "torch": ("resample_torch_fornnunet", {"force_separate_z": False}),
}
"""nnU-Net's default resampling, and the faster one it also brings."""

TRAINED = "trained"


def main() -> None:
    """Segment and print times as JSON."""
    start = time.perf_counter()
    command = argparse.ArgumentParser(description=__doc__)
    command.add_argument("model", type=Path)
    command.add_argument("scan", type=Path)
    command.add_argument("output", type=Path)
    command.add_argument("--resampling", choices=[*RESAMPLING, TRAINED], default="default")
    arguments = command.parse_args()
    if not arguments.output.name.endswith(".nii.gz"):
        sys.exit("nnU-Net writes NIfTI here: the output must end with .nii.gz.")

    from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO

    from FlareSegmentLib.bundle import ModelBundle

    bundle = ModelBundle.load(arguments.model)
    if bundle.info.activation != "softmax" or bundle.info.network.fixed_size:
        sys.exit("nnU-Net can run bundles with a softmax and a fixed spacing only.")
    if bundle.info.target_ids != tuple(range(1, len(bundle.info.targets) + 1)):
        sys.exit("nnU-Net numbers labels by channel: the bundle's targets must be in id order.")
    network = bundle.network()
    patch = _patch(bundle.info, getattr(network, "size_multiple", (1, 1, 1)), arguments.scan)
    logits = "torch" if arguments.resampling == TRAINED else arguments.resampling
    predictor = _predictor(_plans(bundle.info, patch, logits), bundle.info, network)
    ready = time.perf_counter()
    # SimpleITK reads NIfTI in LPS: (k, j, i) as the engine's canonical order for an axial scan.
    image, properties = SimpleITKIO().read_images([str(arguments.scan)])
    if arguments.resampling == TRAINED:
        _segment_as_trained(predictor, bundle.info, image[0], properties, arguments.output)
    else:
        # nnU-Net appends the ending itself.
        output = str(arguments.output).removesuffix(".nii.gz")
        predictor.predict_single_npy_array(image, properties, None, output, False)
    done = time.perf_counter()
    print(json.dumps({"ready_seconds": ready - start, "case_seconds": done - ready}))


def _segment_as_trained(
    predictor: Any, info: ModelInfo, scan: np.ndarray, properties: dict[str, Any], output: Path
) -> None:
    """Let nnU-Net predict from an image prepared by our engine; scan (k, j, i) HU."""
    import torch
    from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO
    from nnunetv2.inference import export_prediction
    from torch.nn import functional

    from FlareSegmentLib.resampling import grid_size, resample_volume
    from FlareSegmentLib.windows import round_up

    intensity = info.network.intensity
    size = grid_size(scan.shape, properties["spacing"], info.network.spacing)
    image = resample_volume(scan, size).clamp_(intensity.lowest, intensity.highest)
    image = image.sub_(intensity.mean).div_(intensity.scale)
    multiple = getattr(predictor.network, "size_multiple", (1, 1, 1))
    k, j, i = (n - m for n, m in zip(round_up(size, multiple), size, strict=True))
    image = functional.pad(image[None, None], (0, i, 0, j, 0, k), mode="replicate")[0]
    logits = predictor.predict_logits_from_preprocessed_data(image).cpu()
    logits = logits[:, : size[0], : size[1], : size[2]]
    whole = {
        "shape_before_cropping": scan.shape,
        "shape_after_cropping_and_before_resampling": scan.shape,
        "bbox_used_for_cropping": [[0, n] for n in scan.shape],
    }
    labels = export_prediction.convert_predicted_logits_to_segmentation_with_correct_shape(
        logits,
        predictor.plans_manager,
        predictor.configuration_manager,
        predictor.label_manager,
        properties | whole,
        num_threads_torch=torch.get_num_threads(),
    )
    SimpleITKIO().write_seg(labels, str(output), properties)


def _patch(info: ModelInfo, multiple: Sequence[int], scan: Path) -> list[int]:
    """Window for this scan: the bundle's, or less where the scan is smaller.

    nnU-Net pads a smaller scan to the window with zeros; windows as large as the scan save it that
    time, and its network statistics over a padded border.
    """
    import SimpleITK as sitk

    from FlareSegmentLib.resampling import grid_size
    from FlareSegmentLib.windows import round_up

    reader = sitk.ImageFileReader()
    reader.SetFileName(str(scan))
    reader.ReadImageInformation()
    size = grid_size(reader.GetSize()[::-1], reader.GetSpacing()[::-1], info.network.spacing)
    return [min(p, n) for p, n in zip(info.network.patch, round_up(size, multiple), strict=True)]


def _predictor(plans_content: dict[str, Any], info: ModelInfo, network: Any) -> Any:
    import torch
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    plans = PlansManager(plans_content)
    predictor = nnUNetPredictor(
        tile_step_size=0.5,
        use_gaussian=True,
        use_mirroring=False,
        perform_everything_on_device=False,
        device=torch.device("cpu"),
        allow_tqdm=False,
    )
    predictor.manual_initialization(
        network,
        plans,
        plans.get_configuration("3d_fullres"),
        [network.state_dict()],
        _dataset(info),
        "nnUNetTrainer",
        None,
    )
    return predictor


def _dataset(info: ModelInfo) -> dict[str, Any]:
    labels = {"background": 0} | {key: n for n, key in enumerate(info.targets, start=1)}
    return {
        "channel_names": {"0": "CT"},
        "labels": labels,
        "numTraining": 1,
        "file_ending": ".nii.gz",
    }


def _plans(info: ModelInfo, patch: list[int], resampling: str) -> dict[str, Any]:
    entry, intensity = info.network, info.network.intensity
    function, how = RESAMPLING[resampling]
    orders = {} if resampling == "torch" else {"data": 3, "seg": 1, "probabilities": 1}
    configuration: dict[str, Any] = {
        "data_identifier": "benchmark",
        "preprocessor_name": "DefaultPreprocessor",
        "batch_size": 2,
        "patch_size": patch,
        "median_image_size_in_voxels": patch,
        "spacing": list(entry.spacing),
        "normalization_schemes": ["CTNormalization"],
        "use_mask_for_norm": [False],
        "batch_dice": False,
        # Not used, the network is handed over; without it the plans count as outdated.
        "architecture": {
            "network_class_name": entry.name,
            "arch_kwargs": entry.arguments,
            "_kw_requires_import": [],
        },
    }
    for what in ("data", "seg", "probabilities"):
        arguments: dict[str, Any] = {"is_seg": what == "seg", **how}
        if what in orders:
            arguments["order"] = orders[what]
        configuration[f"resampling_fn_{what}"] = function
        configuration[f"resampling_fn_{what}_kwargs"] = arguments
    return {
        "dataset_name": "benchmark",
        "plans_name": "nnUNetPlans",
        "original_median_spacing_after_transp": list(entry.spacing),
        "original_median_shape_after_transp": patch,
        "image_reader_writer": "SimpleITKIO",
        "transpose_forward": [0, 1, 2],
        "transpose_backward": [0, 1, 2],
        "experiment_planner_used": "ExperimentPlanner",
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": {
            "0": {
                "mean": intensity.mean,
                "std": intensity.scale,
                "percentile_00_5": intensity.lowest,
                "percentile_99_5": intensity.highest,
            }
        },
        "configurations": {"3d_fullres": configuration},
    }


if __name__ == "__main__":
    main()
