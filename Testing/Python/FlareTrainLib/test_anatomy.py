"""Real scans deformed towards other patients' anatomy."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from FlareSegmentLib.errors import InputError
from FlareSegmentLib.labels import targets
from FlareSegmentLib.writing import write_label_map
from FlareTrainLib.anatomy import add_anatomy_cases, planned_pairs
from FlareTrainLib.anatomy_affine import NoCommonAnatomy, fit_affine
from FlareTrainLib.anatomy_registration import register
from FlareTrainLib.anatomy_settings import AnatomySettings
from FlareTrainLib.anatomy_shapes import FIELD_MM, distances, held_tissue, nearest, shape_of
from FlareTrainLib.anatomy_table import AnatomyRow, anatomy_csv, anatomy_summary
from FlareTrainLib.displacement import deform, exponential, jacobian, jacobian_range
from FlareTrainLib.grid import PackSettings
from FlareTrainLib.label_values import IGNORE
from FlareTrainLib.pack_dataset import pack_refined
from FlareTrainLib.packing import PackedCase, read_case, read_index, write_case, write_index

SPACING = (8.0, 8.0, 8.0)
SETTINGS = AnatomySettings(shapes="shapes", cases=3, steps=6)

MakePatient = Callable[..., tuple[np.ndarray, np.ndarray]]


def _bent(labels: np.ndarray, mm: float) -> np.ndarray:
    """The same organs, each moved along j by `mm` times a wave along k: no affine map does that."""
    result = np.zeros_like(labels)
    for k, plane in enumerate(labels):
        shift = round(mm / SPACING[1] * np.sin(2 * np.pi * k / len(labels)))
        result[k] = np.roll(plane, shift, axis=0)
    return result


@pytest.fixture
def packed(tmp_path: Path, make_patient: MakePatient) -> Path:
    """Packed folder with two scans: one wholly annotated, one that may hold unknown tumors."""
    folder = tmp_path / "packed"
    folder.mkdir()
    cases = []
    for seed, tumor in ((0, "absent"), (1, "unknown")):
        image, labels = make_patient(seed, tumor=False)
        labels[:, :2] = IGNORE
        write_case(folder, f"scan{seed}", image, labels)
        cases.append(PackedCase(f"scan{seed}", (1,), tuple(range(2, 14)), tumor))
    write_index(folder, cases, SPACING)
    return folder


@pytest.fixture
def shapes(tmp_path: Path, make_patient: MakePatient) -> Path:
    """Label maps of three other patients."""
    folder = tmp_path / "shapes"
    folder.mkdir()
    affine = np.diag([-SPACING[2], -SPACING[1], SPACING[0], 1.0])
    for seed in (5, 6, 7):
        labels = _bent(make_patient(seed, tumor=False)[1], 16)
        write_label_map(folder / f"other{seed}.nii.gz", labels, affine, targets())
    return folder


def test_organs_come_to_lie_like_the_other_patients(make_patient: MakePatient) -> None:
    """The overlap with the other patient rises, and nothing folds."""
    image, labels = make_patient(0, tumor=False)
    scan = shape_of("scan", labels, SPACING)
    other = shape_of("other", _bent(labels, 16), SPACING)
    held = held_tissue(nearest(image, SPACING), scan.labels)
    found = register(scan, held, other, replace(SETTINGS, steps=25))
    before = np.mean([pair[0] for pair in found.overlap.values()])
    after = np.mean([pair[1] for pair in found.overlap.values()])
    assert after > before + 0.1
    assert found.jacobian[0] > 0
    assert found.jacobian == jacobian_range(found.displacement, scan.extent.tolist())


def test_affine_map_is_found_back(make_patient: MakePatient) -> None:
    """A patient of 1.15 times the size, moved, is brought back onto the scan."""
    labels = make_patient(0, tumor=False)[1]
    scan = shape_of("scan", labels, SPACING)
    other = shape_of("other", labels, tuple(1.15 * s for s in SPACING))
    affine = fit_affine(scan, other)
    np.testing.assert_allclose(affine.matrix, 1.15 * np.eye(3), atol=0.06)
    middle = scan.extent / 2
    np.testing.assert_allclose(affine.matrix @ middle + affine.shift, 1.15 * middle, atol=4)


def test_exchanged_sides_are_refused(make_patient: MakePatient) -> None:
    """A label map whose left and right are exchanged never becomes anatomy."""
    labels = make_patient(0, tumor=False)[1]
    scan = shape_of("scan", labels, SPACING)
    with pytest.raises(NoCommonAnatomy, match="left and right are exchanged"):
        fit_affine(scan, shape_of("mirrored", labels[:, :, ::-1], SPACING))


def test_too_little_in_common_is_refused(make_patient: MakePatient) -> None:
    """Two whole organs are too few to know where the rest belongs."""
    labels = make_patient(0, tumor=False)[1]
    few = np.where(np.isin(labels, (1, 2)), labels, 0).astype(np.uint8)
    with pytest.raises(NoCommonAnatomy, match="2 organs wholly in view"):
        fit_affine(shape_of("scan", labels, SPACING), shape_of("few", few, SPACING))


def test_following_a_velocity_does_not_fold() -> None:
    """Adding this velocity to positions folds space; following it does not."""
    velocity = torch.zeros(3, 9, 9, 9)
    velocity[0] = 14 * torch.sin(torch.linspace(0, 4 * np.pi, 9))[:, None, None]
    extent = torch.tensor([80.0, 80.0, 80.0])
    assert float(jacobian(velocity, extent.tolist()).min()) < 0
    assert float(jacobian(exponential(velocity, extent), extent.tolist()).min()) > 0


def test_a_constant_velocity_is_a_shift() -> None:
    """Also in millimetres: 6 mm per time are 6 mm."""
    velocity = torch.full((3, 5, 6, 7), 6.0)
    torch.testing.assert_close(exponential(velocity, torch.tensor([40.0, 50.0, 60.0])), velocity)


def test_shift_moves_image_and_labels_alike() -> None:
    """The voxel at p comes from p + displacement; what comes from outside is unknown."""
    rng = np.random.default_rng(0)
    image = rng.integers(-100, 200, (10, 12, 14)).astype(np.int16)
    labels = rng.integers(0, 14, (10, 12, 14)).astype(np.uint8)
    labels[4, 4:6, 5] = IGNORE
    displacement = torch.zeros(3, 4, 4, 4)
    displacement[0], displacement[2] = 5.0, -4.0
    warped, moved = deform(image, labels, (2.5, 2.0, 2.0), displacement)
    np.testing.assert_array_equal(moved[:-2, :, 2:], labels[2:, :, :-2])
    assert (moved[-2:] == IGNORE).all()
    assert (moved[:, :, :2] == IGNORE).all()
    np.testing.assert_allclose(warped[:-2, :, 2:], image[2:, :, :-2], atol=1)
    assert warped.dtype == np.int16
    assert moved.dtype == np.uint8


def test_distances_end_at_the_organ_not_at_the_scan() -> None:
    """An organ that the end of the scan cuts has no surface there."""
    labels = np.zeros((12, 20, 20), np.uint8)
    labels[:6, 5:15, 5:15] = 1
    field = distances(labels, (1, 2))
    assert field[0, 0, 10, 10] == pytest.approx(field[0, 2, 10, 10], abs=FIELD_MM)
    assert field[0, 0, 10, 10] < -3 * FIELD_MM
    assert field[0, 11, 10, 10] > 4 * FIELD_MM
    assert (field[1] == field[1, 0, 0, 0]).all()


def test_bone_and_skin_are_held_bright_organs_are_not() -> None:
    """Weights are 1 in bone and at the skin, 0 inside."""
    image = np.full((10, 40, 40), -1000, np.int16)
    image[:, 5:35, 5:35] = 40
    image[:, 26:31, 18:23] = 600
    image[:, 12:18, 12:18] = 300
    labels = np.zeros(image.shape, np.uint8)
    labels[:, 12:18, 12:18] = 2
    held = held_tissue(image, labels)
    assert held[5, 28, 20] == 1
    assert held[5, 15, 15] == 0
    assert held[5, 20, 20] == 0
    assert held[5, 5, 20] == 1


def test_cases_keep_what_is_known_of_their_scan(packed: Path, shapes: Path) -> None:
    """Annotated ids, pseudo-labels and the state of tumors are the scan's; the files are sound."""
    made = add_anatomy_cases(packed, packed, shapes, SETTINGS)
    assert [case.name for case in made] == [case.name for case in dict.fromkeys(made)]
    scans = {case.name: case for case in read_index(packed)[0]}
    assert len(made) == 3
    table = (packed / "anatomy.csv").read_text(encoding="utf-8").splitlines()
    assert len(list(csv.DictReader(table))) == 3
    for case in made:
        origin = scans[case.name.split("_as_")[0]]
        assert replace(case, name=origin.name) == origin
        image, labels = read_case(packed, case.name)
        before, known = read_case(packed, origin.name)
        assert image.shape == labels.shape
        assert set(np.unique(labels)) == set(np.unique(known))
        assert image.min() >= before.min()
        assert image.max() <= before.max()
        # Patient's left is towards larger i: the spleen lies left of the liver.
        assert np.argwhere(labels == 3)[:, 2].mean() > np.argwhere(labels == 1)[:, 2].mean()
        assert np.median(image[labels == 1]) == pytest.approx(np.median(before[known == 1]), abs=10)


