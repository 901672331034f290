"""Context-aware tumor objects: what is cut out, and where it lands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from FlareTrainLib.crop_settings import CutMixSettings
from FlareTrainLib.label_values import IGNORE, TUMOR
from FlareTrainLib.tumor_cutmix import TumorObject, extract_objects, paste_object

SPACING = (8.0, 8.0, 8.0)
ALL = frozenset(range(1, 15))
HARD = CutMixSettings(
    probability=1.0, margin_mm=((16.0, 16.0), (24.0, 24.0)), match_host=0.0, feather_mm=0.0
)

Patient = tuple[torch.Tensor, torch.Tensor]


@pytest.fixture
def sick(make_patient: Callable[..., tuple[np.ndarray, np.ndarray]]) -> Patient:
    image, labels = make_patient(0)
    labels[20:22, 4:6, 30:32] = TUMOR  # a second one, outside all organs
    return torch.from_numpy(image), torch.from_numpy(labels)


@pytest.fixture
def healthy(make_patient: Callable[..., tuple[np.ndarray, np.ndarray]]) -> Patient:
    image, labels = make_patient(1, tumor=False)
    return torch.from_numpy(image).float(), torch.from_numpy(labels).long()


def objects_of(sick: Patient, settings: CutMixSettings = HARD) -> list[TumorObject]:
    rng = np.random.default_rng(0)
    return extract_objects(*sick, SPACING, ALL, "sick", rng, settings)


def test_an_object_is_one_tumor_with_a_margin_in_millimetres(sick: Patient) -> None:
    objects = objects_of(sick)
    assert len(objects) == 2
    in_liver, alone = objects
    where = (sick[1] == TUMOR).numpy()
    where[20:22, 4:6, 30:32] = False
    extent = [axis.max() - axis.min() + 1 for axis in np.nonzero(where)]
    # 16 mm are 2 voxels on either side along k, 24 mm are 3 across.
    assert list(in_liver.image.shape) == [extent[0] + 4, extent[1] + 6, extent[2] + 6]
    assert int((in_liver.labels == TUMOR).sum()) == where.sum()
    assert in_liver.host == 1
    assert alone.host in (0, 3)
    assert not bool((alone.labels == 1).all())


def test_margins_are_drawn_per_object_and_stop_at_the_scan(sick: Patient) -> None:
    wide = replace(HARD, margin_mm=((1000.0, 1000.0), (1000.0, 1000.0)))
    assert all(o.image.shape == sick[0].shape for o in objects_of(sick, wide))
    other = objects_of(sick, wide)[0].labels
    assert int((other == IGNORE).sum()) == 8, "the other tumor of the box is unknown"


def test_small_tumors_are_left_out(sick: Patient) -> None:
    assert len(objects_of(sick, replace(HARD, smallest_ml=5.0))) == 1


def test_image_and_labels_follow_the_equation(sick: Patient, healthy: Patient) -> None:
    """P3, eq. 2 with M zero in the box: I M + I_CTO (1 - M), and the same for the labels."""
    tumor = objects_of(sick)[0]
    rng = np.random.default_rng(3)
    image, labels, pasted = paste_object(*healthy, tumor, ALL, SPACING, rng, HARD)
    assert pasted
    changed = np.argwhere(((image != healthy[0]) | (labels != healthy[1])).numpy())
    low, high = changed.min(0), changed.max(0) + 1
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    assert [s.stop - s.start for s in box] == list(tumor.image.shape)
    assert torch.equal(image[box], tumor.image.float())
    assert torch.equal(labels[box], tumor.labels.long())
    outside = torch.ones_like(labels, dtype=torch.bool)
    outside[box] = False
    assert torch.equal(image[outside], healthy[0][outside])
    assert torch.equal(labels[outside], healthy[1][outside])


def test_the_centre_stays_in_the_abdominal_region(sick: Patient, healthy: Patient) -> None:
    tumor = objects_of(sick)[0]
    size = np.asarray(tumor.image.shape)
    organs = np.argwhere((healthy[1] > 0).numpy())
    for seed in range(20):
        rng = np.random.default_rng(seed)
        _, labels, pasted = paste_object(*healthy, tumor, ALL, SPACING, rng, HARD)
        assert pasted
        centre = np.argwhere((labels == TUMOR).numpy()).mean(0)
        # The box may be moved inside the crop by half its size, and the tumor fills its middle.
        assert (centre >= organs.min(0) - 1 - size / 2).all()
        assert (centre <= organs.max(0) + 1 + size / 2).all()


def test_matched_objects_land_in_the_organ_they_came_from(sick: Patient, healthy: Patient) -> None:
    tumor = objects_of(sick)[0]
    small = TumorObject(
        tumor.image[2:-2, 3:-3, 3:-3],
        tumor.labels[2:-2, 3:-3, 3:-3],
        SPACING,
        1,
        ALL,
        "sick",
    )
    liver = np.argwhere((healthy[1] == 1).numpy())
    for seed in range(10):
        rng = np.random.default_rng(seed)
        settings = replace(HARD, match_host=1.0)
        _, labels, _ = paste_object(*healthy, small, ALL, SPACING, rng, settings)
        centre = np.argwhere((labels == TUMOR).numpy()).mean(0)
        assert np.linalg.norm(liver - centre, axis=1).min() < 3


def test_a_feathered_border_changes_the_image_only(sick: Patient, healthy: Patient) -> None:
    tumor = objects_of(sick)[0]
    soft = replace(HARD, feather_mm=16.0)
    hard = paste_object(*healthy, tumor, ALL, SPACING, np.random.default_rng(3), HARD)
    faded = paste_object(*healthy, tumor, ALL, SPACING, np.random.default_rng(3), soft)
    assert torch.equal(hard[1], faded[1])
    touched = (hard[0] - healthy[0]).abs()
    kept = (faded[0] - healthy[0]).abs()
    assert bool((kept <= touched + 1e-3).all())
    centre = tuple(np.argwhere((hard[1] == TUMOR).numpy()).mean(0).astype(int))
    assert float(faded[0][centre]) == pytest.approx(float(hard[0][centre]))


def test_unlabelled_surroundings_of_an_object_are_unknown(sick: Patient, healthy: Patient) -> None:
    """An object from a scan with tumor labels only says nothing about the organs around it."""
    tumor = replace(objects_of(sick)[0], known=frozenset({TUMOR}))
    rng = np.random.default_rng(3)
    _, labels, _ = paste_object(*healthy, tumor, ALL, SPACING, rng, HARD)
    before = int((tumor.labels == 0).sum())
    assert int((labels == IGNORE).sum()) == before > 0


def test_an_object_from_a_coarser_scan_keeps_its_size(sick: Patient, healthy: Patient) -> None:
    tumor = replace(objects_of(sick)[0], spacing=(16.0, 16.0, 16.0))
    rng = np.random.default_rng(3)
    _, labels, _ = paste_object(*healthy, tumor, ALL, SPACING, rng, HARD)
    count = int((labels == TUMOR).sum())
    assert count == pytest.approx(8 * int((tumor.labels == TUMOR).sum()), rel=0.35)


def test_a_crop_without_organs_stays_as_it_is(sick: Patient) -> None:
    tumor = objects_of(sick)[0]
    empty = torch.zeros(8, 8, 8), torch.zeros(8, 8, 8, dtype=torch.int64)
    rng = np.random.default_rng(0)
    image, labels, pasted = paste_object(*empty, tumor, ALL, SPACING, rng, HARD)
    assert not pasted
    assert not bool(labels.any())
    assert not bool(image.any())
