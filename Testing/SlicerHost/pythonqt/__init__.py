"""PythonQt's manners on PySide6: Qt objects as a Slicer module sees them.

``wrapper`` holds the objects and classes, ``conversion`` takes values across, ``signals``
connects, ``modals`` keeps a dialog from waiting for a person, ``qt_module`` builds ``qt``.
What each was checked against is in ``CHECKED.md``.
"""
