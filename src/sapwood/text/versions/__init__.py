"""Versions of a dataset: what is in one, what changed between two, and the cards that say so."""
