"""Pure text science over rows: sources, units, normalising, filters, near-duplicates, splits. No torch."""
