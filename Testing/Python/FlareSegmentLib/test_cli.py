"""The command line as a user runs it: in a process of its own where that matters."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from FlareSegmentLib import __version__
from FlareSegmentLib.cli import main


@pytest.fixture
def scan(tmp_path: Path, tiny_ct: np.ndarray) -> Path:
    """A scan in a folder with spaces and letters outside ASCII."""
    path = tmp_path / "Größe und 肝臓" / "scan 1.nii.gz"
    path.parent.mkdir()
    image = sitk.GetImageFromArray(tiny_ct)
    image.SetSpacing((9.0, 9.0, 9.0))
    image.SetOrigin((-180, -140, 30))
    plain = tmp_path / "plain.nii.gz"
    sitk.WriteImage(image, str(plain))
    plain.rename(path)
    return path


def run(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "FlareSegmentLib", *map(str, words)],
        capture_output=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONUTF8": "1"},
    )


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"flare-segment {__version__}\n"


def test_help_names_targets_and_other_commands(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    text = capsys.readouterr().out
    for word in ("--targets", "inferior_vena_cava", "evaluate", "phantom", "models"):
        assert word in text


@pytest.mark.parametrize(
    "words", [[], ["scan.nii.gz"], ["x", "-o", "y", "--format", "png"], ["evaluate", "a"]]
)
def test_wrong_command_line_is_told_with_code_2(words: list[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(words)
    assert stopped.value.code == 2


def test_unknown_target_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path), "-o", str(tmp_path / "out"), "--targets", "lever"]) == 1
    assert '"lever" is not a target' in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_scan_is_segmented_and_skipped_the_second_time(
    scan: Path, tiny_bundle: Path, tmp_path: Path
) -> None:
    output = tmp_path / "Ergebnis é"
    words = [scan, "-o", output, "--model", tiny_bundle, "--json", "--preview"]
    first = run(*words)
    assert first.returncode == 0, first.stderr
    assert "[1/1] scan 1" in first.stdout
    assert "\r" not in first.stdout + first.stderr, "a progress bar outside a terminal"
    produced = {path.name for path in output.iterdir()}
    assert produced == {
        "scan 1_seg.nii.gz",
        "scan 1_seg.json",
        "scan 1_seg.png",
        "statistics.csv",
        ".flare-segment",
    }
    report = json.loads((output / "scan 1_seg.json").read_text(encoding="utf-8"))
    assert report["input"]["path"] == str(scan)
    again = run(*words)
    assert again.returncode == 0
    assert "finished before" in again.stdout


def test_failure_sets_the_exit_code_and_the_others_go_on(
    scan: Path, tiny_bundle: Path, tmp_path: Path
) -> None:
    missing = tmp_path / "missing.nii.gz"
    finished = run(missing, scan, "-o", tmp_path / "out", "--model", tiny_bundle)
    assert finished.returncode == 1
    assert "missing: FAILED. There is no file" in finished.stderr
    assert "Traceback" not in finished.stderr
    assert (tmp_path / "out" / "scan 1_seg.nii.gz").exists()
    assert "2 cases: 1 segmented, 1 failed" in finished.stdout


def test_missing_model_is_told_in_one_sentence(
    scan: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [str(scan), "-o", str(tmp_path / "out"), "--model", str(tmp_path)]
    assert main(words) == 1
    assert "model.json" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopped_run_leaves_no_half_file(
    number: signal.Signals, scan: Path, tiny_bundle: Path, tmp_path: Path
) -> None:
    scans = [scan]
    # So many that a busy computer cannot finish them before the signal comes.
    for n in range(300):
        copy = tmp_path / "scans" / f"case{n:03}.nii.gz"
        copy.parent.mkdir(exist_ok=True)
        copy.write_bytes(scan.read_bytes())
        scans.append(copy)
    output = tmp_path / "out"
    words = [*map(str, scans), "-o", str(output), "--model", str(tiny_bundle), "--json"]
    process = subprocess.Popen(
        [sys.executable, "-m", "FlareSegmentLib", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell starts its background jobs with SIGINT ignored, which children inherit.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 120
    while not list(output.glob("*_seg.json")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Stopped" in errors
    assert "Traceback" not in errors
    finished = {path.name.split("_seg")[0] for path in output.glob("*_seg.json")}
    assert 0 < len(finished) < len(scans)
    left = [path.name for path in output.rglob("*") if ".part" in path.name or "claim" in path.name]
    assert left == []


def test_two_processes_share_one_list(scan: Path, tiny_bundle: Path, tmp_path: Path) -> None:
    folder = tmp_path / "scans"
    folder.mkdir()
    for n in range(8):
        (folder / f"case{n}.nii.gz").write_bytes(scan.read_bytes())
    words = ["-m", "FlareSegmentLib", str(folder), "-o", str(tmp_path / "out")]
    words += ["--model", str(tiny_bundle)]
    processes = [
        subprocess.Popen([sys.executable, *words], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    outputs = [process.communicate()[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    made = sum(output.count(" targets") + output.count("NO ORGAN") for output in outputs)
    assert made == 8, outputs  # each case once
    lines = (tmp_path / "out" / "statistics.csv").read_text().splitlines()
    assert len(lines) == 1 + 8 * 14


def test_evaluation_of_equal_label_maps_is_perfect(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = np.zeros((12, 16, 16), np.uint8)
    labels[2:10, 3:12, 4:9] = 1
    labels[2:10, 3:12, 10:14] = 3
    for name in ("pred/a_seg.nii.gz", "ref/a_label.nii.gz"):
        path = tmp_path / name
        path.parent.mkdir()
        sitk.WriteImage(sitk.GetImageFromArray(labels), str(path))
    words = ["evaluate", str(tmp_path / "pred"), str(tmp_path / "ref"), "-o", str(tmp_path / "e")]
    assert main(words) == 0
    assert "organs the references have: DSC 100.0, NSD 100.0" in capsys.readouterr().out
    assert (tmp_path / "e" / "evaluation.csv").exists()


def test_models_are_listed_with_license(
    tiny_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", str(tiny_bundle)]) == 0
    text = capsys.readouterr().out
    assert "random 1" in text
    assert "license: none, random" in text
    assert main(["models", "--json", str(tiny_bundle)]) == 0
    assert json.loads(capsys.readouterr().out)[-1]["name"] == "random"
