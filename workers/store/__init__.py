"""The books: what the service keeps in its database and its file store; the database is the truth."""
