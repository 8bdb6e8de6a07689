"""A small assistant that answers in two languages, as a world."""
