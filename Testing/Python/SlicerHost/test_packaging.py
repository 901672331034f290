"""``slicer.packaging`` asks, skips and refuses as in Slicer."""

import inspect

import pytest

# From Slicer 5.13's Base/Python/slicer/packaging.py.
SIGNATURES = {
    "pip_ensure": "requirements constraints skip_packages prompt_install prompt_restart requester "
    "skip_in_testing show_progress",
    "pip_install": "requirements constraints no_deps_requirements skip_packages blocking "
    "show_progress requester logCallback completedCallback",
    "pip_uninstall": "requirements blocking logCallback completedCallback",
    "pip_check": "req",
    "load_requirements": "path",
}


@pytest.mark.parametrize("name", SIGNATURES)
def test_signatures_are_slicers(slicer_host, name):
    import slicer

    parameters = inspect.signature(getattr(slicer.packaging, name)).parameters
    assert set(SIGNATURES[name].split()) == set(parameters)


def test_requirements_files_are_read(slicer_host, tmp_path):
    import slicer

    path = tmp_path / "requirements.txt"
    path.write_text("# why\nnumpy>=1.2  # note\n\nno-such-package-at-all\n", encoding="utf-8")
    requirements = slicer.packaging.load_requirements(path)
    assert [slicer.packaging.pip_check(one) for one in requirements] == [True, False]


def test_nothing_is_installed_in_testing_mode(slicer_host):
    import slicer

    assert slicer.packaging.pip_ensure("no-such-package-at-all") is None


def test_declining_raises(slicer_host):
    import slicer

    slicer_host.testing_enabled = False
    slicer_host.answer_next_dialog("Cancel")
    with pytest.raises(RuntimeError, match="declined"):
        slicer.packaging.pip_ensure("no-such-package-at-all", requester="Toy")
