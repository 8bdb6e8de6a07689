"""The lessons' programs: each algorithm's loop once, and the worlds that it runs in."""
