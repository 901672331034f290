from __future__ import annotations

import numpy as np
import pytest

from FlareSegmentLib.volume import LabelMap, Volume


def test_spacing_is_in_array_order() -> None:
    volume = Volume(np.zeros((2, 3, 4)), np.diag([-0.7, 0.8, 5.0, 1.0]))
    assert volume.spacing == pytest.approx((5.0, 0.8, 0.7))


def test_voxel_volume_of_a_plain_grid() -> None:
    volume = Volume(np.zeros((2, 3, 4)), np.diag([-10.0, 10.0, 10.0, 1.0]))
    assert volume.voxel_volume_ml == pytest.approx(1.0)


def test_shear_changes_the_spacing_but_not_the_voxel_volume() -> None:
    # A tilted gantry moves slices sideways: the step gets longer, the slice not thicker.
    affine = np.diag([1.0, 1.0, 4.0, 1.0])
    affine[1, 2] = 3.0
    volume = Volume(np.zeros((2, 3, 4)), affine)
    assert volume.spacing[0] == pytest.approx(5.0)
    assert volume.voxel_volume_ml == pytest.approx(0.004)


def test_reports_of_two_label_maps_are_not_the_same_object() -> None:
    first, second = (LabelMap(np.zeros((1, 1, 1), np.uint8), np.eye(4), ()) for _ in range(2))
    first.report["device"] = "cpu"
    assert second.report == {}
