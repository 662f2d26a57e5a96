"""One file a stage; thin over the science; reached only by name."""
