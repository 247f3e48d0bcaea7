"""Measurements, printed as ratios against raw baselines taken in the same run."""
