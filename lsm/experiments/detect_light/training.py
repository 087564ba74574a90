"""One training of detector and light as a job, and what it leaves behind."""

import hashlib
from pathlib import Path
from typing import Annotated, Any

import torch
from annotated_types import Ge

from lsm.config import Config
from lsm.experiments.detect_light.config import DetectLightConfig
from lsm.sensing.clock import Clock
from lsm.tensorfile import read_tensors, write_tensors
from lsm.vision.field import FieldModel, LedFields, Phantoms, train_fields


class Training(Config):
    """One network and its light.

    config: the whole experiment's; what a training does not depend on is left at its default.
    cache: folder of LED stacks, which must be there. out: folder for what is kept.
    """

    config: DetectLightConfig
    arm: str
    seed: Annotated[int, Ge(0)]
    cache: Path
    out: Path

    @classmethod
    def of(cls, config: DetectLightConfig, arm: str, seed: int, folder: Path) -> "Training":
        """The training of an arm; more seeds, arms or test slides go on from the same table."""
        plain = DetectLightConfig()
        fixed = config.model_copy(
            update={
                "seeds": 1,
                "seed": 0,
                "arms": {arm: config.arms[arm]},
                "pairs": (),
                "test": config.train.model_copy(update={"seed": config.train.seed + 1}),
                "rates": plain.rates,
                "draws": plain.draws,
                "disturbances": (),
                "disturbed_fields": 1,
                "slides_per_job": 1,
            }
        )
        return cls(config=fixed, arm=arm, seed=seed, cache=folder / "fields", out=folder / "kept")

    @property
    def key(self) -> str:
        """Its name in the table of jobs."""
        return f"{self.arm} / seed {self.seed}"

    @property
    def identity(self) -> str:
        """Identity of all that the training depends on."""
        return hashlib.sha256(f"{self.config.digest()} {self.key}".encode()).hexdigest()[:16]

    @property
    def weights(self) -> Path:
        """File of the trained weights and exposures."""
        return self.out / f"{self.identity}.safetensors"

    def fields(self) -> LedFields:
        """The training fields, from the cache or computed into it."""
        config = self.config
        return LedFields.cached(Phantoms(config.train, config.rig.system), config.rig, self.cache)

    def model(self, fields: LedFields, generator: torch.Generator) -> FieldModel:
        """An untrained model of the arm."""
        config = self.config
        return FieldModel(
            config.rig, config.arms[self.arm], fields, generator, model=config.model, exposure=config.exposure
        )

    def trained(self, fields: LedFields) -> FieldModel:
        """The model as `train_light` left it."""
        model = self.model(fields, torch.Generator())
        again = f"remove {self.out.with_name('table.jsonl')} too, and run again"
        _, held = read_tensors(self.weights, hint=again, what="training")
        model.load_state_dict(held)
        return model.eval()


def train_light(arguments: dict[str, Any]) -> dict[str, Any]:
    """What one training came to; weights and exposures lie in its file.

    arguments: the table of a Training. Raises as its parts do.
    """
    training = Training.from_table(arguments, source="the job")
    torch.set_num_threads(1)
    fields = training.fields()
    generator = torch.Generator().manual_seed(1_000_003 * training.seed + 17)
    clock = Clock()
    model = training.model(fields, generator)
    losses = train_fields(
        model,
        fields,
        training.config.training,
        generator,
        checkpoint=training.out / f"{training.identity}.run.safetensors",
        digest=training.identity,
        clock=clock,
    )
    seconds = clock.cpu_s
    write_tensors(training.weights, model.state_dict(), {})
    light = model.light
    duty, outside = light.duty().detach(), torch.from_numpy(light.light.board.na > training.config.rig.system.na)
    tenth = max(1, len(losses) // 10)
    return {
        "loss": round(sum(losses[-tenth:]) / tenth, 4) if losses else None,
        "exposure_ms": [round(each, 1) for each in light.capture.exposures_ms.tolist()],
        "emitted_light": round(float((duty.sum(dim=1) * light.capture.exposures_ms).sum()), 1),
        "signal": [round(each, 4) for each in light.capture.signal_mean.tolist()],
        "dark_field_share": round(float(duty[:, outside].sum() / duty.sum()), 4),
        "cpu_s": round(seconds, 1),
    }
