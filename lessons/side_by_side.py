"""The main job: one algorithm in both worlds at once, an iteration in turn, and one report."""

from lessons import ppo
from lessons.drive import main
from lessons.worlds import NAMES

if __name__ == "__main__":
    main("ppo", ppo.train, __doc__, worlds=NAMES)
