"""Patients of Slicer's DICOM database."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import slicer
from slicer.i18n import tr as _


def databasePatients() -> list[tuple[str, str]]:
    """Give identifier and name of each patient in the DICOM database."""
    database = getattr(slicer, "dicomDatabase", None)
    if database is None or not database.isOpen:
        return []
    patients = []
    for uid in database.patients():
        name = database.nameForPatient(uid).replace("^", " ").strip()
        patients.append((uid, name or _("No name ({uid})").format(uid=uid)))
    return patients


def databaseFolders(patients: Sequence[str]) -> tuple[list[Path], list[str]]:
    """Give the folders that hold the files of `patients`, and their study instance UIDs."""
    database = slicer.dicomDatabase
    studies = [study for patient in patients for study in database.studiesForPatient(patient)]
    series = [one for study in studies for one in database.seriesForStudy(study)]
    files = [Path(file) for one in series for file in database.filesForSeries(one)]
    return sorted({file.parent for file in files}), list(studies)