def test_what_is_there_is_not_made_again(packed: Path, shapes: Path) -> None:
    """The same call changes no file; a scan whose labels changed is deformed again."""
    made = add_anatomy_cases(packed, packed, shapes, SETTINGS)
    files = {case.name: packed / f"{case.name}.npz" for case in made}
    stamps = {name: path.stat().st_mtime_ns for name, path in files.items()}
    write_index(packed, [*read_index(packed)[0], *made], SPACING)
    assert add_anatomy_cases(packed, packed, shapes, SETTINGS) == made
    assert {name: path.stat().st_mtime_ns for name, path in files.items()} == stamps
    image, labels = read_case(packed, "scan0")
    write_case(packed, "scan0", image, np.where(labels == 9, 0, labels).astype(np.uint8))
    add_anatomy_cases(packed, packed, shapes, SETTINGS)
    changed = [name for name, path in files.items() if path.stat().st_mtime_ns != stamps[name]]
    assert changed == [name for name in files if name.startswith("scan0")]


def test_scans_and_anatomies_take_turns(packed: Path, shapes: Path) -> None:
    """Every pair at most once, every scan and anatomy about equally often."""
    cases, spacing = read_index(packed)
    pairs = planned_pairs(packed, cases, spacing, shapes, replace(SETTINGS, cases=6))
    assert len({(case.name, path) for case, path in pairs}) == 6
    few = planned_pairs(packed, cases, spacing, shapes, replace(SETTINGS, cases=3))
    assert few == pairs[:3]
    assert {case.name for case, _ in few} == {"scan0", "scan1"}
    assert len({path for _, path in few}) == 3


