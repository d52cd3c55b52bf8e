"""Motions of the whole world: one file each."""
