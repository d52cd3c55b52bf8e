"""Ultrasound probes, one a file."""
