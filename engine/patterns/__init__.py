"""Patterns of variation within tissues, one a file."""
