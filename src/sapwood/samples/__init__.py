"""Real text and models that package registries carry: a table, and a verified fetch."""
