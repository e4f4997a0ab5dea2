"""What the documentation claims, as commands: ``python -m benchmarks.NAME --json``."""
