"""A scan that was read ahead is the scan that reading it when asked would give."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from FlareSegmentLib.cases import Case
from FlareSegmentLib.errors import InputError
from FlareSegmentLib.read_ahead import ReadAhead
from FlareSegmentLib.volume import Volume
from FlareSegmentLib.writing import write_label_map


class CountingCase(Case):
    """A case that counts how often it is read."""

    reads: list[str]

    def read(self, series: str | None = None, frame: int | None = None) -> Volume:
        self.reads.append(self.name)
        if self.reads.count(self.name) == 1 and self.name.startswith("large"):
            raise MemoryError
        return super().read(series, frame)


@pytest.fixture
def reads() -> list[str]:
    return []


def made_case(folder: Path, name: str, reads: list[str]) -> Case:
    path = folder / f"{name}.nii.gz"
    array = np.full((8, 9, 10), len(name), np.uint8)
    write_label_map(path, array, np.diag([2.0, 3.0, 4.0, 1.0]), [])
    case = CountingCase(name, path)
    object.__setattr__(case, "reads", reads)
    return case


def test_case_read_ahead_is_read_once(tmp_path: Path, reads: list[str]) -> None:
    case, ahead = made_case(tmp_path, "one", reads), ReadAhead()
    ahead.start(case)
    ahead.start(case)
    volume = ahead.take(case)
    assert reads == ["one"]
    assert np.array_equal(volume.array, case.read().array)
    assert np.array_equal(volume.affine, case.read().affine)


def test_case_that_was_not_announced_is_read_when_asked(tmp_path: Path, reads: list[str]) -> None:
    one, other = (made_case(tmp_path, name, reads) for name in ("one", "other"))
    ahead = ReadAhead()
    ahead.start(one)
    assert ahead.take(other).name == "other"
    assert int(ahead.take(one).array[0, 0, 0]) == len("one")


def test_error_comes_when_the_case_is_taken(tmp_path: Path) -> None:
    broken = tmp_path / "broken.nii.gz"
    broken.write_bytes(b"no volume")
    ahead = ReadAhead()
    ahead.start(Case("broken", broken))
    with pytest.raises(InputError, match=r"broken\.nii\.gz"):
        ahead.take(Case("broken", broken))


def test_case_that_found_no_memory_is_read_again(tmp_path: Path, reads: list[str]) -> None:
    case, ahead = made_case(tmp_path, "large", reads), ReadAhead()
    ahead.start(case)
    assert ahead.take(case).name == "large"
    assert reads == ["large", "large"]
