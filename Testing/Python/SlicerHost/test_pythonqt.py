"""Qt objects behave as PythonQt shows them in Slicer."""

import gc
import sys

import pytest


@pytest.fixture
def qt(slicer_host):
    import qt

    return qt


def test_properties_are_attributes_and_setters_are_methods(qt):
    button = qt.QPushButton("one")
    assert button.text == "one"
    button.setText("two")
    button.enabled = False
    assert (button.text, button.enabled, button.isEnabled()) == ("two", False, False)
    button.name = "apply"
    assert button.objectName == "apply"
    with pytest.raises(TypeError, match="not callable"):
        button.text()


@pytest.mark.parametrize(
    ("name", "value"), [("foo", 1), ("clicked", 1), ("setText", 1), ("enabled", "yes"), ("rect", 1)]
)
def test_setting_what_is_no_writable_property_raises(qt, name, value):
    with pytest.raises(AttributeError):
        setattr(qt.QPushButton("one"), name, value)


@pytest.mark.parametrize("name", ["foo", "emit", "setScreen", "receivers", "_native_type_x"])
def test_names_of_pyside_and_qt6_are_missing(qt, name):
    with pytest.raises(AttributeError):
        getattr(qt.QPushButton("one"), name)


def test_single_shot_is_no_property_of_a_timer(qt):
    timer = qt.QTimer()
    with pytest.raises(AttributeError):
        timer.singleShot = True
    timer.setSingleShot(True)
    assert timer.isSingleShot()


def test_keyword_arguments_are_refused(qt):
    with pytest.raises(ValueError, match="keyword"):
        qt.QLabel(text="x")
    with pytest.raises(ValueError, match="keyword"):
        qt.QLabel("x").setText(text="y")


def test_wrong_arguments_raise_value_error(qt):
    with pytest.raises(ValueError, match="wrong arguments"):
        qt.QLabel("x").setText(1, 2)


def test_a_path_is_not_a_string_for_qt(qt, tmp_path):
    with pytest.raises(ValueError, match="str"):
        qt.QFile(tmp_path)


def test_a_function_gets_as_many_arguments_as_it_takes(qt):
    button = qt.QPushButton("x")
    button.checkable = True
    got = []
    button.connect("clicked(bool)", lambda: got.append("none"))
    button.connect("clicked(bool)", lambda checked: got.append(checked))
    button.clicked.connect(lambda *all_of_them: got.append(all_of_them))
    button.click()
    assert got == ["none", True, (True,)]


def test_a_connection_can_be_undone(qt):
    button, got = qt.QPushButton("x"), []

    class Receiver:
        def clicked(self):
            got.append(1)

    receiver = Receiver()
    button.clicked.connect(receiver.clicked)
    button.click()
    assert button.clicked.disconnect(receiver.clicked)
    button.click()
    assert got == [1]


def test_an_unknown_signal_is_an_error(qt):
    with pytest.raises(ValueError, match="clicked"):
        qt.QPushButton("x").connect("cliked()", print)
    with pytest.raises(ValueError, match="does not exist"):
        qt.QTimer().connect("timeout(int)", print)


def test_signals_can_be_emitted(qt):
    got = []
    box = qt.QCheckBox()
    box.stateChanged.connect(got.append)
    box.toggled.connect(got.append)
    box.toggled.emit(True)
    assert got == [True]


def test_an_exception_in_a_slot_is_reported_not_raised(qt, slicer_host):
    button = qt.QPushButton("x")
    button.clicked.connect(lambda: 1 / 0)
    button.click()
    assert "ZeroDivisionError" in slicer_host.slot_errors[0]
    slicer_host.slot_errors.clear()


@pytest.mark.parametrize("kept", [True, False])
def test_an_object_let_go_in_its_own_signal_is_reported(qt, slicer_host, kept):
    """PythonQt deletes a parentless object with its wrapper, also inside its own signal."""
    held, later = [qt.QPushButton("x")], []

    def onClicked():
        if kept:
            later.append(held[0])
        held.clear()

    held[0].clicked.connect(onClicked)
    held[0].clicked.emit()
    assert not held
    errors = list(slicer_host.slot_errors)
    slicer_host.slot_errors.clear()
    assert [("freed memory" in error) for error in errors] == ([] if kept else [True])


def test_enums_are_whole_numbers(qt):
    assert qt.Qt.Checked == 2
    assert qt.QMessageBox.Yes | qt.QMessageBox.No == 0x14000
    label = qt.QLabel("x")
    label.setAlignment(qt.Qt.AlignRight | qt.Qt.AlignTop)
    assert label.alignment == 0x22


def test_lists_come_back_as_tuples(qt):
    widget = qt.QWidget()
    child = qt.QLabel("x", widget)
    assert widget.children() == (child,)
    assert widget.findChildren(qt.QLabel)[0] is child


def test_a_subclass_gets_qts_events_and_may_have_attributes(qt):
    class Dialog(qt.QDialog):
        def __init__(self):
            super().__init__()
            self.closed = False

        def closeEvent(self, event):
            self.closed = True
            event.accept()

    dialog = Dialog()
    dialog.show()
    dialog.close()
    assert dialog.closed
    assert isinstance(dialog, qt.QWidget)


def test_bytes_of_a_process_come_through(qt, slicer_host):
    process, codes = qt.QProcess(), []
    process.connect("finished(int,QProcess::ExitStatus)", lambda code, status: codes.append(code))
    process.start(sys.executable, ["-c", "print('hello'); raise SystemExit(3)"])
    slicer_host.process_events(until=lambda: codes, timeout=30)
    assert codes == [3]
    assert process.readAllStandardOutput().data().split() == [b"hello"]
    assert process.state() == qt.QProcess.NotRunning


def test_a_deleted_object_says_so(qt):
    label = qt.QLabel("x")
    label.delete()
    assert not label
    with pytest.raises(ValueError, match="destroyed"):
        _ = label.text


def test_emitting_keeps_reference_counts(slicer_host):
    """PySide6 6.12.0 loses a reference to True per emission; the interpreter then aborts."""
    import slicer

    box = slicer.qMRMLNodeComboBox()
    gc.collect()
    before = sys.getrefcount(True)
    for _ in range(200):
        box.currentNodeChanged.emit(None)
    assert abs(sys.getrefcount(True) - before) < 50


def test_a_modal_dialog_is_answered_or_refused(qt, slicer_host):
    import slicer

    slicer_host.testing_enabled = False
    with pytest.raises(RuntimeError, match="answer"):
        slicer.util.confirmYesNoDisplay("Really?")
    slicer_host.answer_next_dialog("No")
    assert slicer.util.confirmYesNoDisplay("Replace it?") is False
    slicer_host.answer_next_dialog("Yes")
    assert slicer.util.confirmYesNoDisplay("Replace it?") is True
    assert "Replace it?" in slicer_host.dialogs_shown[-1]
    slicer_host.answer_next_dialog("/some/folder")
    assert qt.QFileDialog.getExistingDirectory(None, "Choose") == "/some/folder"
