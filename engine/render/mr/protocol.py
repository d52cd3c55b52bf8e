"""How to take an MR image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from engine.random import Stream
from engine.render.mr import sequences as _registered  # noqa: F401
from engine.render.mr.acquire import acquire
from engine.render.mr.sequence import SEQUENCES, Timing
from engine.render.mr.shading import shading
from engine.render.protocol import Protocol
from engine.render.texture import heterogeneity
from engine.tissue import FIELDS_T, Tissue, load_table
from engine.vary import NonNegative, Positive, Varying
from engine.volume import Image, Volume

#: The brightest tissue of the table has this signal, whatever the sequence.
BRIGHTEST = 1000.0


def _tabulated_field(value: float) -> float:
    if value not in FIELDS_T:
        known = " or ".join(f"{field:g}" for field in FIELDS_T)
        raise PydanticCustomError("field", "relaxation times are known at {known} T", {"known": known})
    return value


SequenceName = Annotated[Literal[tuple(sorted(SEQUENCES))], Varying()]  # type: ignore[valid-type]
Field_T = Annotated[
    float,
    AfterValidator(_tabulated_field),
    WithJsonSchema({"type": "number", "enum": list(FIELDS_T)}),
    Varying(),
]
Shading = Annotated[float, Field(ge=0, le=0.9), Varying(low=0, high=0.9)]


class MR(Protocol):
    """Magnetic resonance, magnitude images in arbitrary units: the table's brightest tissue has 1000."""

    unit: ClassVar[str] = "a.u."

    modality: Literal["mr"] = "mr"
    sequence: SequenceName = Field("t1w", description="pulse sequence and weighting")
    field_t: Field_T = Field(1.5, description="field strength, T")
    tr_ms: Positive | None = Field(None, description="repetition time, ms; the sequence's usual one if left out")
    te_ms: Positive | None = Field(None, description="echo time, ms; the sequence's usual one if left out")
    ti_ms: Positive | None = Field(None, description="inversion time, ms, for sequences with an inversion pulse")
    bias: Shading = Field(0.1, description="coil shading: signal varies smoothly by up to this share, up and down")
    noise_percent: NonNegative = Field(1.0, description="sd of the noise in each channel, % of the brightest tissue")
    resolution_mm: Positive | None = Field(
        None, description="acquired voxel size in the plane, mm; the grid's if left out"
    )

    @model_validator(mode="after")
    def _possible(self) -> MR:
        if any(not isinstance(v, (int, float, str, type(None))) for v in dict(self).values()):
            return self  # checked again when drawn
        if self.ti_ms is not None and SEQUENCES[self.sequence].timing.ti_ms is None:
            raise PydanticCustomError(
                "timing", "{sequence} has no inversion pulse; leave out ti_ms or use flair", {"sequence": self.sequence}
            )
        timing = self.timing()
        busy = timing.te_ms + (timing.ti_ms or 0.0)
        if busy >= timing.tr_ms:
            what = "te_ms" if timing.ti_ms is None else "ti_ms + te_ms"
            raise PydanticCustomError(
                "timing",
                "{what} is {busy} ms and must be below tr_ms, which is {tr} ms; lengthen tr_ms",
                {"what": what, "busy": f"{busy:g}", "tr": f"{timing.tr_ms:g}"},
            )
        return self

    def timing(self) -> Timing:
        """The times used: those given, else the sequence's usual ones."""
        usual = SEQUENCES[self.sequence].timing
        return Timing(self.tr_ms or usual.tr_ms, self.te_ms or usual.te_ms, self.ti_ms or usual.ti_ms)

    def signals(self, tissues: Sequence[Tissue]) -> list[float]:
        """Signed signal of each tissue, scaled so that the brightest tissue of the table has 1000."""
        sequence, timing = SEQUENCES[self.sequence], self.timing()
        brightest = max(abs(sequence.of(known, self.field_t, timing)) for known in load_table().values())
        return [BRIGHTEST / brightest * sequence.of(tissue, self.field_t, timing) for tissue in tissues]

    def render(self, volume: Volume, stream: Stream) -> Image:
        """The magnitude image of `volume`. Signed signals, not relaxation times, add up in a shared voxel."""
        tissues = [s.tissue for s in volume.structures]
        signals = self.signals(tissues)
        field = volume.mix(signals)
        field *= heterogeneity(volume, [t.texture for t in tissues], stream.child("texture"))
        field *= shading(volume.grid, self.bias, stream.child("bias"))
        dx, dy, _ = volume.grid.spacing
        noise = BRIGHTEST * self.noise_percent / 100.0
        image = acquire(field, (dy, dx), self.resolution_mm, noise, stream.child("noise", *volume.moment))
        timing = self.timing()
        meta = self.model_dump() | {
            "tr_ms": timing.tr_ms,
            "te_ms": timing.te_ms,
            "ti_ms": timing.ti_ms,
            "noise_sd": noise,
            "signals": {s.name: round(value, 2) for s, value in zip(volume.structures, signals, strict=True)},
        }
        return Image(volume.grid, image, self.modality, self.unit, meta)
