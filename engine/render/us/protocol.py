"""The ultrasound protocol: a probe, what it is set to, and how its frames become a volume."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Union

import numpy as np
import torch
from pydantic import BeforeValidator, Field

from engine.device import device
from engine.errors import UserError
from engine.grid import Grid
from engine.random import Stream
from engine.render.protocol import Protocol
from engine.render.us import display
from engine.render.us.acoustics import Medium
from engine.render.us.blur import Filters
from engine.render.us.lattice import Lattice, lay, project
from engine.render.us.path import trace
from engine.render.us.placement import Pose, place, reach
from engine.render.us.probe import PROBES, Probe, discover
from engine.render.us.probes.curved import Curved
from engine.render.us.reverberation import reverberate
from engine.render.us.scatterers import Moved
from engine.render.us.speckle import envelope
from engine.render.us.sweep import Fan
from engine.vary import Fraction, NonNegative, Number, Positive, Varying
from engine.volume import Image, Volume

discover()


def _named(value: Any) -> Any:
    """`probe: linear` is short for `probe: {kind: linear}`."""
    return {"kind": value} if isinstance(value, str) else value


if TYPE_CHECKING:
    AnyProbe = Probe
else:
    _Kinds = Union[tuple(PROBES.values())]  # noqa: UP007
    _Written = Union[Literal[tuple(PROBES)], _Kinds]  # noqa: UP007
    AnyProbe = Annotated[_Kinds, Field(discriminator="kind"), BeforeValidator(_named, json_schema_input_type=_Written)]

Looks = Annotated[int, Field(ge=1, le=16), Varying(low=1, high=16, whole=True)]
Megahertz = Annotated[float, Field(ge=2, le=15), Varying(low=2, high=15)]
Depth = Annotated[float, Field(gt=0, le=400), Varying(low=0, high=400, open=True)]
Turn = Annotated[float, Field(ge=-360, le=360), Varying(low=-360, high=360)]

#: Bytes of beam-space samples worked on at a time.
CHUNK_BYTES = 48 << 20
#: Deepest picture, mm, where none is asked for.
DEEPEST_MM = 240.0


def _look(number: int, stream: Stream, moved: Moved | None) -> tuple[Stream, Moved | None]:
    """Scatterers and noise of one of several looks; the first look's are those of a picture of one."""
    if number == 0:
        return stream, moved
    path = ("look", number)
    return stream.child(*path), moved and replace(moved, noise=moved.noise.child(*path))


