"""One of the processes of tests/trainer/test_processes.py: train whole, then with a stop in one process, and go on.

torchrun --nproc-per-node 2 two_processes.py DATASET FOLDER
"""

import json
import os
import signal
import sys
from pathlib import Path

from trainer import loop
from trainer.config import TrainConfig
from trainer.journal import Journal

RANK = int(os.environ["RANK"])
STOP = 3


def config(dataset, out):
    phases = [{"steps": 3, "batch": 1}, {"steps": 2, "batch": 1, "frames": 2, "prompts": {"corrections": 1}}]
    data = {"dataset": dataset, "clips_per_volume": 2, "workers": 0}
    values = {"image_size": 64, "warmup": 1, "seed": 1, "threads": 1, "checkpoint_every": 2}
    return TrainConfig.model_validate({**values, "data": data, "phases": phases, "out": str(out)})


def main(dataset, folder):
    seen, digests = [], []
    step = loop._Run._step

    def noting(self, number, clips, loss_of):
        seen.append([clip.origin for clip in clips])
        values = step(self, number, clips, loss_of)
        digests.append(sum(float(p.detach().double().abs().sum()) for p in self.network.parameters()))
        return values

    loop._Run._step = noting
    whole = loop.train(config(dataset, folder / "whole"))
    origins = list(seen)

    write = Journal.write

    def writing(self, number, values):  # the journal is the first process's: the second one gets no signal
        write(self, number, values)
        if number == STOP:
            os.kill(os.getpid(), signal.SIGINT)

    Journal.write = writing
    stopped = loop.train(config(dataset, folder / "parts"))
    Journal.write = write
    rest = loop.train(config(dataset, folder / "parts"))
    found = {
        "origins": origins,
        "digests": digests[: len(origins)],
        "steps": [whole.step, stopped.step, rest.step],
        "finished": [whole.finished, stopped.finished, rest.finished],
    }
    (folder / f"rank{RANK}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
