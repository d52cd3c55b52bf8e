"""Where a run stands at a step: its phase, and its learning rate."""

from __future__ import annotations

from trainer.config import TrainConfig

_FLOOR = 0.02


def locate(config: TrainConfig, step: int) -> tuple[int, int]:
    """The phase that `step` (from 0) belongs to, and the step within it."""
    for number, phase in enumerate(config.phases):
        if step < phase.steps:
            return number, step
        step -= phase.steps
    raise ValueError(f"step is {step} past the last phase")


def rate(config: TrainConfig, step: int) -> float:
    """Learning rate at `step`: peak * min(1, (s + 1) / warmup) * (floor + (1 - floor) (1 - s / S)).

    Later phases learn too: along a cosine the last fifth of a run, its slice videos, would get a twentieth of the peak.
    """
    rise = min(1.0, (step + 1) / max(1, config.warmup))
    fall = 1.0 - step / config.steps
    return config.learning_rate * rise * (_FLOOR + (1 - _FLOOR) * fall)
