"""The models there are to choose from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from FlareSegmentLib.errors import BundleError
from FlareSegmentLib.model_choice import available_models, read_choice


def test_bundled_models_come_first_then_the_users(tmp_path: Path) -> None:
    (tmp_path / "zebra").mkdir()
    (tmp_path / "zebra" / "model.json").write_text('{"name": "Zebra"}')
    (tmp_path / "no model").mkdir()
    choices = available_models(tmp_path)
    assert [choice.name for choice in choices if not choice.bundled] == ["Zebra"]
    assert [choice.bundled for choice in choices] == sorted(
        (choice.bundled for choice in choices), reverse=True
    )


def test_missing_folder_of_the_user_is_no_error(tmp_path: Path) -> None:
    assert all(choice.bundled for choice in available_models(tmp_path / "nothing here"))


@pytest.mark.parametrize("content", [None, "not JSON", "[]"])
def test_folder_without_a_description_is_refused(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "model.json").write_text(content)
    with pytest.raises(BundleError, match=r"model\.json"):
        read_choice(tmp_path)


def test_summary_tells_what_is_known(tmp_path: Path) -> None:
    description = {
        "name": "mine",
        "version": "2",
        "facts": {
            "license": "CC BY 4.0",
            "training_data": [{"name": "AMOS", "license": "CC BY 4.0"}, "own scans"],
        },
    }
    (tmp_path / "model.json").write_text(json.dumps(description))
    summary = read_choice(tmp_path).summary
    assert summary == "Version 2. License: CC BY 4.0. Trained on: AMOS, own scans."


def test_summary_of_a_bare_model_is_empty(tmp_path: Path) -> None:
    (tmp_path / "model.json").write_text('{"name": "mine"}')
    assert read_choice(tmp_path).summary == ""
