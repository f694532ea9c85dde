"""Copies every conversation of a Page into its owner's database, and proves that nothing is missing."""

__version__ = "0.1.0"
