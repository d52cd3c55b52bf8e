"""Training in two processes on the CPU (gloo), as `torchrun` and `accelerate launch` start them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.trainer.phantoms import write_dataset
from trainer import journal, weights

SCRIPT = Path(__file__).with_name("two_processes.py")


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """The folder of the runs, and what each process saw."""
    folder = tmp_path_factory.mktemp("processes")
    dataset = write_dataset(folder / "data", count=3)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    root = SCRIPT.parents[2]
    done = subprocess.run(
        [*launch, str(SCRIPT), str(dataset), str(folder)],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return folder, [json.loads((folder / f"rank{rank}.json").read_text()) for rank in (0, 1)]


def test_each_process_has_clips_of_its_own_and_all_learn_from_both(ran):
    _, (first, second) = ran
    assert len(first["origins"]) == len(second["origins"]) == 5
    assert all(a != b for a, b in zip(first["origins"], second["origins"], strict=True))
    assert first["digests"] == pytest.approx(second["digests"], rel=1e-12)
    assert len(set(first["digests"])) == 5  # and they do learn


def test_a_stop_in_one_process_stops_both_and_the_run_goes_on_exactly(ran):
    folder, found = ran
    for rank in found:
        assert rank["steps"] == [5, 3, 5]
        assert rank["finished"] == [True, False, True]
    whole, parts = (weights.load(folder / run / "model").network.state_dict() for run in ("whole", "parts"))
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


def test_the_journal_is_written_once(ran):
    folder, _ = ran
    for run in ("whole", "parts"):
        assert [r["step"] for r in journal.read(folder / run)] == [1, 2, 3, 4, 5]
