"""The lessons to read and run: one source each, with its text in both languages, and the notebooks built from it."""
