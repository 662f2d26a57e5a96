"""Splits into parts: where rows go, and the proof that nothing crosses."""
