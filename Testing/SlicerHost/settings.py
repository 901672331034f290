"""QSettings of the host: files in its temporary folder, never the user's own."""

from __future__ import annotations

from pathlib import Path

from PySide6 import QtCore


def use_folder(folder: Path) -> None:
    """Let every ``qt.QSettings()`` read and write in this folder."""
    QtCore.QSettings.setDefaultFormat(QtCore.QSettings.Format.IniFormat)
    for scope in (QtCore.QSettings.Scope.UserScope, QtCore.QSettings.Scope.SystemScope):
        QtCore.QSettings.setPath(QtCore.QSettings.Format.IniFormat, scope, str(folder))
