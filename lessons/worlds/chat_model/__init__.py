"""Any chat model of the outside, as a world."""
