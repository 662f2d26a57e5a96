"""Sources: where the loop's batches come from, addressed by (seed, epoch, index), so that seeking costs nothing."""
