"""What every modality's protocol has in common."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from engine.random import Stream
from engine.render.preset import PRESETS, preset, resolved
from engine.strict import Strict
from engine.volume import Image, Volume

PresetName = Annotated[Literal[PRESETS], Field(description="a protocol by name")]  # type: ignore[valid-type]


class Protocol(Strict):
    """How to scan: a modality and its parameters.

    Numbers may be distributions until the scene that holds the protocol is sampled. A subclass has a
    `modality: Literal[...]` field and `render`.
    """

    unit: ClassVar[str]

    protocol: PresetName | None = Field(
        default=None, exclude=True, description="start from this protocol; other fields here change it"
    )
    name: str | None = Field(default=None, description="what it is called in headers; the protocol's name if left out")

    @model_validator(mode="before")
    @classmethod
    def _from_preset(cls, value: Any) -> Any:
        full = resolved(value)
        if full is value:
            return value
        usual = preset(value["protocol"]).fields["modality"]
        if full["modality"] != usual:
            raise PydanticCustomError(
                "protocol", "'{name}' is a protocol for {usual}", {"name": value["protocol"], "usual": usual}
            )
        return full

    def render(self, volume: Volume, stream: Stream) -> Image:
        """The image of `volume`; all randomness comes from `stream`."""
        raise NotImplementedError

    def noiseless(self) -> Protocol:
        """The same scan without the receiver's noise; artefacts, texture and speckle stay, they are not noise."""
        raise NotImplementedError
