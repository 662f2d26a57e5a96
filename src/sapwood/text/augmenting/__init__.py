"""Augmentation: children of training rows, made by pure functions of (seed, id, operator, number)."""
