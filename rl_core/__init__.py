"""One reinforcement-learning core, written once, for a pole on a cart and for a language model."""
