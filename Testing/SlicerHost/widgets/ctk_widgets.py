"""CTK widgets that show and arrange: sections, buttons, check boxes, message box."""

from __future__ import annotations

from PySide6 import QtCore, QtGui, QtWidgets

from SlicerHost.pythonqt.members import invokable
from SlicerHost.widgets.declaring import stored

_NO_LIMIT = 16777215
"""Qt's QWIDGETSIZE_MAX, which PySide does not export."""


def _was_hidden(child: QtWidgets.QWidget) -> bool:
    """Tell whether a child was hidden on purpose; one that was never shown is not."""
    explicit = child.testAttribute(QtCore.Qt.WidgetAttribute.WA_WState_ExplicitShowHide)
    return explicit and child.isHidden()


class ctkCollapsibleButton(QtWidgets.QAbstractButton):
    """A section with a title bar that folds its children away."""

    contentsCollapsed = QtCore.Signal(bool)

    def __init__(self, text: str | QtWidgets.QWidget = "", parent: QtWidgets.QWidget | None = None):
        if not isinstance(text, str):
            text, parent = "", text
        super().__init__(parent)
        self.setText(text or "Button")
        self.setCheckable(True)
        self.setChecked(True)
        self.setSizePolicy(
            QtWidgets.QSizePolicy.Policy.Preferred, QtWidgets.QSizePolicy.Policy.Preferred
        )
        self._shown: list[QtWidgets.QWidget] = []
        self.setContentsMargins(0, self._title_height(), 0, 0)
        self.toggled.connect(self._on_toggled)

    def _title_height(self) -> int:
        return self.fontMetrics().height() + 10

    def _on_toggled(self, opened: bool) -> None:
        children = [child for child in self.children() if isinstance(child, QtWidgets.QWidget)]
        if not opened:
            self._shown = [child for child in children if not _was_hidden(child)]
        for child in self._shown if opened else children:
            child.setVisible(opened)
        height = _NO_LIMIT if opened else self._title_height()
        self.setMaximumHeight(height)
        self.updateGeometry()
        self.contentsCollapsed.emit(not opened)

    def _get_collapsed(self) -> bool:
        return not self.isChecked()

    def _set_collapsed(self, collapsed: bool) -> None:
        self.setChecked(not collapsed)

    collapsed = QtCore.Property(bool, _get_collapsed, _set_collapsed, notify=contentsCollapsed)
    flat = stored(bool, "flat", False)
    collapsedHeight = stored(int, "collapsedHeight", 10)
    contentsLineWidth = stored(int, "contentsLineWidth", 1)
    contentsMidLineWidth = stored(int, "contentsMidLineWidth", 0)

    def sizeHint(self) -> QtCore.QSize:
        """Give the title bar's size plus the contents'."""
        layout = self.layout()
        width = self.fontMetrics().horizontalAdvance(self.text()) + 40
        if layout is not None and self.isChecked():
            return layout.totalSizeHint().expandedTo(QtCore.QSize(width, 0))
        return QtCore.QSize(width, self._title_height())

    def minimumSizeHint(self) -> QtCore.QSize:
        """Give the size below which the contents would be cut."""
        layout = self.layout()
        if layout is not None and self.isChecked():
            return layout.totalMinimumSize()
        return QtCore.QSize(40, self._title_height())

    def hitButton(self, position: QtCore.QPoint) -> bool:
        """Only the title bar folds."""
        return position.y() < self._title_height()

    def paintEvent(self, event: QtGui.QPaintEvent) -> None:
        """Draw the title bar, its arrow and the frame of the contents."""
        painter = QtWidgets.QStylePainter(self)
        bar = QtCore.QRect(0, 0, self.width(), self._title_height() - 2)
        painter.fillRect(bar, self.palette().color(QtGui.QPalette.ColorRole.Button).darker(106))
        arrow = QtWidgets.QStyleOption()
        arrow.initFrom(self)
        arrow.rect = QtCore.QRect(6, bar.center().y() - 5, 11, 11)
        painter.drawPrimitive(
            QtWidgets.QStyle.PrimitiveElement.PE_IndicatorArrowDown
            if self.isChecked()
            else QtWidgets.QStyle.PrimitiveElement.PE_IndicatorArrowRight,
            arrow,
        )
        text = bar.adjusted(24, 0, 0, 0)
        painter.drawText(text, QtCore.Qt.AlignmentFlag.AlignVCenter, self.text())
        if self.isChecked() and not self.property("flat"):
            painter.setPen(self.palette().color(QtGui.QPalette.ColorRole.Mid))
            painter.drawRect(self.rect().adjusted(0, 0, -1, -1))


class ctkCollapsibleGroupBox(QtWidgets.QGroupBox):
    """A group box whose check mark folds it."""

    def __init__(
        self, title: str | QtWidgets.QWidget = "", parent: QtWidgets.QWidget | None = None
    ):
        if not isinstance(title, str):
            title, parent = "", title
        super().__init__(title, parent)
        self.setCheckable(True)
        self.toggled.connect(self._expand)

    def _expand(self, opened: bool) -> None:
        for child in self.children():
            if isinstance(child, QtWidgets.QWidget):
                child.setVisible(opened)

    collapsed = QtCore.Property(
        bool, lambda self: not self.isChecked(), lambda self, on: self.setChecked(not on)
    )
    collapsedHeight = stored(int, "collapsedHeight", 14)


class ctkCheckBox(QtWidgets.QCheckBox):
    """A check box with an icon of its own."""

    indicatorIcon = stored(QtGui.QIcon, "indicatorIcon", None)


class ctkComboBox(QtWidgets.QComboBox):
    """A combo box with a text for no choice and control over the mouse wheel."""

    defaultText = stored(str, "defaultText", "")
    forceDefault = stored(bool, "forceDefault", False)

    def _get_data(self) -> str:
        return str(self.currentData() or "")

    @invokable
    def setCurrentUserDataAsString(self, text: str) -> None:
        """Choose the item whose user data reads like this."""
        for index in range(self.count()):
            if str(self.itemData(index)) == text:
                self.setCurrentIndex(index)
                return

    currentUserDataAsString = QtCore.Property(str, _get_data, setCurrentUserDataAsString)


class ctkPushButton(QtWidgets.QPushButton):
    """A push button."""


class ctkCheckablePushButton(ctkPushButton):
    """A push button with a check box inside."""

    checkBoxToggled = QtCore.Signal(bool)
    checkBoxControlsButton = stored(bool, "checkBoxControlsButton", True)
    checkBoxControlsButtonToggleState = stored(bool, "checkBoxControlsButtonToggleState", False)
    checkBoxUserCheckable = stored(bool, "checkBoxUserCheckable", True)


class ctkMenuButton(QtWidgets.QPushButton):
    """A push button with a separate drop-down area."""


class ctkMessageBox(QtWidgets.QMessageBox):
    """A message box that can be told not to come again."""

    dontShowAgain = stored(bool, "dontShowAgain", False)
    dontShowAgainVisible = stored(bool, "dontShowAgainVisible", False)
    dontShowAgainSettingsKey = stored(str, "dontShowAgainSettingsKey", "")
