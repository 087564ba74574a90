"""From what an action holds to the light, exposure and cost that it means."""

import torch
from jaxtyping import Bool, Float, Float32, Int
from torch import Tensor

from lsm.agent.adaptive.light import LightBook, Meter, in_levels, lit_lamps
from lsm.agent.adaptive.rules import AdaptiveRules
from lsm.agent.adaptive.state import Decision
from lsm.errors import WrongFormat


class Lights:
    """A book of lights as tensors: what each pattern shows and uses up."""

    def __init__(self, duty: Float32[Tensor, "pattern lamp"], exposure_ms: Float[Tensor, " pattern"]) -> None:
        self.duty, self.exposure_ms = duty, exposure_ms

    def decide(self, action: Int[Tensor, " episode"], rules: AdaptiveRules) -> Decision:
        """The decision of each number. Raises WrongFormat for one that is no action."""
        if len(action) and not 0 <= int(action.min()) <= int(action.max()) < rules.n_kinds:
            raise WrongFormat(
                f"Actions {int(action.min())} to {int(action.max())} are not all known.",
                hint=f"they go from 0 to {rules.n_kinds - 1}: {', '.join(rules.kind_names[-3:])} are the last",
            )
        pattern = action.clamp_max(len(self.duty) - 1)
        exposure_ms = self.exposure_ms[pattern]
        light_led_s = (lit_lamps(self.duty) * self.exposure_ms / 1000)[pattern]
        return Decision(action, self.duty[pattern], exposure_ms, light_led_s, _time_s(exposure_ms, rules))


class FreeWeights:
    """Light from the weights in an action, as bright as the meter wants it.

    An action has L + 4 numbers: the drive of every lamp, of which 0..1 counts, and one each for "capture",
    "infected", "healthy" and "refer", of which the largest among those allowed is done.
    """

    def __init__(self, meter: Meter) -> None:
        self._meter = meter

    def decide(
        self,
        action: Float[Tensor, "episode number"],
        allowed: Bool[Tensor, "episode kind"],
        rules: AdaptiveRules,
    ) -> Decision:
        """The decision of each row of numbers. Raises WrongFormat for another count, or one that is not finite."""
        if action.shape[1] != rules.lamps + rules.n_kinds or not bool(action.isfinite().all()):
            raise WrongFormat(
                f"Actions of shape {tuple(action.shape)} are no weights, or not all finite.",
                hint=f"give {rules.lamps} drives and {rules.n_kinds} preferences for each cell",
            )
        duty = in_levels(action[:, : rules.lamps].float())
        kind = action[:, rules.lamps :].masked_fill(~allowed, -float("inf")).argmax(1)
        exposure_ms = self._meter.exposure_ms(duty)
        light_led_s = lit_lamps(duty) * exposure_ms / 1000
        return Decision(kind, duty, exposure_ms, light_led_s, _time_s(exposure_ms, rules))


def lights_of(light: LightBook | Meter, device: torch.device) -> Lights | FreeWeights:
    """What decides by a world's lights, with its numbers on that device."""
    if isinstance(light, Meter):
        return FreeWeights(light)
    return Lights(torch.from_numpy(light.duty).to(device), torch.from_numpy(light.exposure_ms).double().to(device))


def _time_s(exposure_ms: Float[Tensor, " light"], rules: AdaptiveRules) -> Float[Tensor, " light"]:
    return exposure_ms / 1000 + rules.costs.overhead_s
