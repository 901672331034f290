from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from FlareSegmentLib.errors import InputError, OutputError
from FlareSegmentLib.phantom.generate import PhantomSettings, make_phantom
from FlareSegmentLib.phantom_file import write_phantom
from FlareSegmentLib.reading import read_label_map, read_volume


def test_phantom_is_written_where_it_was_made_and_never_replaced(tmp_path: Path) -> None:
    settings = PhantomSettings(seed=5, spacing=(10.0, 8.0, 8.0))
    scan, label = write_phantom(tmp_path / "new folder", settings)
    assert (scan.name, label.name) == ("phantom_5.nii.gz", "phantom_5_label.nii.gz")
    volume, truth = make_phantom(settings)
    read = read_volume(scan)
    assert np.array_equal(read.array, volume.array)
    assert np.allclose(read.affine, volume.affine, atol=1e-4)
    labels, affine = read_label_map(label)
    assert np.array_equal(labels, truth)
    assert np.allclose(affine, volume.affine, atol=1e-4)

    before = scan.read_bytes()
    with pytest.raises(OutputError, match="already"):
        write_phantom(scan, PhantomSettings(seed=6))
    assert scan.read_bytes() == before
    assert {path.name for path in scan.parent.iterdir()} == {scan.name, label.name}


def test_negative_seed_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="-1"):
        write_phantom(tmp_path, PhantomSettings(seed=-1))
