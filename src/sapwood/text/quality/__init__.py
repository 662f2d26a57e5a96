"""Clean text: normal form, statistics, rules over them, and the ledger of verdicts."""
