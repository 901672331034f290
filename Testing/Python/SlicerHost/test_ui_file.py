"""A .ui file that Slicer would load silently broken is refused."""

import pytest

UI = """<ui version="4.0"><class>F</class><widget class="qMRMLWidget" name="F"><layout
 class="QVBoxLayout" name="l"><item>{widget}</item></layout></widget>{connections}</ui>"""
CONNECTION = """<connections><connection><sender>{0}</sender><signal>{1}</signal>
 <receiver>{2}</receiver><slot>{3}</slot></connection></connections>"""


def load(tmp_path, widget, connection=None):
    import slicer

    path = tmp_path / "f.ui"
    connections = CONNECTION.format(*connection) if connection else ""
    path.write_text(UI.format(widget=widget, connections=connections), encoding="utf-8")
    return slicer.util.loadUI(str(path))


SELECTOR = '<widget class="qMRMLNodeComboBox" name="box"/>'
SCENE = "mrmlSceneChanged(vtkMRMLScene*)", "setMRMLScene(vtkMRMLScene*)"


def test_the_scene_reaches_the_selector(slicer_host, tmp_path):
    import slicer

    root = load(tmp_path, SELECTOR, ("F", SCENE[0], "box", SCENE[1]))
    ui = slicer.util.childWidgetVariables(root)
    assert ui.box.mrmlScene() is None
    root.setMRMLScene(slicer.mrmlScene)
    assert ui.box.mrmlScene() is slicer.mrmlScene


@pytest.mark.parametrize(
    "connection",
    [
        ("F", "sceneChanged(vtkMRMLScene*)", "box", SCENE[1]),
        ("F", SCENE[0], "box", "setScene(vtkMRMLScene*)"),
        ("F", SCENE[0], "box", "setCurrentNode(vtkMRMLNode*)"),
        ("F", SCENE[0], "nobody", SCENE[1]),
        ("box", "currentNodeChanged(vtkMRMLNode*)", "F", "setEnabled(bool)"),
    ],
)
def test_a_connection_that_qt_would_refuse_raises(slicer_host, tmp_path, connection):
    with pytest.raises(ValueError, match=r"no|does not"):
        load(tmp_path, SELECTOR, connection)


def test_a_slot_for_a_derived_node_is_another_slot(slicer_host, tmp_path):
    widgets = (
        '<widget class="qMRMLSegmentationShow3DButton" name="button"/></item><item>' + SELECTOR
    )
    with pytest.raises(ValueError, match="does not fit"):
        load(
            tmp_path,
            widgets,
            (
                "box",
                "currentNodeChanged(vtkMRMLNode*)",
                "button",
                "setSegmentationNode(vtkMRMLSegmentationNode*)",
            ),
        )


def test_an_unknown_property_raises_unless_it_is_dynamic(slicer_host, tmp_path):
    widget = (
        '<widget class="QPushButton" name="b"><property name="{}"{}><string>x</string>'
        "</property></widget>"
    )
    with pytest.raises(ValueError, match="no such property"):
        load(tmp_path, widget.format("SlicerParameterName", ""))
    root = load(tmp_path, widget.format("SlicerParameterName", ' stdset="0"'))
    assert root.b.property("SlicerParameterName") == "x"


def test_an_unknown_widget_raises(slicer_host, tmp_path):
    with pytest.raises(ValueError, match="ctkNoSuchThing"):
        load(tmp_path, '<widget class="ctkNoSuchThing" name="b"/>')
