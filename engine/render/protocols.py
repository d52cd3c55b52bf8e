"""Every modality's protocol."""

from engine.render.ct import CT
from engine.render.mr import MR
from engine.render.protocol import Protocol
from engine.render.us import US

#: Protocols by modality, each with usable defaults.
PROTOCOLS: dict[str, type[Protocol]] = {"ct": CT, "mr": MR, "us": US}
