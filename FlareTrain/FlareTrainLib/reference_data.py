"""The project's own data as a dataset: ``ct``, ``manual``, ``pseudo`` and ``validation``.

Nothing is copied: the files stay where they are, and everything after `read_dataset` treats them
like any other dataset.
"""

from __future__ import annotations

from pathlib import Path

from FlareSegmentLib.errors import InputError
from FlareSegmentLib.labels import targets

from .annotations import read_annotations
from .case_files import label_files
from .dataset import Dataset, DatasetCase
from .file_links import link
from .label_values import TUMOR
from .settings import write_json
from .whole_files import made_folder

TUMOR_UNKNOWN = (
    "crlm_1004",
    "cptac_C3L-00189",
    "medimagesjl_LCXXEJ",
    "panccbct_CB_001",
)
"""Scans of cancer patients whose abdominal tumors nobody annotated; the others have none."""


def is_reference_layout(folder: Path) -> bool:
    """Whether the folder is laid out like the project's own data."""
    return (folder / "ct").is_dir() and (folder / "pseudo").is_dir()


def read_reference_layout(folder: Path) -> Dataset:
    """Read the project's own data as a dataset.

    Raises
    ------
    InputError
        When it holds no scan, or a manual label map without scan.
    """
    listed = folder / "manual" / "annotated.json"
    annotated = read_annotations(listed) if listed.is_file() else {}
    manual = label_files(folder / "manual") if (folder / "manual").is_dir() else {}
    scans = label_files(folder / "ct")
    if not scans:
        raise InputError(f"{folder / 'ct'} holds no scan. Put scans into it as <case>.nii.gz.")
    cases = []
    for name, scan in sorted(scans.items()):
        ids = annotated.get(name, {}).get("annotated", ())
        absent = () if name in TUMOR_UNKNOWN or TUMOR in ids else (TUMOR,)
        cases.append(DatasetCase(name, scan, manual.get(name), ids, absent))
    judged = folder / "validation"
    validation = read_validation_folder(judged) if judged.is_dir() else []
    folders = [path for path in (folder / "pseudo").iterdir() if path.is_dir()]
    # Most trusted first: the mean of a teacher's variants stands before the variants.
    folders.sort(key=lambda path: (not path.name.endswith("_mean"), path.name))
    sources = {path.name: path for path in folders}
    values = {target.id: target.id for target in targets()}
    return Dataset(folder, tuple(cases), tuple(validation), values, sources)


def read_validation_folder(folder: Path) -> list[DatasetCase]:
    """Cases of a folder with ``<case>_ct.*``, ``<case>_label.*`` and perhaps annotated.json.

    Raises
    ------
    InputError
        When a scan has no label map.
    """
    listed = folder / "annotated.json"
    annotated = read_annotations(listed) if listed.is_file() else {}
    files = label_files(folder)
    everything = tuple(target.id for target in targets())
    cases = []
    for stem, scan in sorted(files.items()):
        if not stem.endswith("_ct"):
            continue
        name = stem.removesuffix("_ct")
        if f"{name}_label" not in files:
            raise InputError(
                f"The validation scan {scan.name} has no label map {name}_label.nii.gz beside it "
                f"in {folder}. Add it, or take the scan out."
            )
        entry = annotated.get(name)
        ids = everything if entry is None else entry["annotated"]
        absent = () if entry is None else entry["absent"]
        cases.append(DatasetCase(name, scan, files[f"{name}_label"], ids, absent))
    return cases


def write_raw_layout(dataset: Dataset, folder: Path) -> None:
    """Lay a dataset out as nnU-Net does, with links to the files (copies where links fail).

    Raises
    ------
    InputError
        When the folder is not empty.
    """
    if folder.exists() and any(folder.iterdir()):
        raise InputError(f"{folder} is not empty. Choose a new folder for the dataset.")
    annotations = {}
    for part, cases in (("Tr", dataset.cases), ("Ts", dataset.validation)):
        for name in ("images", "labels"):
            made_folder(folder / f"{name}{part}")
        for case in cases:
            link(case.scan, folder / f"images{part}" / f"{case.name}_0000{_ending(case.scan)}")
            if case.labels is not None:
                link(case.labels, folder / f"labels{part}" / f"{case.name}{_ending(case.labels)}")
            annotations[case.name] = {
                "annotated": list(case.annotated),
                "absent": list(case.absent),
            }
    for source, path in dataset.sources.items():
        made_folder(folder / "pseudo" / source)
        for name, file in label_files(path).items():
            link(file, folder / "pseudo" / source / f"{name}{_ending(file)}")
    keys = {target.id: target.key for target in targets()}
    labels = {"background": 0, **{keys[t]: v for v, t in sorted(dataset.values.items())}}
    content = {
        "channel_names": {"0": "CT"},
        "labels": labels,
        "numTraining": len(dataset.cases),
        "file_ending": ".nii.gz",
    }
    write_json(folder / "dataset.json", content)
    write_json(folder / "annotated.json", annotations)


def _ending(path: Path) -> str:
    from FlareSegmentLib.reading import case_name

    return path.name[len(case_name(path)) :]
