"""Grow a language model from your own text and keep it alive."""

__version__ = "0.1.0"
