"""The pole: four numbers seen, two pushes to choose from, one point for each step upright."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from matplotlib.axes import Axes
from safetensors.torch import save_file

from lessons.worlds import Advance, Results, Target, World, nobody
from lessons.worlds.cartpole.demonstrations import MEDIOCRE
from lessons.worlds.cartpole.draw import draw_drives, film
from lessons.worlds.cartpole.models import MODELS, STARTS, fill
from lessons.worlds.cartpole.play import mean_return, play_episodes, states_of
from lessons.worlds.cartpole.preferences import longer_drives, steadier_clips
from lessons.worlds.learners import Policy, RewardModel
from lessons.worlds.measure import chosen, kl_per_episode, most_kl_of_best, swapped
from lessons.worlds.seeds import seeded, spawn
from rl_core.adapters.gym import CartPoleRows, GymEnv, MLPNetwork, MLPScorer
from rl_core.errors import InvalidArgument
from rl_core.interfaces import Env, Scorer
from rl_core.pairs import Pairs
from rl_core.types import Episodes, Rollout

SOLVED = 475.0
EPISODES = 100
VALUE_SCALE = 30.0  # steps: between what the clone's critic must say and a balanced pole's, 100 at a discount of 0.99
FILMED = 3  # drives side by side


@dataclass(frozen=True)
class CartPole:
    """The pole's world."""

    name: str = "cartpole"
    settings: str = "cartpole"
    title: str = "CartPole"
    step_name: str = "step"
    shares: tuple[str, ...] = ()
    trials: str = "episodes"
    headline: str = "sampled_return"
    targets: tuple[Target, ...] = (Target("sampled_return", SOLVED),)
    kinds: tuple[str, ...] = ("drives", "clips")
    same_start: tuple[str, ...] = ("drives",)
    held_out_pairs: int = 1000

    def network(self, start: str, *, seed: int, device: str = "cpu", critic: bool = True) -> Policy:
        """Return a perceptron: the clone's policy (reference), a fresh one (base, scratch) or a saved one."""
        network = MLPNetwork((4,), None, 2, critic=critic, value_scale=VALUE_SCALE, generator=seeded(seed))
        if start not in ("scratch", "base"):
            folder = MODELS / "clone" if start == "reference" else Path(start)
            fill(network.policy, folder / "policy.safetensors", start)
        return network.to(device)

    def reference(self, device: str = "cpu") -> Policy:
        """Return the frozen clone of the mediocre driver."""
        return self.network("reference", seed=0, device=device, critic=False).requires_grad_(False)

    def env(
        self, *, rows: int, steps: int, seed: int, device: str = "cpu", group_size: int = 1, whole: bool = False
    ) -> Env:
        """Return poles watched `steps` at a time, a row that is cut off going on in the next rollout; or whole drives
        of `steps` at most.
        """
        seed = spawn(seed, "train")
        if whole:
            poles = CartPoleRows(rows, max_episode_steps=steps)
            return GymEnv(poles, rows, group_size=group_size, seed=seed, device=device)
        return GymEnv(CartPoleRows(rows), rows, group_size=group_size, window=steps, seed=seed, device=device)

    def demonstrations(self, count: int, *, seed: int) -> Episodes:
        """Return drives of the mediocre driver."""
        return play_episodes(MEDIOCRE, count, seed=spawn(seed, "demonstrations")).episodes()

    def preferences(
        self,
        network: Policy,
        count: int,
        *,
        seed: int,
        noise: float = 0.0,
        held_out: bool = False,
        device: str = "cpu",
    ) -> dict[str, Pairs]:
        """Return pairs of drives from one start, chosen by which stands longer, and pairs of clips from them.

        Starts are drawn from a continuum, so the held-out ones need only come from another stream.
        """
        seed = spawn(seed, "held-out pairs" if held_out else "pairs")
        played = play_episodes(network, 2 * count, seed=seed, device=device, group_size=2).episodes()
        return {
            "drives": swapped(longer_drives(played), noise, seeded(seed, "noise", "drives")),
            "clips": swapped(steadier_clips(played, seeded(seed, "clips")), noise, seeded(seed, "noise", "clips")),
        }

    def scorer(self, start: str, *, seed: int, device: str = "cpu") -> RewardModel:
        """Return a perceptron that rewards each step: a fresh one for a driver, who knows nothing of rewards."""
        scorer = MLPScorer((4,), None, 2, generator=seeded(seed))
        if start not in STARTS and not (Path(start) / "policy.safetensors").is_file():
            fill(scorer, Path(start) / "reward.safetensors", start)
        return scorer.to(device)

    def holds_scorer(self, folder: Path) -> bool:
        """Return whether a reward model was saved there."""
        return (folder / "reward.safetensors").is_file()

    def save_scorer(self, scorer: RewardModel, folder: Path) -> None:
        """Write the reward model as safetensors."""
        folder.mkdir(parents=True, exist_ok=True)
        save_file({k: v.contiguous().cpu() for k, v in scorer.state_dict().items()}, folder / "reward.safetensors")

    def read_preferences(self, path: Path) -> Pairs:
        """Raise InvalidArgument: a drive has no words."""
        raise InvalidArgument(
            f"preferences={str(path)!r}: drives are not told in JSONL; leave it to the language world."
        )

    def evaluate(
        self,
        network: Policy,
        *,
        seed: int,
        device: str = "cpu",
        quick: bool = False,
        best_of: int = 1,
        scorer: Scorer | None = None,
        reference: Policy | None = None,
        advance: Advance = nobody,
    ) -> Results:
        """Return the mean return of 100 episodes (quick: 20), greedy and sampled, and the distance to the reference."""
        count, seed = EPISODES // 5 if quick else EPISODES, spawn(seed, "evaluate")
        sampled = play_episodes(network, best_of * count, seed=seed, device=device, group_size=best_of)
        sampled = chosen(sampled, best_of, scorer)
        advance(1, 2)
        greedy = play_episodes(network, count, seed=seed, device=device, greedy=True)
        return {
            "sampled_return": mean_return(sampled),
            "greedy_return": mean_return(greedy),
            "length": sampled.mask.sum().item() / count,
            "kl": kl_per_episode(sampled, reference or self.reference(device)) + most_kl_of_best(best_of),
            "episodes": float(count),
        }

    def quick_evaluate(
        self, network: Policy, *, seed: int, device: str = "cpu", reference: Policy | None = None
    ) -> Results:
        """Return the mean sampled return of 100 episodes."""
        played = play_episodes(network, EPISODES, seed=spawn(seed, "quick evaluate"), device=device)
        return {"sampled_return": mean_return(played)}

    def bounds(self, before: Results, after: Results) -> Results:
        """Return nothing: the return does not tell how far a policy must go for it."""
        return {}

    def examples(self, count: int, *, seed: int, device: str = "cpu") -> Env:
        """Return whole drives from starts that depend on the seed alone."""
        return GymEnv(CartPoleRows(count), count, seed=spawn(seed, "examples"), device=device)

    def question(self, played: Rollout, row: int) -> str:
        """Return where the cart and the pole were at first."""
        position, _, angle, _ = played.obs[row, 0].tolist()
        return f"x {position:+z.2f} m, {angle:+z.3f} rad"

    def words(self, played: Rollout, row: int) -> list[str]:
        """Return each push with the lean that it answers, in degrees."""
        degrees = played.obs[row, :, 2].rad2deg().tolist()
        pushes = ["◀" if action == 0 else "▶" for action in played.actions[row].tolist()]
        length = int(played.mask[row].sum())
        return [f"{push}{angle:+z.1f}°" for push, angle in zip(pushes, degrees, strict=True)][:length]

    def text(self, played: Rollout, row: int) -> str:
        """Return the pushes of a drive side by side, each with the lean that it answers."""
        return " ".join(self.words(played, row))

    def scene(self, axes: Axes, before: Rollout, after: Rollout) -> Callable[[int], None]:
        """Draw drives from the same starts, before above and after below; return what moves them to that step."""
        return draw_drives(axes, *(states_of(played)[:FILMED] for played in (before, after)))

    def show(self, before: Rollout, after: Rollout, folder: Path) -> Path:
        """Return the film of the same starts before and after."""
        path = folder / "pole.gif"
        drives_before, drives_after = (states_of(played)[:FILMED] for played in (before, after))
        film(drives_before, drives_after, path)
        return path

    def save(self, network: Policy, folder: Path) -> None:
        """Write the policy as safetensors."""
        assert isinstance(network, MLPNetwork)
        folder.mkdir(parents=True, exist_ok=True)
        save_file(
            {k: v.contiguous().cpu() for k, v in network.policy.state_dict().items()}, folder / "policy.safetensors"
        )

    def analogy(self, played: Rollout, network: Policy) -> dict[str, str]:
        """Return what the nouns of reinforcement learning are here, told from live objects."""
        assert isinstance(network, MLPNetwork)
        x, speed, angle, turn = played.obs[0, 0].tolist()
        return {
            "state": f"x {x:+z.2f} m, {speed:+z.2f} m/s, lean {angle:+z.3f} rad, {turn:+z.2f} rad/s",
            "action": f"{('push left', 'push right')[int(played.actions[0, 0])]} (of 2)",
            "policy": f"MLP, {sum(p.numel() for p in network.policy.parameters()):,} parameters",
            "environment": "the laws of motion, 0.02 s a step",
        }


WORLD: World = CartPole()
