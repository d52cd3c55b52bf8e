"""What every modality's protocol has in common."""

from __future__ import annotations

from typing import ClassVar

from engine.random import Stream
from engine.strict import Strict
from engine.volume import Image, Volume


class Protocol(Strict):
    """How to scan: a modality and its parameters.

    Numbers may be distributions until the scene that holds the protocol is sampled. A subclass has a
    `modality: Literal[...]` field and `render`.
    """

    unit: ClassVar[str]

    def render(self, volume: Volume, stream: Stream) -> Image:
        """The image of `volume`; all randomness comes from `stream`."""
        raise NotImplementedError
