"""Backends of the store: a folder with SQLite."""
