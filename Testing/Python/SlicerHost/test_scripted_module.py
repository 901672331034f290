"""A module in the shape of Slicer's template loads, binds, enters, reloads and goes."""

import numpy as np
import pytest


@pytest.fixture
def volume(slicer_host):
    import slicer

    return slicer.util.addVolumeFromArray(np.ones((3, 4, 5), np.int16), name="ct")


def test_module_registers_with_slicer(toy):
    import slicer

    assert slicer.modules.toymodule.title == "Toy module"
    assert slicer.util.modulePath("ToyModule").endswith("ToyModule.py")
    assert "ToyModule" in slicer.util.moduleNames()
    with pytest.raises(AttributeError):
        slicer.modules.toymodule.nickname = "x"


def test_startup_completed_is_heard_once(toy):
    import SampleData

    assert len(SampleData.SampleDataLogic.sampleDataSourcesByCategory("Toy")) == 1


def test_panel_follows_the_parameter_node_and_back(toy, volume):
    widget = toy.widget()
    parameters = widget._parameterNode
    assert parameters.inputVolume is volume
    widget.ui.invertBox.checked = True
    parameters.threshold = 33.5
    widget.ui.deviceBox.currentIndex = 1
    assert parameters.invert is True
    assert widget.ui.thresholdSlider.value == 33.5
    assert parameters.device.name == "CPU"
    assert parameters.parameterNode.GetParameter("device") == "CPU"
    with pytest.raises(ValueError, match="range"):
        parameters.threshold = 1000


def test_apply_shows_why_it_cannot(toy):
    widget = toy.widget()
    assert widget.ui.applyButton.enabled is False
    assert widget.ui.applyButton.toolTip == "Choose a volume"


def test_a_click_runs_the_logic(toy, volume):
    widget = toy.widget()
    widget.ui.applyButton.click()
    assert widget.log == ["applied"]


def test_selecting_enters_and_leaving_exits(toy, slicer_host):
    import slicer

    with pytest.raises(RuntimeError, match="main window"):
        slicer.util.selectModule("ToyModule")
    widget = toy.enter()
    assert widget.log == ["enter"]
    slicer.util.selectModule("Volumes")
    assert widget.log == ["enter", "exit"]


def test_closing_the_scene_is_told_before_and_after(toy, volume):
    import slicer

    widget = toy.enter()
    slicer.mrmlScene.Clear(0)
    assert widget.log == ["enter", "start close", "end close"]
    assert widget.ui.inputSelector.currentNode() is None
    assert widget._parameterNode is not None


def test_reloading_cleans_up_and_makes_a_new_widget(toy):
    import slicer

    old = toy.widget()
    slicer.util.reloadScriptedModule("ToyModule")
    assert old.log == ["cleanup"]
    assert slicer.modules.ToyModuleWidget is not old


def test_the_modules_own_test_runs(toy):
    import slicer

    slicer.selfTests["ToyModule"]()


def test_logic_is_found_by_module_name(toy):
    import slicer

    toy.widget()
    assert slicer.util.getModuleLogic("ToyModule").moduleName == "ToyModule"
    logic = slicer.util.getModuleLogic("Segmentations")
    assert logic is slicer.modules.segmentations.logic()


def test_functions_of_util_are_not_in_slicer(slicer_host):
    import slicer

    assert slicer.util.arrayFromVolume
    with pytest.raises(AttributeError):
        slicer.arrayFromVolume  # noqa: B018


def test_a_failing_slot_fails_the_test_that_made_it(slicer_host):
    import qt

    button = qt.QPushButton("x")
    button.clicked.connect(lambda: [][0])
    button.click()
    timer = qt.QTimer()
    timer.start(10000)
    left = slicer_host.finish_test()
    assert any("IndexError" in text for text in left)
    assert any("timer" in text for text in left)
