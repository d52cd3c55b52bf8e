"""Deformers, one a file."""
