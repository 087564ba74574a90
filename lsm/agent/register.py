"""Names of the environments for `gymnasium.make`."""

import gymnasium as gym

SLIDE_SEARCH = "lsm/SlideSearch-v0"
ADAPTIVE_ILLUMINATION = "lsm/AdaptiveIllumination-v0"


def register_envs() -> None:
    """Make `gymnasium.make("lsm/SlideSearch-v0")` and the other names work; calling it again does nothing.

    Gymnasium 1.x loads no entry points by itself: import lsm.agent first, or name the module, as in
    `gymnasium.make("lsm.agent:lsm/SlideSearch-v0")`.
    """
    if SLIDE_SEARCH not in gym.registry:
        gym.register(
            SLIDE_SEARCH,
            entry_point="lsm.agent.env:SlideSearchEnv",
            vector_entry_point="lsm.agent.vector_env:SlideSearchVectorEnv",
        )
    if ADAPTIVE_ILLUMINATION not in gym.registry:
        gym.register(
            ADAPTIVE_ILLUMINATION,
            entry_point="lsm.agent.adaptive.env:AdaptiveIlluminationEnv",
            vector_entry_point="lsm.agent.adaptive.vector:AdaptiveIlluminationVectorEnv",
        )
