"""The command-line module: its description, a run from a shell, a run by Slicer's CLI logic."""

from __future__ import annotations

import csv
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import SimpleITK as sitk

from FlareSegmentLib import __version__, labels

FOLDER = Path(__file__).resolve().parents[3] / "FlareSegment/FlareSegmentCLI"
SCRIPT, XML = FOLDER / "FlareSegmentCLI.py", FOLDER / "FlareSegmentCLI.xml"

# What ModuleDescriptionParser/ModuleDescription.xsd of SlicerExecutionModel asks for. The whole
# description was also validated against that file (commit 6e16762, of 2026-03-21), in which one
# misplaced attribute of "enumerationType" had to be moved first: the schema itself is not valid.
HEAD = ["category", "title", "description", "version", "documentation-url", "license"]
HEAD += ["contributor"]
FLAGGED = {"name", "flag", "longflag", "description", "label", "default"}
INDEXED = {"name", "label", "description", "channel", "index"}


@pytest.fixture(scope="module")
def scan(tmp_path_factory: pytest.TempPathFactory, tiny_ct: np.ndarray) -> Path:
    """A scan in a folder with a space and a letter beyond ASCII."""
    image = sitk.GetImageFromArray(tiny_ct)
    image.SetSpacing((9.0, 9.0, 9.0))
    image.SetOrigin((10.0, 20.0, 30.0))
    path = tmp_path_factory.mktemp("Müller scan") / "scan.nrrd"
    sitk.WriteImage(image, str(path))
    return path


@dataclass(frozen=True)
class Ended:
    """A run that came to its end, and where it wrote."""

    process: subprocess.CompletedProcess[str]
    labels: Path
    table: Path


@pytest.fixture(scope="module")
def ended(scan: Path, tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Ended:
    """One run with all options."""
    folder = tmp_path_factory.mktemp("Größe")
    output, table = folder / "labels.nrrd", folder / "größe.csv"
    options = ["--targets", "liver, spleen, aorta", "--model", tiny_bundle, "--device", "cpu"]
    return Ended(run(*options, "--statistics", table, scan, output), output, table)


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the module as a host does, with nothing but its own folder to go by."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, encoding="utf-8", env=environment, cwd=FOLDER.parents[2]
    )


# --- the description -----------------------------------------------------------------------------


def test_description_has_the_elements_of_the_schema_in_order() -> None:
    root = ElementTree.parse(XML).getroot()
    assert root.tag == "executable"
    tags = [child.tag for child in root]
    assert tags[: len(HEAD)] == HEAD
    assert set(tags[len(HEAD) :]) == {"parameters"}


def test_each_parameter_has_what_its_type_needs() -> None:
    for parameter in ElementTree.parse(XML).getroot().iterfind("parameters/*"):
        if parameter.tag in ("label", "description"):
            continue
        tags = [child.tag for child in parameter]
        assert len(tags) == len(set(tags)), parameter.findtext("name")
        if parameter.tag == "image":
            assert set(tags) == INDEXED
            assert parameter.findtext("channel") in ("input", "output")
            assert set(parameter.attrib) <= {"type", "reference"}
        else:
            assert parameter.tag in ("string", "directory")
            assert set(tags) <= FLAGGED
            assert "longflag" in tags


def test_description_and_parser_know_the_same_parameters() -> None:
    help_text = run("--help").stdout
    for parameter in ElementTree.parse(XML).getroot().iterfind("parameters/*"):
        longflag, name = parameter.findtext("longflag"), parameter.findtext("name")
        if longflag:
            assert f"--{longflag}" in help_text
        elif name:
            assert name in help_text


def test_description_has_version_and_all_targets() -> None:
    root = ElementTree.parse(XML).getroot()
    assert root.findtext("version") == __version__
    text = XML.read_text(encoding="utf-8")
    for target in labels.targets():
        assert target.key in text
        assert f"{target.id} {target.name.lower()}" in text


def test_module_prints_its_description_when_asked() -> None:
    assert run("--xml").stdout.strip() == XML.read_text(encoding="utf-8").strip()


def test_missing_torch_is_a_sentence(scan: Path, tmp_path: Path) -> None:
    """Nobody has installed it when the module is run before the panel was opened."""
    code = (
        "import runpy, sys; sys.modules['torch'] = None; sys.argv[:] = sys.argv[1:];"
        "runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code, str(SCRIPT), str(scan), str(tmp_path / "labels.nrrd")],
        capture_output=True,
        encoding="utf-8",
    )
    assert ended.returncode == 1
    assert ended.stderr.startswith("PyTorch is not installed.")


# --- from a shell --------------------------------------------------------------------------------


def test_run_writes_a_label_map_on_the_grid_of_the_scan(ended, scan) -> None:
    assert ended.process.returncode == 0, ended.process.stderr
    result, source = sitk.ReadImage(str(ended.labels)), sitk.ReadImage(str(scan))
    assert result.GetSize() == source.GetSize()
    assert result.GetOrigin() == source.GetOrigin()
    assert result.GetSpacing() == source.GetSpacing()
    assert result.GetDirection() == source.GetDirection()