class US(Protocol):
    """B-mode frames of every axial slice, from a probe swept along z; grey 0..255, 0 outside the field of view."""

    unit: ClassVar[str] = "grey"

    modality: Literal["us"] = "us"
    probe: AnyProbe = Field(default_factory=Curved.example, description="the transducer: its kind and geometry")
    frequency_mhz: Megahertz = Field(3.5, description="centre frequency, MHz")
    depth_mm: Depth | None = Field(None, description="depth of the picture, mm; by default as deep as the volume")
    focus_mm: Positive | None = Field(None, description="depth of the transmit focus, mm; by default half the depth")
    dynamic_range_db: Positive = Field(60.0, description="decibels from black to white")
    gain_db: Number = Field(0.0, description="gain of the whole picture, dB")
    tgc_db_cm_mhz: NonNegative = Field(0.5, description="attenuation that time-gain compensation makes up for; 0: none")
    noise_db: Number | None = Field(
        -78.0, description="receiver's noise, dB over liver's echo at the probe; null: none"
    )
    side_lobes: bool = Field(
        False, description="clutter of the aperture's side lobes; its apodization sets their level"
    )
    time_of_flight: bool = Field(
        False, description="draw echoes where 1540 m/s puts them, displaced from where they are, as scanners do"
    )
    looks: Looks = Field(
        1,
        description="independent looks averaged after compression: spatial and frequency compounding, smoother speckle",
    )
    reverberation: Fraction = Field(
        0.0, description="reflection coefficient of the probe's face: repeats of skin and gas, ring-down behind gas"
    )
    persistence: Annotated[float, Field(ge=0, lt=1), Varying(low=0, high=1)] = Field(
        0.0, description="share of the frame before that stays on the screen as the probe is swept"
    )
    sweep_deg: Annotated[float, Field(ge=0, le=120), Varying(low=0, high=120)] = Field(
        0.0, description="angle through which the frame tilts in a mechanical 3-D sweep; 0: swept along z"
    )
    pivot_mm: NonNegative = Field(10.0, description="how far behind the face the axis of that tilt lies, mm")
    rotation_deg: Turn = Field(0.0, description="side the probe stands on: 0 front, 90 left, 180 back")
    tilt_deg: Turn = Field(0.0, description="turns the probe about its contact point, in the slice")
    offset_mm: Number = Field(0.0, description="moves the probe sideways along the skin, mm")
    press_mm: NonNegative = Field(3.0, description="how far the face is pressed into the skin, mm")
    position_mm: tuple[Number, Number] | None = Field(
        None, description="middle of the probe's face (x, y), mm from the volume's middle, instead of the skin"
    )

    def noiseless(self) -> US:
        return self.model_copy(update={"noise_db": None})

    def render(self, volume: Volume, stream: Stream) -> Image:
        """The B-mode picture of `volume`; raises UserError where the probe has no place to stand."""
        pose, focus, lattice = self._stand(volume)
        medium = Medium.of(volume, self.frequency_mhz, stream.child("texture"), timed=self.time_of_flight)
        if self.sweep_deg:
            return self._tilted(volume, medium, pose, focus, lattice, stream)
        filters = Filters(lattice, self.frequency_mhz, focus, volume.grid.spacing[2], self.side_lobes)
        moved = None
        if volume.moment:
            then, _, rest = self._stand(volume.still)
            noise = stream.child("noise", *volume.moment)
            moved = Moved.between(volume.steps(), volume.grid, lattice, rest, then, self.frequency_mhz, noise)
        data = self._scan(volume.grid, medium, lattice, filters, pose, stream.child("scatterers"), moved)
        return Image(volume.grid, data, "us", self.unit, self._header(lattice, filters, pose, focus))

    def _tilted(
        self, volume: Volume, medium: Medium, pose: Pose, focus_mm: float, lattice: Lattice, stream: Stream
    ) -> Image:
        """The picture of a probe that tilts in its place instead of being swept along z."""
        if volume.moment:
            raise UserError("us: a tilting sweep images phase 0 only; leave out sweep_deg for later phases")
        fan = Fan.of(volume.grid, pose, self.sweep_deg, self.pivot_mm, lattice.depth_mm)
        filters = Filters(lattice, self.frequency_mhz, focus_mm, fan.spacing(lattice.ranges), self.side_lobes)
        frames = self._scan(
            fan.stack(lattice.depth_mm), fan.look(medium), lattice, filters, pose, stream.child("scatterers"), None
        )
        header = self._header(lattice, filters, pose, focus_mm)
        half = 0.5 * self.sweep_deg
        header["view"] |= {"frames": fan.frames, "tilts_deg": [-half, half], "pivot_mm": self.pivot_mm}
        return Image(volume.grid, fan.assemble(frames), "us", self.unit, header)

    def _stand(self, volume: Volume) -> tuple[Pose, float, Lattice]:
        """Where the probe stands on `volume`, the depth of its focus (mm), and its beams."""
        pose = place(volume, self.rotation_deg, self.tilt_deg, self.offset_mm, self.press_mm, self.position_mm)
        depth = self.depth_mm or min(max(reach(volume.grid, pose), 10.0), DEEPEST_MM)
        focus = self.focus_mm or 0.5 * depth
        return pose, focus, lay(self.probe, volume.grid, pose, self.frequency_mhz, focus, depth)

    def _scan(
        self,
        grid: Grid,
        medium: Medium,
        lattice: Lattice,
        filters: Filters,
        pose: Pose,
        stream: Stream,
        moved: Moved | None,
    ) -> torch.Tensor:
        """Frames of all slices on the volume's grid, a chunk of slices at a time."""
        nz = grid.size[2]
        beam, range_mm = project(lattice, grid, pose)
        # grey samples are averaged over half a voxel, which interpolation makes about one
        pooled = max(1, min(lattice.samples, round(0.5 * lattice.voxel_mm / lattice.step_mm)))
        sample = range_mm / (lattice.step_mm * pooled) - 0.5
        columns, rows = (torch.from_numpy(a.astype(np.float32)).to(device()) for a in (beam, sample))
        average = 0.2 * self.frequency_mhz * self.tgc_db_cm_mhz
        gain = self.gain_db + average * lattice.ranges
        loss = 0.1 * self.frequency_mhz  # soft tissue, two ways, dB/mm: 0.5 dB/cm/MHz
        noise = 0.0 if self.noise_db is None else 10.0 ** (self.noise_db / 20.0)
        out = torch.empty(grid.shape, dtype=torch.float32, device=device())
        chunk = max(1, CHUNK_BYTES // (8 * lattice.beams * lattice.samples) - 2 * filters.halo)
        for first in range(0, nz, chunk):
            last = min(first + chunk, nz)
            echoes = trace(medium, lattice, np.arange(first - filters.halo, last + filters.halo), grid.spacing, loss)
            if self.reverberation:
                echoes = reverberate(
                    echoes, lattice, self.reverberation, first - filters.halo, stream.child("reverberation")
                )
            grey: torch.Tensor | float = 0.0
            for look in range(self.looks):
                found = envelope(echoes, filters, lattice, first - filters.halo, noise, *_look(look, stream, moved))
                grey = grey + display.compress(found, gain, self.dynamic_range_db, pooled) / self.looks
            display.convert(torch.as_tensor(grey), columns, rows, out[first:last])
        if self.persistence:
            display.persist(out, self.persistence)
        return out

    def _header(self, lattice: Lattice, filters: Filters, pose: Pose, focus_mm: float) -> dict[str, Any]:
        """What was simulated: the protocol with its defaults resolved, the probe's pose and the resolution."""
        middle = int(np.clip(focus_mm / lattice.step_mm, 0, lattice.samples - 1))
        return self.model_dump(mode="json") | {
            "depth_mm": lattice.depth_mm,
            "focus_mm": focus_mm,
            "face_mm": list(pose.face),
            "axis": list(pose.axis),
            "view": lattice.probe.view() | {"depths_mm": [0.0, lattice.depth_mm]},
            "beams": lattice.beams,
            "axial_resolution_mm": filters.axial_mm,
            "lateral_resolution_mm": float(filters.lateral_mm[middle]),
            "slice_thickness_mm": float(filters.elevation_mm[middle]),
        }
