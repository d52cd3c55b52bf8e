"""Pulse sequences, one file each; importing this package registers them all."""

from engine.discovery import import_all

import_all(__name__)
