"""CTK and MRML widgets offer what Slicer's offer, and no more."""

import pytest


@pytest.fixture
def widgets(slicer_host):
    import ctk
    import slicer

    return ctk, slicer


@pytest.mark.parametrize(
    ("module", "name", "setter"),
    [
        ("ctk", "ctkCollapsibleButton", "setCollapsed"),
        ("ctk", "ctkDirectoryButton", "setDirectory"),
        ("ctk", "ctkSliderWidget", "setMinimum"),
        ("slicer", "qMRMLNodeComboBox", "setNodeTypes"),
        ("slicer", "qMRMLNodeComboBox", "nodes"),
    ],
)
def test_cpp_methods_that_are_no_slots_are_out_of_reach(widgets, module, name, setter):
    widget = getattr(widgets[0] if module == "ctk" else widgets[1], name)()
    with pytest.raises(AttributeError):
        getattr(widget, setter)


def test_a_collapsed_section_hides_its_children(widgets):
    import qt

    section = widgets[0].ctkCollapsibleButton()
    layout = qt.QVBoxLayout(section)
    label, hidden = qt.QLabel("inside"), qt.QLabel("hidden by the module")
    layout.addWidget(label)
    layout.addWidget(hidden)
    hidden.hide()
    section.collapsed = True  # before it was ever shown
    section.show()
    assert not label.visible
    section.collapsed = False
    assert label.visible
    assert not hidden.visible
    section.collapsed = True
    assert not label.visible


def test_checkable_combo_tells_of_checks(widgets):
    import qt

    box = widgets[0].ctkCheckableComboBox()
    for name in ("liver", "spleen"):
        box.addItem(name)
    changes = []
    box.checkedIndexesChanged.connect(lambda: changes.append(1))
    model = box.checkableModel()
    box.setCheckState(model.index(1, 0), qt.Qt.Checked)
    assert [index.row() for index in box.checkedIndexes()] == [1]
    assert changes == [1]
    assert box.checkState(model.index(0, 0)) == qt.Qt.Unchecked
    assert not box.allChecked()
    assert not box.noneChecked()


def test_directory_button_gives_an_absolute_path(widgets, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    button, got = widgets[0].ctkDirectoryButton(), []
    button.directoryChanged.connect(got.append)
    button.directory = "out"
    assert button.directory == str(tmp_path / "out") == got[0]


def test_path_line_edit_tells_of_typing(widgets):
    edit, got = widgets[0].ctkPathLineEdit(), []
    edit.currentPathChanged.connect(got.append)
    edit.filters = widgets[0].ctkPathLineEdit.Dirs
    edit.currentPath = "/tmp"
    assert got == ["/tmp"]


def make_selector(slicer, *types, **properties):
    box = slicer.qMRMLNodeComboBox()
    box.nodeTypes = types
    for name, value in properties.items():
        setattr(box, name, value)
    box.setMRMLScene(slicer.mrmlScene)
    return box


def test_selector_lists_only_its_types(widgets):
    slicer = widgets[1]
    box = make_selector(slicer, "vtkMRMLScalarVolumeNode", showChildNodeTypes=False)
    slicer.mrmlScene.AddNewNodeByClass("vtkMRMLModelNode")
    slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode")
    volume = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "ct")
    assert box.nodeCount() == 1
    assert box.nodeFromIndex(0) is volume


def test_selector_without_actions_takes_the_first_node_with_actions_does_not(widgets):
    slicer = widgets[1]
    plain = make_selector(slicer, "vtkMRMLScalarVolumeNode", addEnabled=False, removeEnabled=False)
    acting = make_selector(slicer, "vtkMRMLScalarVolumeNode")
    volume = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    assert plain.currentNode() is volume
    assert acting.currentNode() is None


def test_selector_makes_and_forgets_nodes(widgets):
    slicer = widgets[1]
    box, got = make_selector(slicer, "vtkMRMLSegmentationNode", noneEnabled=True), []
    box.currentNodeChanged.connect(got.append)
    node = box.addNode()
    assert got == [node]
    assert box.currentNodeID == node.GetID()
    slicer.mrmlScene.RemoveNode(node)
    assert box.currentNode() is None
    assert got == [node, None]


def test_show_3d_button_makes_the_surface(widgets):
    import numpy as np

    slicer = widgets[1]
    volume = slicer.util.addVolumeFromArray(np.zeros((8, 8, 8), np.int16))
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    node.CreateDefaultDisplayNodes()
    node.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    button = slicer.qMRMLSegmentationShow3DButton()
    button.setSegmentationNode(node)
    assert not button.enabled
    segment = node.GetSegmentation().AddEmptySegment("liver")
    cube = np.zeros((8, 8, 8), np.uint8)
    cube[2:6, 2:6, 2:6] = 1
    slicer.util.updateSegmentBinaryLabelmapFromArray(cube, node, segment, volume)
    assert button.enabled
    button.click()
    assert node.GetClosedSurfaceInternalRepresentation(segment).GetNumberOfPoints() > 0
    assert button.checked


def test_table_view_follows_its_node(widgets):
    import numpy as np

    slicer = widgets[1]
    table = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTableNode")
    view = slicer.qMRMLTableView()
    view.setMRMLScene(slicer.mrmlScene)
    view.setMRMLTableNode(table)
    slicer.util.updateTableFromArray(table, [np.array([1.5, 2.5])], ["ml"])
    table.SetUseColumnTitleAsColumnHeader(True)
    model = view.tableModel()
    assert (model.rowCount(), model.columnCount()) == (2, 1)
