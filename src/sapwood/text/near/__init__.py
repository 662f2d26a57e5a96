"""Exact and near-duplicates: shingles, signatures, the index, clusters, joins, and planted copies that prove them."""
