"""Settings from JSON and back: nothing is read wrongly in silence."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest

from FlareSegmentLib.errors import InputError, OutputError
from FlareTrainLib.settings import (
    Part,
    read_json,
    settings_from_json,
    settings_to_json,
    write_json,
)
from FlareTrainLib.training_settings import TrainingSettings


@dataclass(frozen=True)
class Inner:
    size: tuple[int, int, int] = (1, 2, 3)
    rate: float = 0.5

    def __post_init__(self) -> None:
        if self.rate < 0:
            raise ValueError("rate must not be negative")


@dataclass(frozen=True)
class Outer:
    name: str
    inner: Inner = field(default_factory=Inner)
    steps: int = 10
    on: bool = True
    maybe: float | None = None
    kind: Literal["a", "b"] = "a"
    patches: tuple[tuple[int, int], ...] = ()
    part: Part = field(default_factory=lambda: Part("x"))


def test_what_is_written_is_read_back() -> None:
    settings = Outer(
        "n", Inner((4, 5, 6), 1.0), 3, False, 0.25, "b", ((1, 2), (3, 4)), Part("y", {"k": [1]})
    )
    text = json.dumps(settings_to_json(settings))
    assert settings_from_json(Outer, json.loads(text), "test") == settings
    training = TrainingSettings()
    again = json.loads(json.dumps(settings_to_json(training)))
    assert settings_from_json(TrainingSettings, again, "test") == training


def test_missing_keys_take_their_defaults() -> None:
    assert settings_from_json(Outer, {"name": "n"}, "test") == Outer("n")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ([], "test must be an object of settings, but is a list"),
        ({}, "test lacks the setting 'name'"),
        ({"name": "n", "step": 1}, "test has an unknown setting 'step'. Did you mean 'steps'?"),
        ({"name": "n", "inner": {"sze": 1}}, "test: inner has an unknown setting 'sze'"),
        ({"name": 1}, "test: name must be a text, but is 1"),
        ({"name": "n", "steps": 1.5}, "test: steps must be a whole number, but is 1.5"),
        ({"name": "n", "steps": True}, "test: steps must be a whole number, but is true"),
        ({"name": "n", "on": 1}, "test: on must be true or false, but is 1"),
        ({"name": "n", "kind": "c"}, "test: kind is 'c', but must be one of: 'a', 'b'"),
        ({"name": "n", "inner": {"size": [1, 2]}}, "size must have 3 values, but has 2"),
        ({"name": "n", "inner": {"size": 1}}, "size must be a list, but is 1"),
        ({"name": "n", "patches": [[1, "2"]]}, "patches must be a whole number, but is '2'"),
        ({"name": "n", "maybe": "x"}, "maybe must be a number, but is 'x'"),
        ({"name": "n", "inner": {"rate": -1}}, "test: inner: rate must not be negative"),
    ],
)
def test_what_cannot_be_read_gets_a_sentence(content: object, sentence: str) -> None:
    with pytest.raises(InputError) as caught:
        settings_from_json(Outer, content, "test")
    assert sentence in str(caught.value)


def test_files(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    write_json(path, {"a": [1]})
    assert read_json(path) == {"a": [1]}
    assert [p.name for p in tmp_path.iterdir()] == ["x.json"]
    path.write_text("{")
    with pytest.raises(InputError, match="is no valid JSON"):
        read_json(path)
    with pytest.raises(InputError, match="cannot be read"):
        read_json(tmp_path / "none.json")
    with pytest.raises(OutputError, match="cannot be written"):
        write_json(tmp_path / "none" / "x.json", {})
