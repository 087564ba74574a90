"""Settings of the experiment."""

from itertools import product
from typing import Annotated

from annotated_types import Ge, Gt, Le, MinLen
from pydantic import Field, model_validator

from lsm.agent import PpoConfig
from lsm.agent.find_first import FilmConfig, FindFirstRules, ReaderRates
from lsm.config import Config
from lsm.errors import ConfigError
from lsm.samples import InfectionConfig

Count = Annotated[int, Ge(1)]
Place = Annotated[float, Ge(0), Le(1)]
Spread = Annotated[float, Ge(0), Le(4)]
Fields = Annotated[float, Gt(0)]


class Condition(Config):
    """One kind of film to be judged on; see lsm.samples.InfectionConfig and FilmConfig.

    length_fields: reach of the patches, in fields.
    """

    spread: Spread = 0.0
    length_fields: Fields = 4.0
    edge_share: Place = 0.0
    along: tuple[Place, Place] = (0.35, 0.75)


class Beliefs(Config):
    """Kinds of films that may come, every combination alike: what the planner believes and the learned search met."""

    spread: Annotated[tuple[Spread, ...], MinLen(1)] = (0.0, 1.0, 1.5, 2.0, 2.5)
    length_fields: Annotated[tuple[Fields, ...], MinLen(1)] = (2.0, 4.0, 8.0)
    edge_share: Annotated[tuple[Place, ...], MinLen(1)] = (0.0, 0.3)

    def conditions(self, along: tuple[float, float]) -> list[Condition]:
        """One for each combination, on this part of a film; without spread the rest does not matter."""
        kinds = product(self.spread, self.length_fields, self.edge_share)
        rows = [Condition(spread=s, length_fields=n, edge_share=e, along=along) for s, n, e in kinds]
        even = [row for row in rows if row.spread == 0]
        return even[:1] * len(self.edge_share) * len(self.length_fields) + [row for row in rows if row.spread > 0]


class Learning(Config):
    """How the learned search comes about.

    films: of each belief. field_budget: of searches while learning; longer ones are cut off. width: of the network.
    """

    films: Count = 40
    field_budget: Count = 24
    width: Count = 16
    ppo: PpoConfig = PpoConfig(
        updates=80, searches=96, epochs=3, minibatches=3, learning_rate=5e-3, trace=0.9, entropy=0.003
    )


class Short(Config):
    """The short form: its numbers, and the conditions that it keeps."""

    seeds: Count = 2
    films: Count = 40
    imagined: Count = 300
    updates: Count = 2
    conditions: tuple[str, ...] = ()


class FindFirstConfig(Config):
    """The whole experiment.

    seeds: trainings of the learned search. films: judged on, per condition. imagined: films in a planner's belief.
    film, rates, rules: what is searched, how well it is read, and what that costs.
    clustered, uniform: names of the conditions that the promise is about.
    """

    seed: Annotated[int, Ge(0)] = 0
    seeds: Count = 3
    films: Count = 400
    imagined: Count = 1500
    film: FilmConfig = FilmConfig()
    rates: ReaderRates
    rules: FindFirstRules = FindFirstRules()
    beliefs: Beliefs = Beliefs()
    learning: Learning = Learning()
    conditions: Annotated[dict[str, Condition], MinLen(1)]
    clustered: str
    uniform: str
    quick: Short = Field(default_factory=Short)

    @model_validator(mode="after")
    def _names_are_there(self) -> "FindFirstConfig":
        for name in (self.clustered, self.uniform, *self.quick.conditions):
            if name not in self.conditions:
                raise ConfigError(
                    f"There is no condition '{name}'.", hint=f"conditions are {', '.join(self.conditions)}"
                )
        if self.film.grid != self.rules.grid:
            raise ConfigError("Film and rules have different grids.", hint="give both the same grid")
        return self

    def film_of(self, condition: Condition) -> FilmConfig:
        """The film of a condition."""
        infection = InfectionConfig(
            spread=condition.spread,
            length_um=condition.length_fields * self.film.grid.pitch_um,
            edge_share=condition.edge_share,
        )
        return self.film.model_copy(update={"infection": infection, "along": condition.along})

    def believed(self) -> list[FilmConfig]:
        """Films that may come, on every part of a film that the conditions name."""
        parts = sorted({condition.along for condition in self.conditions.values()})
        return [self.film_of(each) for along in parts for each in self.beliefs.conditions(along)]

    def short(self) -> "FindFirstConfig":
        """The short form, for the direction alone."""
        quick = self.quick
        ppo = self.learning.ppo.model_copy(update={"updates": quick.updates, "searches": 24})
        kept = {name: self.conditions[name] for name in quick.conditions} or self.conditions
        return self.model_copy(
            update={
                "seeds": quick.seeds,
                "films": quick.films,
                "imagined": quick.imagined,
                "learning": self.learning.model_copy(update={"ppo": ppo, "films": 4}),
                "conditions": kept,
            }
        )
