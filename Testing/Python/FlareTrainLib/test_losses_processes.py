"""Every loss of a batch that two processes share is the loss of the whole batch."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from slow_losses import SOME, TUMOR_UNKNOWN, batch
from torch import distributed

from FlareTrainLib.losses import LOSSES, Annotation, build_loss

COUNT = 2
KNOWN = {"organs": SOME, "tumor": TUMOR_UNKNOWN}
LOSS_ARGUMENTS: dict[str, list[dict[str, Any]]] = {
    name: [{}, {"tumor_weight": 2.0, "focal": 1.0}] for name in LOSSES
}
LOSS_ARGUMENTS["selected_partial"] += [{"paper_exact": True}]
LOSS_ARGUMENTS["marginal"] += [{"exclusion": 0.5}]


def terms_and_gradients(part: slice) -> dict[str, Any]:
    """Terms of all losses, and their gradients by the logits of a part of the batch."""
    found: dict[str, Any] = {}
    for name, choices in LOSS_ARGUMENTS.items():
        for arguments in choices:
            for kind, known in KNOWN.items():
                logits, labels, annotation = batch(name, known)
                ours = logits.detach()[part].float().requires_grad_()
                mine = Annotation(annotation.known[part], annotation.tumor)
                terms = build_loss(name, arguments)(ours, labels[part], mine)
                sum(terms.values()).backward()  # type: ignore[union-attr]
                found[f"{name} {arguments} {kind}"] = (
                    {key: term.detach() for key, term in terms.items()},
                    ours.grad,
                )
    return found


def one_of_two(rank: int, folder: Path) -> None:
    """What each of the processes does."""
    torch.set_num_threads(1)
    meet = f"file://{folder / 'meet'}"
    distributed.init_process_group("gloo", init_method=meet, rank=rank, world_size=COUNT)
    torch.save(terms_and_gradients(slice(rank, None, COUNT)), folder / f"{rank}.pt")
    distributed.destroy_process_group()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    folder = tmp_path_factory.mktemp("processes")
    paths = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    environment = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    running = [
        subprocess.Popen([sys.executable, __file__, str(rank), str(folder)], env=environment)
        for rank in range(COUNT)
    ]
    assert [process.wait(timeout=300) for process in running] == [0, 0]
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(COUNT)]


def test_terms_and_gradients_are_those_of_the_whole_batch(shared: list[dict[str, Any]]) -> None:
    """DistributedDataParallel takes the mean of the processes' gradients, hence the factor."""
    whole = terms_and_gradients(slice(None))
    assert len(whole) == 2 * (2 * len(LOSSES) + 2)
    for key, (terms, gradient) in whole.items():
        for rank in range(COUNT):
            ours, mine = shared[rank][key]
            for name, term in terms.items():
                torch.testing.assert_close(ours[name], term, atol=1e-6, rtol=1e-5, msg=key)
            torch.testing.assert_close(
                mine / COUNT, gradient[rank::COUNT], atol=1e-7, rtol=1e-4, msg=key
            )


if __name__ == "__main__":
    one_of_two(int(sys.argv[1]), Path(sys.argv[2]))
