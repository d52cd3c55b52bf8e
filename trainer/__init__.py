"""Volumes to slice videos to a promptable segmenter: SAM 2 training, evaluation and use."""
