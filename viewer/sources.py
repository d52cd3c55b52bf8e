"""Where a viewer's subjects come from: one that stays, several to leaf through, or a scene that is drawn anew."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import Protocol

from engine.atomic import write_text
from engine.errors import UserError
from viewer.case import cases_of, open_case
from viewer.live import Frame, LiveScene, Slider, reseeded, sliders
from viewer.subject import Subject


class Source(Protocol):
    """What a desk shows."""

    @property
    def place(self) -> str:
        """Which of several is shown (`case 3 of 12`); nothing where there is one, or no end to them."""

    def poll(self) -> Frame | None:
        """What is new since the last call; None where nothing is."""

    def step(self, count: int) -> None:
        """Go on to another subject of the same kind: the next case, the next seed."""

    def first(self, modality: str) -> None:
        """Say which image is looked at."""

    def close(self) -> None:
        """Let go of what is open."""


class Still:
    """One subject that stays as it is."""

    def __init__(self, subject: Subject) -> None:
        self._frame: Frame | None = Frame(subject=subject)

    @property
    def place(self) -> str:
        return ""

    def poll(self) -> Frame | None:
        frame, self._frame = self._frame, None
        return frame

    def step(self, count: int) -> None:
        pass

    def first(self, modality: str) -> None:
        pass

    def close(self) -> None:
        pass


class Several(Still):
    """Subjects one at a time; the first follows the last.

    Args:
        kind: what one of them is called.
        loads: open them.
        order: that they have, in words.
        at: the first to show; where it cannot be opened, that is told beside the next one that can.

    Raises:
        UserError: none can be opened.
    """

    def __init__(self, kind: str, loads: Sequence[Callable[[], Subject]], order: str = "", at: int = 0) -> None:
        self._kind, self._loads, self._order, self._at = kind, loads, order, at
        errors: list[str] = []
        for _ in loads:
            self._frame = self._open()
            if self._frame.subject is not None:
                self._frame = replace(self._frame, error="\n".join(errors[:1]))
                return
            errors.append(self._frame.error)
            self._at = (self._at + 1) % len(loads)
        raise UserError(errors[0])

    @property
    def place(self) -> str:
        if len(self._loads) == 1:
            return ""
        return f"{self._kind} {self._at + 1} of {len(self._loads)}{self._order and ', '}{self._order}"

    def step(self, count: int) -> None:
        self._at = (self._at + count) % len(self._loads)
        self._frame = self._open()

    def _open(self) -> Frame:
        try:
            return Frame(subject=self._loads[self._at]())
        except UserError as error:
            return Frame(error=str(error))


def cases(root: Path, name: str) -> Several:
    """The cases of a dataset, beginning with the one called `name`."""
    names = cases_of(root)
    return Several("case", [partial(open_case, root, each) for each in names], at=names.index(name))


class Draws:
    """The draws of a scene file, one seed after the other."""

    def __init__(self, live: LiveScene) -> None:
        self.live = live
        self.frame = Frame()  # the last one that could be drawn

    @property
    def place(self) -> str:
        return ""

    @property
    def seed(self) -> int:
        """Of the draw that is shown or on its way."""
        if self.live.settings.seed is not None:
            return self.live.settings.seed
        return self.frame.scene.seed if self.frame.scene else 0

    def poll(self) -> Frame | None:
        frame = self.live.poll()
        if frame is not None and frame.subject is not None:
            self.frame = frame
        return frame

    def step(self, count: int) -> None:
        self.live.change(reseeded(self.live.settings, max(0, self.seed + count)))

    @property
    def sliders(self) -> list[Slider]:
        """The scene's variables where they stand: as drawn, or as set by hand."""
        frame = self.frame
        return sliders(frame.scene, {**frame.variables, **self.live.settings.variables}) if frame.scene else []

    @property
    def phase(self) -> float | None:
        """Of the scene's motion; None where nothing moves."""
        scene, own = self.frame.scene, self.live.settings.phase
        return None if scene is None or not scene.motion else scene.phase if own is None else own

    def vary(self, name: str, value: float) -> None:
        """Draw with a variable set by hand."""
        whole = any(one.whole for one in self.sliders if one.name == name)
        settings = self.live.settings
        set_now = {name: round(value) if whole else value}
        self.live.change(replace(settings, variables={**settings.variables, **set_now}))

    def move(self, phase: float) -> None:
        """Draw another phase, in [0, 1); two digits of it."""
        self.live.change(replace(self.live.settings, phase=min(round(phase, 2), 0.99)))

    @property
    def left_out(self) -> list[str]:
        """Structures that are not drawn."""
        return sorted(self.live.settings.off)

    def leave_out(self, name: str) -> None:
        """Draw without a structure, or with it again."""
        self.live.change(replace(self.live.settings, off=self.live.settings.off ^ {name}))

    def save(self) -> Path:
        """Write what is drawn as a scene of its own, beside the scene's file: every value as it is, nothing random.

        Raises:
            UserError: nothing is drawn yet, or the folder cannot be written to.
        """
        if self.frame.drawn is None:
            raise UserError(f"{self.live.path}: nothing is drawn yet")
        name = f"{self.live.path.stem}_{self.seed}"
        paths = (self.live.path.with_name(f"{name}_{i}.yaml" if i else f"{name}.yaml") for i in count())
        return write_text(next(path for path in paths if not path.exists()), self.frame.drawn.dump())

    def first(self, modality: str) -> None:
        self.live.first(modality)

    def close(self) -> None:
        self.live.close()