def test_without_label_maps_or_suited_scans_a_sentence_says_so(packed: Path, shapes: Path) -> None:
    """Nothing is silently left out."""
    with pytest.raises(InputError, match="holds no label map"):
        add_anatomy_cases(packed, packed, packed / "none", SETTINGS)
    with pytest.raises(InputError, match="No scan in"):
        add_anatomy_cases(packed, packed, shapes, replace(SETTINGS, least_ml=1e6))


def test_packing_adds_deformed_scans(
    tmp_path: Path,
    shapes: Path,
    reference_layout: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """`pack_refined` adds them when the recipe asks for it, and says when it cannot."""
    from FlareTrainLib.dataset import read_dataset
    from FlareTrainLib.refine_settings import RefineSettings
    from FlareTrainLib.refinement import refine_dataset

    dataset = read_dataset(reference_layout)
    refined = refine_dataset(dataset, dataset.sources, RefineSettings(), tmp_path / "refined")
    grid = PackSettings(spacing=SPACING, anatomy=replace(SETTINGS, shapes=str(shapes), cases=2))
    output = tmp_path / "out"
    pack_refined(dataset, refined, tmp_path / "refined", output, grid)
    names = [case.name for case in read_index(output)[0]]
    assert sum("_as_other" in name for name in names) == 2
    stamps = {p.name: p.stat().st_mtime_ns for p in output.glob("*.npz")}
    pack_refined(dataset, refined, tmp_path / "refined", output, grid)
    assert {p.name: p.stat().st_mtime_ns for p in output.glob("*.npz")} == stamps
    assert [case.name for case in read_index(output)[0]] == names
    nowhere = replace(grid, anatomy=replace(SETTINGS, shapes="not_there"))
    pack_refined(dataset, refined, tmp_path / "refined", output, nowhere)
    assert "not_there is not there" in caplog.text
    assert not any("_as_" in case.name for case in read_index(output)[0])


def test_table_tells_what_was_reached_and_what_was_left_out() -> None:
    """Every pair has its line; the summary counts those that were made."""
    note = {"overlap": {"1": [0.5, 0.9], "4": [0.1, 0.5]}, "jacobian": [0.3, 4.0], "strength": 1.0}
    rows = [AnatomyRow("a", "x", note), AnatomyRow("b", "y", {"refused": "too little, in common"})]
    lines = list(csv.DictReader(anatomy_csv(rows).splitlines()))
    assert (lines[0]["before"], lines[0]["after"]) == ("0.300", "0.700")
    assert lines[0]["pancreas after"] == "0.5"
    assert lines[0]["spleen after"] == ""
    assert lines[1]["left out because"] == "too little, in common"
    assert "1 of 2 scans" in anatomy_summary(rows)
    assert "0.30 -> 0.70" in anatomy_summary(rows)
    assert anatomy_summary(rows[1:]) == "None of 1 scans could be deformed."


def test_wrong_settings_are_refused() -> None:
    """Each with what is allowed."""
    with pytest.raises(ValueError, match="strength"):
        AnatomySettings(strength=0)
    with pytest.raises(ValueError, match="steps"):
        AnatomySettings(steps=0)
    with pytest.raises(ValueError, match="leave anatomy out"):
        PackSettings(fixed_size=(8, 8, 8), anatomy=SETTINGS)


def test_a_real_scan_takes_on_a_real_patients_anatomy(shared_data: Path, tmp_path: Path) -> None:
    """A real upper abdomen towards one of the 50 label maps: overlap rises, nothing folds."""
    from FlareSegmentLib.geometry import canonical_volume
    from FlareSegmentLib.reading import read_label_map, read_volume
    from FlareSegmentLib.volume import Volume

    scan, _ = canonical_volume(read_volume(shared_data / "ct" / "chaos_ct03.nii.gz"))
    array, affine = read_label_map(shared_data / "pseudo" / "flare25_mean" / "chaos_ct03.nii.gz")
    labels, _ = canonical_volume(Volume(array.astype(np.uint8), affine))
    write_case(tmp_path, "chaos", scan.array.astype(np.int16), labels.array)
    write_index(tmp_path, [PackedCase("chaos", (1,), tuple(range(2, 14)))], scan.spacing)
    settings = AnatomySettings(cases=1, steps=30)
    made = add_anatomy_cases(tmp_path, tmp_path, shared_data / "shapes" / "flare22", settings)
    note = json.loads((tmp_path / f"{made[0].name}.json").read_text(encoding="utf-8"))
    before, after = (np.mean([p[n] for p in note["overlap"].values()]) for n in (0, 1))
    assert after > before + 0.15
    assert note["jacobian"][0] > 0
    assert note["overlap"]["1"][1] > 0.85
