"""The updates, each to be read like its paper's pseudo-code, with its config beside it."""
