"""The benchmarks run where their inputs are missing, and say so."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path


def test_missing_inputs_are_sentences_in_the_report(repository: Path, tmp_path: Path) -> None:
    results = tmp_path / "RESULTS.md"
    command = [sys.executable, str(repository / "Testing/Benchmarks/run.py"), "--runs", "1"]
    parts = ["accuracy", "sources", "robustness", "negatives", "tumor"]
    parts += ["peers", "scaling", "startup", "cancelling", "busy"]
    command += ["--only", *parts]
    command += ["--shared", str(tmp_path / "absent"), "--model", str(tmp_path / "no model")]
    command += ["--work", str(tmp_path / "work"), "--results", str(results)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    report = results.read_text(encoding="utf-8")
    assert report.count("Not measured") == len(parts)
    assert "no model bundle" in report
    assert "data/validation is not here" in report
    # Nothing about the machine's owner gets into the report.
    assert str(tmp_path) not in report
    assert str(tmp_path) not in json.dumps(json.loads(results.with_suffix(".json").read_text()))


def test_other_parts_keep_their_figures_when_one_is_measured_again(
    repository: Path, tmp_path: Path
) -> None:
    results = tmp_path / "RESULTS.md"
    earlier = {"text": "Seconds: 42.", "date": "2020-01-01", "machine": "m", "model": "x"}
    results.with_suffix(".json").write_text(json.dumps({"scaling": earlier}))
    command = [sys.executable, str(repository / "Testing/Benchmarks/run.py"), "--only", "startup"]
    command += ["--model", str(tmp_path / "none"), "--work", str(tmp_path / "work")]
    subprocess.run([*command, "--results", str(results)], capture_output=True, check=True)
    report = results.read_text(encoding="utf-8")
    assert "Seconds: 42." in report
    assert "2020-01-01; model x; m." in report
    assert "## Start-up" in report
