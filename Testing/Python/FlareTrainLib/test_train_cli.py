"""The command line as a process: help without PyTorch, the steps one by one, SIGTERM."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from FlareSegmentLib.bundle import ModelBundle
from FlareSegmentLib.reading import read_label_map
from FlareTrainLib.cli import main
from FlareTrainLib.packing import read_index


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    arguments = {"widths": [8, 8], "stem_stride": [1, 1, 1], "convolutions": 1}
    training = {
        "network": {"name": "SubvoxelUNet", "arguments": arguments},
        "fit": {"steps": 2, "prefetch": 0},
        "sampling": {"patches": [[16, 16, 16]], "patch_weights": [1]},
    }
    content = {
        "name": "tiny",
        "refine": {"sources": ["a"]},
        "network": {
            "grid": {"spacing": [12, 12, 12]},
            "patch": [16, 32, 32],
            "training": training,
        },
    }
    path = tmp_path / "tiny.json"
    path.write_text(json.dumps(content))
    return path


def test_help_needs_no_torch() -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from FlareTrainLib.cli import main\n"
        "main(['--help'])"
    )
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr
    for command in ("check", "pseudo", "refine", "pack", "fit", "evaluate", "export", "run"):
        assert f"\n    {command} " in finished.stdout


def test_the_steps_one_by_one_give_what_run_gives(
    raw_dataset: Path, recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, name = str(raw_dataset), str(recipe)
    steps = [str(tmp_path / step) for step in ("refined", "packed", "fit", "bundle", "scores")]
    refined, packed, fit, bundle, scores = steps
    for words in (
        ["refine", data, "--recipe", name, "-o", refined],
        ["pack", data, "--refined", refined, "--recipe", name, "-o", packed],
        ["fit", "--packed", packed, "--run", fit, "--recipe", name, "--device", "cpu"],
        ["export", "--run", fit, "--recipe", name, "--name", "tiny", "-o", bundle],
        ["evaluate", data, "--model", bundle, "-o", scores, "--device", "cpu"],
    ):
        assert main(words) == 0, words
    assert "liver" in capsys.readouterr().out

    run = tmp_path / "run"
    assert main(["run", name, "--data", data, "--run", str(run), "--device", "cpu"]) == 0
    ours, theirs = ModelBundle.load(bundle), ModelBundle.load(run / "bundle")
    assert ours.info.network.sha256 == theirs.info.network.sha256
    one, _ = read_label_map(Path(scores) / "predictions" / "held_out_seg.nii.gz")
    other, _ = read_label_map(run / "latest" / "predictions" / "held_out_seg.nii.gz")
    assert np.array_equal(one, other)


def test_the_localiser_step_by_step_is_that_of_run(
    raw_dataset: Path, recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, name = str(raw_dataset), str(recipe)
    refined, packed = str(tmp_path / "refined"), str(tmp_path / "packed")
    assert main(["refine", data, "--recipe", name, "-o", refined]) == 0
    pack = ["pack", data, "--refined", refined, "--recipe", name, "-o", packed]
    assert main([*pack, "--part", "localiser"]) == 1
    assert "has no localiser" in capsys.readouterr().err

    content = json.loads(recipe.read_text())
    content["localiser"] = json.loads(recipe.read_text())["network"]
    content["localiser"]["grid"]["spacing"] = [16, 16, 16]
    recipe.write_text(json.dumps(content))
    assert main([*pack, "--part", "localiser"]) == 0
    assert read_index(Path(packed))[1] == (16, 16, 16)


@pytest.mark.parametrize("words", [["--minutes", "soon"], ["--minutes", "-1"], ["--steps", "0"]])
def test_numbers_that_make_no_sense_are_refused(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        main(["run", "best", "--data", "data", "--out", "run", *words])
    assert left.value.code == 2
    assert f"'{words[1]}' is no" in capsys.readouterr().err


def test_what_the_system_refuses_is_a_sentence(
    raw_dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    words = ["check", str(raw_dataset), "-q", "-o", str(tmp_path / "file" / "below")]
    assert main(words) == 1
    told = capsys.readouterr().err
    assert told.startswith("flare-train: ")
    assert "cannot be made" in told


def test_sigterm_saves_and_the_same_command_goes_on(
    raw_dataset: Path, recipe: Path, tmp_path: Path
) -> None:
    content = json.loads(recipe.read_text())
    content["network"]["training"]["fit"]["steps"] = 100_000
    recipe.write_text(json.dumps(content))
    run = tmp_path / "run"
    log = run / "network" / "fit" / "log.jsonl"
    command = [sys.executable, "-m", "FlareTrainLib", "run", str(recipe), "--device", "cpu"]
    command += ["--data", str(raw_dataset), "--run", str(run)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    while not log.exists() and process.poll() is None:
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 130, errors
    assert "goes on from there" in errors
    assert (run / "network" / "fit" / "checkpoint.pt").exists()
    assert not (run / "bundle").exists()

    assert main([*command[3:], "--minutes", "0", "--no-validation"]) == 0
    steps = ModelBundle.load(run / "bundle").info.facts["steps"]
    assert steps > 20, "the steps before the signal count"


def test_a_mistake_is_told_in_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", str(tmp_path / "nowhere")]) == 1
    assert capsys.readouterr().err.startswith("flare-train: There is no dataset folder")


def test_recipes_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recipes"]) == 0
    listed = capsys.readouterr().out
    for name in ("p1", "p2", "p3", "p4", "p5", "best", "base"):
        assert f"{name}: " in listed
