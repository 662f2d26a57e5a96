"""Studies: what runs recipes many times."""
