"""The only files that know gymnasium or transformers: what they offer, said in the core's words."""
