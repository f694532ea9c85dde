"""Opens the database, and speaks its dialect."""
