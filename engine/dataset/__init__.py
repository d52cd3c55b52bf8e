"""Datasets on disk: scenes drawn again and again, written in a layout that training code reads."""

from engine.dataset.generate import generate
from engine.dataset.layout import LAYOUTS
from engine.dataset.request import Request, Result

__all__ = ["LAYOUTS", "Request", "Result", "generate"]
