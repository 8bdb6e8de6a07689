"""The models that ship with the worlds, made again."""
