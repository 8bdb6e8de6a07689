"""Sums whose answers a program can verify, as a world."""
