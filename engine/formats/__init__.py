"""File formats, one file each; `engine.formats.format` says what a format is."""
