"""What a NAS-Bench-201 cell does, as numbers for an evaluator."""
