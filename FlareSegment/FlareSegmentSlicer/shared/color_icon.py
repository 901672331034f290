"""Swatches of color."""

from __future__ import annotations

from typing import Any

import qt


def colorIcon(color: tuple[int, int, int], isRound: bool = False) -> Any:
    """Give a ``QIcon`` with a swatch of `color` (0 to 255), a dot when round."""
    pixmap = qt.QPixmap(12, 12)
    pixmap.fill(qt.QColor(0, 0, 0, 0))
    painter = qt.QPainter(pixmap)
    painter.setRenderHint(qt.QPainter.Antialiasing)
    painter.setPen(qt.QColor(0, 0, 0, 90))
    painter.setBrush(qt.QBrush(qt.QColor(*color)))
    radius = 5 if isRound else 2
    painter.drawRoundedRect(1, 1, 10, 10, radius, radius)
    painter.end()
    return qt.QIcon(pixmap)
