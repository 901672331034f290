"""Thousands of cases: the window lives while a table is filled, and rows mean what they show."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from panel_actions import choose, select, settle, texts

from FlareTrainLib.case_choices import read_choices
from FlareTrainLib.case_split import read_moves
from FlareTrainLib.case_table import Listing
from train_states import many_cases

slicer = pytest.importorskip("slicer")

NAMES = [f"patient_{n:03d}" for n in range(100)]


def written_cells(table: Any) -> list[int]:
    """Count the cells of a table that change from now on; one number, which grows."""
    count = [0]

    def onChanged(first: Any, last: Any) -> None:
        count[0] += (last.row() - first.row() + 1) * (last.column() - first.column() + 1)

    table.model().connect("dataChanged(QModelIndex,QModelIndex)", onChanged)
    return count


def test_work_of_several_sections_takes_turns(panel: Any, slicer_host: Any) -> None:
    """Or the window would wait for the parts of all of them, one after the other."""
    from FlareTrainSlicer.steps import Steps

    settle(panel, slicer_host)
    done: list[str] = []

    def work(name: str) -> Generator[None, None, None]:
        for _part in range(3):
            done.append(name)
            yield

    ended: list[object] = []
    parts = [Steps(work(name), ended.append, ended.append, seconds=0.0) for name in "abc"]
    rounds = []
    while any(part.running for part in parts):
        before = len(done)
        slicer_host.process_events()
        rounds.append(len(done) - before)
    assert max(rounds) == 1
    assert done == list("abcabcabc")
    assert ended == [None] * 3


def test_work_that_is_left_lets_the_others_go_on(panel: Any, slicer_host: Any) -> None:
    from FlareTrainSlicer.steps import Steps

    settle(panel, slicer_host)
    done: list[str] = []

    def work(name: str, other: list[Any]) -> Generator[None, None, None]:
        for _part in range(3):
            done.append(name)
            for part in other:
                part.cancel()
            yield

    left = Steps(work("left", []), done.append, done.append, seconds=0.0)
    stays = Steps(work("stays", [left]), done.append, done.append, seconds=0.0)
    slicer_host.process_events(until=lambda: not stays.running)
    assert done == ["left", "stays", "stays", "stays", None]
    assert not left.running


def test_a_case_that_moves_is_the_only_row_that_is_written(
    panel: Any, slicer_host: Any, tmp_path: Path
) -> None:
    choose(panel, slicer_host, many_cases(tmp_path / "data", NAMES, judging=10))
    table = panel.ui.caseTable
    select(panel, slicer_host, "patient_007")
    count = written_cells(table)
    panel.ui.toValidationButton.click()
    settle(panel, slicer_host)
    expected = [name for name in NAMES[:90] if name != "patient_007"]
    expected += ["patient_007", *NAMES[90:]]
    assert [row[:2] for row in texts(table)] == [
        [name, "training" if number < 89 else "validation"] for number, name in enumerate(expected)
    ]
    assert table.item(89, 0).toolTip() == "patient_007"
    assert count[0] <= 2 * table.columnCount


def test_a_table_that_is_as_it_was_is_not_written(
    panel: Any, slicer_host: Any, tmp_path: Path
) -> None:
    data = many_cases(tmp_path / "data", NAMES)
    choose(panel, slicer_host, data)
    count = written_cells(panel.ui.caseTable)
    panel.refreshAll()
    settle(panel, slicer_host)
    assert count[0] == 0


@pytest.mark.parametrize("others", [NAMES[::-1], NAMES[:3], NAMES[1::2], ["new", *NAMES], []])
def test_other_rows_take_the_place_of_those_before(
    panel: Any, slicer_host: Any, tmp_path: Path, others: list[str]
) -> None:
    choose(panel, slicer_host, many_cases(tmp_path / "data", NAMES))
    rows = {row.name: row for row in panel.dataset.listing.rows}
    rows["new"] = rows["patient_000"].__class__("new", "validation", "liver", ("a", "b"))
    panel.dataset._show(Listing(tuple(rows[name] for name in others)))
    settle(panel, slicer_host)
    table = panel.ui.caseTable
    assert [row[0] for row in texts(table)] == others
    assert [table.item(n, 0).toolTip() for n in range(len(others))] == others


def test_a_click_means_the_case_that_its_row_shows(
    panel: Any, slicer_host: Any, tmp_path: Path
) -> None:
    """While the table is filled anew, its rows are not those of the new list yet."""
    data = many_cases(tmp_path / "data", NAMES)
    choose(panel, slicer_host, data)
    table = panel.ui.caseTable
    table.setCurrentCell(99, 0)
    panel.dataset._show(Listing(panel.dataset.listing.rows[::-1]))
    assert table.item(99, 0).text() == "patient_099"
    panel.ui.toValidationButton.click()
    assert read_moves(data) == {"patient_099": "validation"}
    panel.dataset._show(Listing(panel.dataset.listing.rows[::-1]))
    shown = table.item(98, 0).text()
    panel.dataset.onDoubleClicked(98, 0)
    assert panel.ui.datasetNoteLabel.text == f"Reading {shown}..."
    settle(panel, slicer_host)


def test_a_choice_means_the_case_that_its_row_shows(
    panel: Any, slicer_host: Any, raw_dataset: Path
) -> None:
    from FlareTrainLib.refinement_task import REFINEMENT, WORKLIST, WorklistRow
    from FlareTrainLib.settings import write_json

    rows = [
        WorklistRow(f"case_{n}", "partial", ("a", "b"), 0.5, 0.5, None, "pseudo organs", "", "")
        for n in range(3)
    ]
    (raw_dataset / REFINEMENT).mkdir()
    path = raw_dataset / REFINEMENT / WORKLIST
    write_json(path, [vars(row) for row in rows])
    choose(panel, slicer_host, raw_dataset)
    panel.ui.worklistTable.setCurrentCell(0, 0)
    write_json(path, [vars(row) for row in rows[::-1]])
    panel.refinement.refresh()
    shown = panel.ui.worklistTable.item(0, 0).text()
    panel.ui.rejectButton.click()
    assert read_choices(raw_dataset) == {shown: "rejected"}
    settle(panel, slicer_host)