def test_statistics_count_what_is_in_the_label_map(ended) -> None:
    rows = list(csv.DictReader(ended.table.open(encoding="utf-8-sig")))
    voxels = sum(int(row["Voxels"]) for row in rows)
    assert voxels == np.count_nonzero(sitk.GetArrayFromImage(sitk.ReadImage(str(ended.labels))))


def test_progress_is_told_in_tags_and_grows_to_one(ended) -> None:
    text = ended.process.stdout
    assert text.startswith("<filter-start>")
    assert "<filter-end>" in text
    found = re.findall(r"<filter-progress>([^<]*)</filter-progress>", text)
    values = [float(value) for value in found]
    assert len(values) > 3
    assert values == sorted(values)
    assert values[-1] == 1


def test_only_wanted_targets_are_written(ended) -> None:
    values = set(np.unique(sitk.GetArrayFromImage(sitk.ReadImage(str(ended.labels)))))
    assert values <= {0, 1, 3, 5}


def test_region_limits_the_result(scan, tiny_bundle, tmp_path) -> None:
    """The scan begins at R -10, A -20, S 30 mm and runs to the left, back and head by 9 mm."""
    output = tmp_path / "labels.nrrd"
    options = ["--region", "-100,-10,-120,-20,30,111", "--model", tiny_bundle, "--device", "cpu"]
    ended = run(*options, scan, output)
    assert ended.returncode == 0, ended.stderr
    given = sitk.GetArrayFromImage(sitk.ReadImage(str(output)))
    assert given[:10, :12, :11].any()
    given[:10, :12, :11] = 0
    assert not given.any()


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["--region", "-1,2,3", "{scan}", "{out}"], 1, "Give six numbers"),
        (["--region", "500,600,0,1,0,1", "--targets", "liver", "{scan}", "{out}"], 1, "no voxel"),
        (["--targets", "lung", "{scan}", "{out}"], 1, "lung"),
        (["{scan}.missing", "{out}"], 1, "scan.nrrd.missing"),
        (["--model", "{folder}", "{scan}", "{out}"], 1, "model.json"),
        (["{scan}"], 2, "are needed"),
        (["--wrong", "{scan}", "{out}"], 2, "--wrong"),
    ],
)
def test_error_is_a_sentence_and_an_exit_code(scan, tmp_path, arguments, code, sentence) -> None:
    names = {"scan": scan, "out": tmp_path / "out.nrrd", "folder": tmp_path}
    ended = run(*(argument.format(**names) for argument in arguments))
    assert ended.returncode == code
    assert sentence in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not (tmp_path / "out.nrrd").exists()


def test_installed_layout_is_found(tmp_path: Path) -> None:
    """Installed, the two files are in cli-modules and the package is next door."""
    modules = tmp_path / "lib" / "cli-modules"
    modules.mkdir(parents=True)
    for path in (SCRIPT, XML):
        shutil.copy(path, modules)
    scripted = tmp_path / "lib" / "qt-scripted-modules"
    shutil.copytree(FOLDER.parent / "FlareSegmentLib", scripted / "FlareSegmentLib", symlinks=False)
    shutil.copytree(FOLDER.parents[1] / "Resources", scripted / "Resources")
    ended = subprocess.run(
        [sys.executable, str(modules / SCRIPT.name), "nothing.nrrd", "out.nrrd"],
        capture_output=True,
        text=True,
        env={"PATH": ""},
        cwd=tmp_path,
    )
    assert ended.returncode == 1
    assert "nothing.nrrd" in ended.stderr
    assert "Traceback" not in ended.stderr


# --- by Slicer -----------------------------------------------------------------------------------


def test_slicer_runs_it_as_a_command_line_module(slicer_host, add_scan, tiny_bundle, tiny_ct):
    slicer = pytest.importorskip("slicer")
    module = slicer_host.load_cli(XML)
    volume = add_scan("scan", tiny_ct)
    volume.SetSpacing(9.0, 9.0, 9.0)
    result = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "result")
    node = slicer.cli.runSync(
        module,
        None,
        {
            "inputVolume": volume.GetID(),
            "outputLabelMap": result.GetID(),
            "model": str(tiny_bundle),
            "device": "cpu",
        },
    )
    assert node.GetStatus() & node.Completed
    assert not node.GetStatus() & node.ErrorsMask, node.GetErrorText()
    assert slicer.util.arrayFromVolume(result).shape == tiny_ct.shape


def test_slicer_shows_the_sentence_of_a_failed_run(slicer_host, add_scan, tmp_path) -> None:
    slicer = pytest.importorskip("slicer")
    module = slicer_host.load_cli(XML)
    result = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "result")
    node = slicer.cli.runSync(
        module,
        None,
        {
            "inputVolume": add_scan().GetID(),
            "outputLabelMap": result.GetID(),
            "model": str(tmp_path),
        },
    )
    assert node.GetStatus() & node.ErrorsMask
    assert "model.json" in node.GetErrorText()
