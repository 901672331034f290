"""Parameters are kept in the scene as Slicer keeps them."""

import enum
import pathlib
from typing import Annotated

import pytest


@pytest.fixture
def make(slicer_host):
    import slicer
    from slicer.parameterNodeWrapper import parameterNodeWrapper

    def build(cls, node=None):
        wrapper = parameterNodeWrapper(cls)
        return wrapper(node or slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScriptedModuleNode"))

    return build


class Device(enum.Enum):
    AUTO = 1
    GPU = 2


def test_values_are_kept_as_slicer_keeps_them(make):
    import slicer

    class Settings:
        count: int = 3
        ratio: float
        text: str = "a"
        flag: bool
        device: Device
        folder: pathlib.Path
        names: list[str]
        table: dict[str, int]
        pair: tuple[int, str]
        maybe: int | None
        volume: slicer.vtkMRMLScalarVolumeNode

    parameters = make(Settings)
    volume = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    parameters.flag, parameters.device = True, Device.GPU
    parameters.folder = pathlib.Path("/x/y")
    parameters.names.append("liver")
    parameters.table["liver"] = 7
    parameters.pair, parameters.maybe, parameters.volume = (1, "b"), 5, volume
    node = parameters.parameterNode
    kept = {name: node.GetParameter(name) for name in node.GetParameterNames()}
    expected = {
        "count": "3",
        "flag": "True",
        "device": "GPU",
        "folder": "/x/y",
        "names.len": "1",
        "names.0": "liver",
        "table.0.0": "liver",
        "table.0.1": "7",
        "pair.0": "1",
        "maybe.0": "5",
    }
    assert expected.items() <= kept.items()
    assert node.GetNodeReferenceID("volume") == volume.GetID()
    again = make(type("Again", (), {"__annotations__": Settings.__annotations__}), node)
    assert (again.names, again.table, again.pair) == (["liver"], {"liver": 7}, (1, "b"))
    assert (again.maybe, again.volume, again.device) == (5, volume, Device.GPU)


def test_wrong_values_leave_the_node_alone(make):
    from slicer.parameterNodeWrapper import Choice, WithinRange

    class Settings:
        ratio: Annotated[float, WithinRange(0, 1)] = 0.5
        choice: Annotated[str, Choice(["a", "b"])] = "a"
        names: list[Annotated[str, Choice(["x", "y"])]]

    parameters = make(Settings)
    with pytest.raises(ValueError, match="range"):
        parameters.ratio = 2
    with pytest.raises(TypeError):
        parameters.ratio = "much"
    with pytest.raises(ValueError, match="one of"):
        parameters.choice = "c"
    with pytest.raises(ValueError, match="one of"):
        parameters.names += ["x", "z"]
    assert (parameters.ratio, parameters.choice, parameters.names) == (0.5, "a", [])


def test_packs_write_through(make):
    from slicer.parameterNodeWrapper import parameterPack

    @parameterPack
    class Point:
        x: int = 1
        y: int = 2

    class Settings:
        point: Point

    parameters = make(Settings)
    parameters.point.x = 9
    parameters.setValue("point.y", 8)
    assert parameters.point == Point(9, 8)
    assert parameters.parameterNode.GetParameter("point.x") == "9"
    with pytest.raises(AttributeError):
        parameters.point.z = 1


def test_reserved_names_and_unknown_types_are_refused(make):
    class Reserved:
        default: int

    class Unknown:
        thing: complex

    with pytest.raises(ValueError, match="reserved"):
        make(Reserved)
    with pytest.raises(TypeError, match="complex"):
        make(Unknown)


def test_a_widget_of_the_wrong_kind_is_refused(make):
    import qt

    class Settings:
        count: int

    parameters = make(Settings)
    with pytest.raises(RuntimeError, match="connector"):
        parameters.connectParametersToGui({"count": qt.QRadioButton("x")})
    with pytest.raises(ValueError, match="number"):
        parameters.connectParametersToGui({"number": qt.QSpinBox()})


def test_parameters_survive_saving(make, tmp_path):
    import slicer

    class Settings:
        names: list[str]
        device: Device

    parameters = make(Settings)
    parameters.parameterNode.SetName("Mine")
    parameters.names.extend(["liver", "spleen"])
    parameters.device = Device.GPU
    slicer.util.saveScene(str(tmp_path / "scene.mrb"))
    slicer.mrmlScene.Clear(0)
    slicer.util.loadScene(str(tmp_path / "scene.mrb"))
    again = make(
        type("Again", (), {"__annotations__": Settings.__annotations__}),
        slicer.util.getNode("Mine"),
    )
    assert again.names == ["liver", "spleen"]
    assert again.device is Device.GPU
