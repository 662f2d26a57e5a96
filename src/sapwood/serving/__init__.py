"""Engines, batching, the gateway app, keys."""
