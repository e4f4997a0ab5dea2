"""Neural architecture search for analog in-memory computing chips."""

__version__ = "0.1.0"
