"""Surfaces from mesh files. Imported where a scene has one: the libraries for it take a third of a second to load."""
