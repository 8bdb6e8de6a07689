"""The pole on a cart, as a world."""
