"""Synthetic images by rules instead of scenes, after published systems: what our own are measured against."""
