"""How to take an MR image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property, partial
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import torch
from pydantic import AfterValidator, Field, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from engine.random import Stream
from engine.render.mr import sequences as _registered  # noqa: F401
from engine.render.mr import slices
from engine.render.mr.acquire import acquire
from engine.render.mr.coils import Coils
from engine.render.mr.contrast import BRIGHTEST, Contrast, Part, nulling_ti
from engine.render.mr.encode import Encoding
from engine.render.mr.field import BAND_HZ, dephasing, off_resonance, steps
from engine.render.mr.flow import SLICE_MM
from engine.render.mr.layer import Layer, layers
from engine.render.mr.motion import encoding
from engine.render.mr.sampling import Sampling
from engine.render.mr.sequence import SEQUENCES, TIMES, Order, Timing
from engine.render.mr.shading import shading
from engine.render.mr.spikes import add_spikes
from engine.render.protocol import Protocol
from engine.render.texture import heterogeneity
from engine.tissue import FIELDS_T, KNOWN_FIELDS, Tissue, tissue
from engine.vary import Fraction, NonNegative, Positive, Varying, numbers_only
from engine.volume import Image, Volume


def _tabulated_field(value: float) -> float:
    if value not in FIELDS_T:
        raise PydanticCustomError("field", "relaxation times are known at {known} T", {"known": KNOWN_FIELDS})
    return value


SequenceName = Annotated[Literal[tuple(sorted(SEQUENCES))], Varying()]  # type: ignore[valid-type]
Field_T = Annotated[
    float,
    AfterValidator(_tabulated_field),
    WithJsonSchema({"type": "number", "enum": list(FIELDS_T)}),
    Varying(),
]
Shading = Annotated[float, Field(ge=0, le=0.9), Varying(low=0, high=0.9)]
Angle = Annotated[float, Field(gt=0, le=180), Varying(low=0, high=180, open=True)]
Train = Annotated[int, Field(ge=1, le=512), Varying(low=1, high=512, whole=True)]
Samples = Annotated[int, Field(ge=4, le=4096), Varying(low=4, high=4096, whole=True)]
Channels = Annotated[int, Field(ge=1, le=32), Varying(low=1, high=32, whole=True)]
Undersampling = Annotated[int, Field(ge=1, le=8), Varying(low=1, high=8, whole=True)]
MostLines = Annotated[float, Field(ge=0.55, le=1), Varying(low=0.55, high=1)]
FieldOfView = Annotated[float, Field(ge=0.2, le=1), Varying(low=0.2, high=1)]
InPlaneAxis = Annotated[Literal["x", "y"], Varying()]

#: What a sequence lacks that has no use for a time.
LACKS = {
    "ti_ms": "inversion pulse",
    "flip_deg": "flip angle to choose",
    "refocus_deg": "train of refocusing pulses",
    "echo_train": "echo train",
    "echo_spacing_ms": "echo train",
    "b_s_mm2": "diffusion gradients",
}


class MR(Protocol):
    """Magnetic resonance, magnitude images in arbitrary units: the table's brightest tissue has 1000."""

    unit: ClassVar[str] = "a.u."

    modality: Literal["mr"] = "mr"
    sequence: SequenceName = Field("t1w", description="pulse sequence and weighting")
    field_t: Field_T = Field(1.5, description="field strength, T")
    # timing; the sequence's usual one where left out
    tr_ms: Positive | None = Field(None, description="repetition time, ms; the sequence's usual one if left out")
    te_ms: Positive | None = Field(None, description="echo time, ms; the sequence's usual one if left out")
    ti_ms: Positive | None = Field(None, description="inversion time, ms, for sequences with an inversion pulse")
    flip_deg: Angle | None = Field(None, description="flip angle, degrees, for gradient echoes")
    refocus_deg: Angle | None = Field(None, description="angle of the refocusing pulses of a train, degrees")
    echo_train: Train | None = Field(None, description="echoes after each excitation or inversion, one line each")
    echo_spacing_ms: Positive | None = Field(None, description="time between the echoes of a train, ms")
    b_s_mm2: NonNegative | None = Field(None, description="diffusion weighting, s/mm^2")
    fat_saturation: Fraction | None = Field(None, description="share of fat's signal taken away; the sequence's usual")
    # receiver
    bias: Shading = Field(0.1, description="coil shading: signal varies smoothly by up to this share, up and down")
    noise_percent: NonNegative = Field(1.0, description="sd of the noise in each channel, % of the brightest tissue")
    channels: Channels = Field(1, description="receive coils, whose root sum of squares is the image")
    acceleration: Undersampling = Field(1, description="undersampling of parallel imaging (SENSE), at most `channels`")
    bandwidth_hz: Positive | None = Field(
        None, description="receiver bandwidth of a pixel, Hz: shifts fat and distorts; endless if left out"
    )
    # k-space
    phase_axis: InPlaneAxis = Field("y", description="axis of the grid that lines are encoded along")
    resolution_mm: Positive | None = Field(
        None, description="acquired voxel size in the plane, mm; the grid's if left out"
    )
    matrix: tuple[Samples, Samples] | None = Field(
        None, description="acquired samples along readout and phase over the grid's extent, instead of resolution_mm"
    )
    partial_fourier: MostLines = Field(1.0, description="share of the lines that is measured; the rest is 0")
    phase_fov: FieldOfView = Field(1.0, description="field of view along the phase axis, share of the grid's")
    slice_mm: Positive | None = Field(None, description="slice thickness, mm; a plane of the grid's if left out")
    slice_gap_mm: NonNegative | None = Field(None, description="gap between slices, mm; a slice per plane if left out")
    # what goes wrong
    susceptibility: NonNegative = Field(0.0, description="field disturbed by tissues: 0 even, 1 as their chi says")
    motion_mm: NonNegative = Field(0.0, description="amplitude of breathing along the phase axis, mm")
    motion_period_s: Positive = Field(4.0, description="period of breathing, s")
    heart_rate_bpm: Positive | None = Field(None, description="pulsing blood leaves ghosts; even flow if left out")
    spikes: NonNegative = Field(0.0, description="mean number of wrong k-space samples in a slice")
    spike_percent: NonNegative = Field(30.0, description="amplitude of a spike's stripes, % of the brightest tissue")

    @model_validator(mode="after")
    def _possible(self) -> MR:
        if not numbers_only(self):
            return self  # checked again when drawn
        usual = SEQUENCES[self.sequence].timing
        for name, thing in LACKS.items():
            if getattr(self, name) is not None and getattr(usual, name) is None:
                having = [s.name for s in SEQUENCES.values() if getattr(s.timing, name) is not None]
                raise PydanticCustomError(
                    "timing",
                    "{sequence} has no {thing}; leave out {name} or use {having}",
                    {"sequence": self.sequence, "thing": thing, "name": name, "having": " or ".join(having)},
                )
        timing = self.timing()
        for what, short, limit, long in [*SEQUENCES[self.sequence].orders(timing), *self._reading(timing)]:
            if short >= long:
                raise PydanticCustomError(
                    "timing",
                    "{what} is {short} ms and must be below {limit}, which is {long} ms; lengthen {limit} or shorten "
                    "{what}",
                    {"what": what, "short": f"{short:.5g}", "limit": limit, "long": f"{long:.5g}"},
                )
        for wrong, problem in (
            (self.acceleration > self.channels, "acceleration needs as many channels"),
            (self.matrix is not None and self.resolution_mm is not None, "leave out matrix or resolution_mm"),
            (self.slice_gap_mm is not None and self.slice_mm is None, "slice_gap_mm needs slice_mm"),
        ):
            if wrong:
                raise PydanticCustomError("protocol", problem)  # type: ignore[arg-type]
        return self

    def _reading(self, timing: Timing) -> list[Order]:
        """A line takes 1 / bandwidth to read, centred on the echo."""
        if self.bandwidth_hz is None:
            return []
        line = 1e3 / self.bandwidth_hz
        half = ("half of the readout, 500 / bandwidth_hz,", 0.5 * line, "te_ms", timing.te_ms)
        end = ("te_ms + 500 / bandwidth_hz", timing.te_ms + 0.5 * line, "tr_ms", timing.tr_ms)
        if timing.echoes == 1 or timing.echo_spacing_ms is None:
            return [half, end]
        return [half, ("the readout, 1000 / bandwidth_hz,", line, "echo_spacing_ms", timing.echo_spacing_ms)]

    def timing(self) -> Timing:
        """The times used: those given, else the sequence's usual ones."""
        sequence = SEQUENCES[self.sequence]
        timing = sequence.timing.with_changes({name: getattr(self, name) for name in TIMES})
        if self.ti_ms is None and sequence.nulls is not None:
            busy = 0.5 * timing.te_ms if timing.echoes == 1 else timing.train_ms
            timing = timing.with_changes(
                {"ti_ms": nulling_ti(tissue(sequence.nulls), self.field_t, timing.tr_ms, busy)}
            )
        return timing

    @cached_property
    def contrast(self) -> Contrast:
        """The signal of each tissue."""
        sequence = SEQUENCES[self.sequence]
        saturation = sequence.fat_saturation if self.fat_saturation is None else self.fat_saturation
        return Contrast(sequence, self.timing(), self.field_t, saturation, self.slice_mm or SLICE_MM)

    def signals(self, tissues: Sequence[Tissue]) -> list[float]:
        """Signal of each tissue, scaled so that the brightest tissue of the table has 1000; signed without phase."""
        return self.contrast.signals(tissues)

    def noiseless(self) -> MR:
        return self.model_copy(update={"noise_percent": 0.0})

    def render(self, volume: Volume, stream: Stream) -> Image:
        """The magnitude image of `volume`. Signed signals, not relaxation times, add up in a shared voxel."""
        noise = BRIGHTEST * self.noise_percent / 100.0
        encoded = self._encoding(volume, stream)
        several = Coils(volume.grid, self.channels) if self.channels > 1 else None
        raised = None
        if several is not None and self.acceleration > 1:
            raised = several.noise(self.acceleration, "xy".index(self.phase_axis), self.phase_fov)
        image = acquire(
            self._layers(volume, encoded, stream),
            encoded,
            noise,
            stream.child("noise", *volume.moment),
            several,
            raised,
            self._spikes(encoded.sampling, stream),
        )
        return Image(volume.grid, image, self.modality, self.unit, self._header(volume, encoded, raised, noise))

    def _layers(self, volume: Volume, encoded: Encoding, stream: Stream) -> list[Layer]:
        """Water and fat, textured and shaded."""
        tissues = [s.tissue for s in volume.structures]
        factor = heterogeneity(volume, [t.texture for t in tissues], stream.child("texture"))
        factor *= shading(volume.grid, self.bias, stream.child("bias"))
        contrast, field_hz = self.contrast, encoded.field_hz
        if field_hz is not None:
            factor *= field_hz.abs() < BAND_HZ
            if not contrast.sequence.refocused:
                factor *= dephasing(field_hz, contrast.timing.te_ms)
        over_lines = self._over_lines(tissues, encoded.sampling, stream)
        echo = encoded.sampling.order[0]
        if field_hz is None and self.bandwidth_hz is None:
            made = layers(volume, contrast.whole(tissues)[:, echo] * over_lines)
        else:
            made = []
            parts: tuple[Part, Part] = ("water", "fat")
            for part in parts:
                off_hz = contrast.fat_hz if part == "fat" else 0.0
                weights = contrast.echoes(tissues, part)[:, echo]
                at_hz = None if field_hz is None else steps(field_hz, 2e-3 * contrast.timing.te_ms)
                response = None if at_hz is None else contrast.response(tissues, part, at_hz)
                if response is not None and contrast.timing.echoes == 1:
                    weights = np.ones_like(weights)
                made += layers(volume, weights * over_lines, off_hz, response, at_hz, field_hz)
        if not made:  # nothing that gives signal
            made = [Layer(torch.zeros_like(factor))]
        return [Layer(layer.image.mul_(factor), layer.lines, layer.off_hz) for layer in made]

    def _over_lines(self, tissues: Sequence[Tissue], sampling: Sampling, stream: Stream) -> np.ndarray:
        """How much of each tissue's signal there is while a line is measured, `[tissue, line]`."""
        if self.heart_rate_bpm is None:
            return np.ones((len(tissues), len(sampling.lines)))
        swing = np.array([t.pulsation for t in tissues])
        return 1.0 + swing[:, None] * self._wave(sampling, 60.0 / self.heart_rate_bpm, stream.child("heart"))

    def _wave(self, sampling: Sampling, period_s: float, stream: Stream) -> np.ndarray:
        """A sine of a period and random phase at the time of each line."""
        timing = self.timing()
        echo, shot = sampling.order
        seconds = 1e-3 * (shot * timing.tr_ms + echo * timing.spacing_ms)
        return np.sin(2.0 * np.pi * (seconds / period_s + stream.generator().uniform()))

    def _encoding(self, volume: Volume, stream: Stream) -> Encoding:
        """How the grid is sampled, and what disturbs that."""
        grid, along = volume.grid, "xy".index(self.phase_axis)
        sampling = self._sampling(volume)
        selected = None
        if self.slice_mm is not None:
            selected = slices.weights(grid.size[2], grid.spacing[2], self.slice_mm, self.slice_gap_mm)
        field_hz = off_resonance(volume, self.field_t, self.susceptibility) if self.susceptibility > 0 else None
        moving = None
        if self.motion_mm > 0:
            count = sampling.grid[0]
            shift = (
                self.motion_mm
                / grid.spacing[along]
                * self._wave(sampling, self.motion_period_s, stream.child("breath"))
            )
            follows = np.linspace(1.0, 0.0, count) if self.phase_axis == "y" else np.ones(count)
            moving = encoding(count, sampling.lines, shift, follows)
        return Encoding(sampling, 2 - along, selected, field_hz, moving)

    def _sampling(self, volume: Volume) -> Sampling:
        grid, along = volume.grid, "xy".index(self.phase_axis)
        size = (grid.size[along], grid.size[1 - along])
        matrix = size if self.matrix is None else self.matrix[::-1]
        if self.resolution_mm is not None:
            extent = (grid.extent[along], grid.extent[1 - along])
            matrix = (max(1, round(extent[0] / self.resolution_mm)), max(1, round(extent[1] / self.resolution_mm)))
        lines = max(1, round(size[0] * self.phase_fov))
        timing = self.timing()
        return Sampling(
            (lines, size[1]),
            (min(lines, max(1, round(matrix[0] * self.phase_fov))), min(size[1], matrix[1])),
            self.partial_fourier,
            self.bandwidth_hz,
            timing.echoes,
            SEQUENCES[self.sequence].middle(timing),
        )

    def _spikes(self, sampling: Sampling, stream: Stream) -> Callable[[torch.Tensor], None] | None:
        if self.spikes == 0:
            return None
        height = BRIGHTEST * self.spike_percent / 100.0
        return partial(
            add_spikes, sampling=sampling, per_slice=self.spikes, height=height, stream=stream.child("spikes")
        )

    def _header(self, volume: Volume, encoded: Encoding, raised: torch.Tensor | None, noise: float) -> dict[str, Any]:
        """What was simulated: the protocol with its defaults resolved, and what follows from it."""
        timing, sampling = self.timing(), encoded.sampling
        values = self.signals([s.tissue for s in volume.structures])
        header = self.model_dump() | {name: getattr(timing, name) for name in TIMES}
        header |= {
            "fat_saturation": self.contrast.fat_saturation,
            "matrix": [sampling.matrix[1], sampling.matrix[0]],
            "lines": len(sampling.lines),
            "noise_sd": noise,
            "signals": {s.name: round(value, 2) for s, value in zip(volume.structures, values, strict=True)},
        }
        if timing.echoes > 1 and not timing.flip_deg:
            header["te_ms"] = (sampling.middle + 1) * timing.spacing_ms
        if self.bandwidth_hz is not None:
            header["fat_shift_px"] = round(self.contrast.fat_hz / self.bandwidth_hz, 4)
        if raised is not None:
            header["noise_gain"] = [round(float(raised.mean()), 3), round(float(raised.max()), 3)]
        if encoded.field_hz is not None:
            low, high = float(encoded.field_hz.min()), float(encoded.field_hz.max())
            header["off_resonance_hz"] = [round(low, 1), round(high, 1)]
        return header
