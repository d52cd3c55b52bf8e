"""Primitives, one a file."""
