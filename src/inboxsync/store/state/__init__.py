"""Rows of our own tables: what a sync knows of its own work."""
