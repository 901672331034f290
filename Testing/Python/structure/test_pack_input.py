"""What a training needs fits into a few files that another computer unpacks."""

from __future__ import annotations

import sys
import tarfile
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest


@pytest.fixture
def tool(repository: Path) -> ModuleType:
    if str(repository / "Testing") not in sys.path:
        sys.path.append(str(repository / "Testing"))
    import pack_input

    return pack_input


def unpacked(folder: Path, target: Path) -> Path:
    for path in sorted(folder.glob("input_*.tar")):
        with tarfile.open(path) as archive:
            archive.extractall(target, filter="data")
    return target


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_everything_comes_back_and_no_file_is_too_large(tool: ModuleType, tmp_path: Path) -> None:
    data, rng = tmp_path / "data", np.random.default_rng(0)
    names = ["ct/a.nii.gz", "ct/b.nii.gz", "manual/a.nii.gz", "pseudo/net/b.nii.gz"]
    names += [f"shapes/flare22/{'long' * 40}_{n}.nii.gz" for n in range(3)]
    for size, name in enumerate([*names, "validation/v_ct.nii.gz"], start=1):
        (data / name).parent.mkdir(parents=True, exist_ok=True)
        (data / name).write_bytes(rng.bytes(150_000 * size))
    for folder in ("one", "two"):
        assert tool.main([str(data), str(tmp_path / folder), "--megabytes", "2"]) == 0
    parts = sorted((tmp_path / "one").iterdir())
    assert len(parts) == 3  # 4.2 MB
    assert max(part.stat().st_size for part in parts) <= 2_000_000
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    expected = contents(data)
    del expected["validation/v_ct.nii.gz"]
    assert contents(unpacked(tmp_path / "one", tmp_path / "there")) == expected


def test_a_file_that_does_not_fit_is_named(tool: ModuleType) -> None:
    with pytest.raises(ValueError, match=r"scan\.nii\.gz alone"):
        tool.parcels([(Path("scan.nii.gz"), 11)], 10)


def test_the_projects_data_take_few_files_of_60_megabytes(
    tool: ModuleType, shared_data: Path, tmp_path: Path
) -> None:
    from FlareTrainLib.dataset import read_dataset

    assert tool.main([str(shared_data), str(tmp_path / "packed")]) == 0
    parts = list((tmp_path / "packed").iterdir())
    assert len(parts) <= 4
    assert max(part.stat().st_size for part in parts) <= 60_000_000
    there = read_dataset(unpacked(tmp_path / "packed", tmp_path / "data"))
    here = read_dataset(shared_data)
    assert [case.name for case in there.cases] == [case.name for case in here.cases]
    assert set(there.sources) == set(here.sources)
