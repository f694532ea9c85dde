"""Writes batches of conversations and messages: the one merge rule."""
