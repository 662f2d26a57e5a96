"""Formats: how one file becomes text. One file for each format; `read` knows them by name, `kitchen` reads them in child processes."""
