"""Command-line modules run with progress, results, errors and cancel."""

import numpy as np
import pytest

XML = """<?xml version="1.0"?>
<executable><category>Test</category><title>Adder</title><description>Adds.</description>
<parameters><label>IO</label><description>IO</description>
<integer><name>amount</name><longflag>amount</longflag><label>a</label><default>1</default></integer>
<boolean><name>fail</name><longflag>fail</longflag><label>f</label><default>false</default></boolean>
<string-enumeration><name>device</name><longflag>device</longflag><label>d</label>
<default>auto</default><element>auto</element><element>cpu</element></string-enumeration>
<image><name>inputVolume</name><label>i</label><channel>input</channel><index>0</index></image>
<image><name>outputVolume</name><label>o</label><channel>output</channel><index>1</index></image>
</parameters></executable>"""
SCRIPT = """
import argparse, time
import SimpleITK as sitk
p = argparse.ArgumentParser()
p.add_argument("--amount", type=int); p.add_argument("--fail", action="store_true")
p.add_argument("--device"); p.add_argument("input"); p.add_argument("output")
a = p.parse_args()
print("<filter-start><filter-name>Adder</filter-name></filter-start>", flush=True)
print("<filter-progress>0.25</filter-progress>", flush=True)
print("plain text", flush=True)
if a.fail:
    raise SystemExit("It failed on purpose.")
if a.amount == 99:
    time.sleep(60)
sitk.WriteImage(sitk.ReadImage(a.input) + a.amount, a.output)
print("<filter-progress>1</filter-progress>", flush=True)
"""


@pytest.fixture
def adder(slicer_host, tmp_path):
    (tmp_path / "Adder.xml").write_text(XML, encoding="utf-8")
    (tmp_path / "Adder.py").write_text(SCRIPT, encoding="utf-8")
    return slicer_host.load_cli(tmp_path / "Adder.xml")


@pytest.fixture
def nodes(slicer_host):
    import slicer

    volume = slicer.util.addVolumeFromArray(np.arange(24, dtype=np.int16).reshape(2, 3, 4))
    result = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    return {"inputVolume": volume, "outputVolume": result}


def test_a_run_brings_its_result_into_the_scene(adder, nodes):
    import slicer

    node = slicer.cli.runSync(slicer.modules.adder, None, {**nodes, "amount": 5})
    assert node.GetStatus() & node.Completed, node.GetErrorText()
    found = slicer.util.arrayFromVolume(nodes["outputVolume"])
    assert np.array_equal(found, slicer.util.arrayFromVolume(nodes["inputVolume"]) + 5)
    assert node.GetProgress() == 100
    assert node.GetOutputText().strip() == "plain text"


def test_a_failure_says_why(adder, nodes):
    import slicer

    node = slicer.cli.runSync(adder, None, {**nodes, "fail": True})
    assert node.GetStatus() & node.ErrorsMask
    assert "on purpose" in node.GetErrorText()


def test_a_run_can_be_cancelled(adder, nodes, slicer_host):
    import slicer

    node = slicer.cli.run(adder, None, {**nodes, "amount": 99})
    slicer_host.process_events(until=lambda: node.GetProgress() == 25, timeout=60)
    assert node.IsBusy()
    node.Cancel()
    slicer_host.process_events(until=lambda: node.GetStatus() == node.Cancelled, timeout=30)


def test_unknown_parameters_and_choices_are_refused(adder):
    import slicer

    with pytest.raises(ValueError, match="amont"):
        slicer.cli.createNode(adder, {"amont": 1})
    with pytest.raises(ValueError, match="cpu"):
        slicer.cli.createNode(adder, {"device": "tpu"})
