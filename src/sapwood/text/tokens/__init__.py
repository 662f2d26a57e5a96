"""Tokenizers, packed shards, and the order they are read in."""
