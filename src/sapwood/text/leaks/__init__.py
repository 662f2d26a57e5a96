"""Evaluation text inside training text: what was found where, and of what kind it is."""
