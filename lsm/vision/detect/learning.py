"""The steps in which a detection network learns, and how a broken run goes on."""

import hashlib
import math
from pathlib import Path

import torch
from jaxtyping import Float64
from torch import Tensor, nn

from lsm.errors import LsmError
from lsm.sensing.bundle import tensors_digest
from lsm.sensing.checkpoint import Trainee
from lsm.sensing.clock import KEY, Clock
from lsm.sensing.progress import Stage
from lsm.sensing.schedule import one_cycle, set_rates
from lsm.vision.data import AnnotatedSet
from lsm.vision.detect.decoded import Decoded
from lsm.vision.detect.fitting import FitConfig
from lsm.vision.detect.levels import Normal
from lsm.vision.detect.views import Target, random_view

TENTHS = 10
_MEAN, _TOLD = "mean.", "told."


def learn(
    network: nn.Module,
    data: AnnotatedSet,
    options: FitConfig,
    stage: Stage,
    *,
    normal: Normal,
    identity: str,
    checkpoint: Path | None,
    clock: Clock,
) -> tuple[dict[str, float], ...]:
    """Mean losses over each tenth of the run; the network then has the weights to keep.

    normal: of views, for the network. identity: of the network; a checkpoint of
    another, or of one that began with other weights, is refused. clock: told of the time before a checkpoint.
    Raises LsmError where the losses are no longer finite.
    """
    groups = [{"params": [each for each in network.parameters() if each.requires_grad]}]
    optimizer = torch.optim.AdamW(groups, lr=options.learning_rate, weight_decay=options.weight_decay)
    optimizer.param_groups[0]["largest_lr"] = options.learning_rate
    generator = torch.Generator().manual_seed(options.seed)
    # of weights and images only where a file is to be told from another's
    begun = "" if checkpoint is None else f"{identity} {tensors_digest(network.state_dict())}"
    run = Trainee({"network": network}, optimizer, generator, digest=begun and _digest(data, options, begun))
    chances = torch.tensor([math.prod(image.size) for image in data.images]).double() ** options.by_area
    run.more = {_MEAN + name: value.clone() for name, value in _floats(network).items()}
    if checkpoint is not None and run.restore(checkpoint):
        clock.go_on(run.more.get(KEY))
        for _ in range(run.step):
            stage.advance()
    images = Decoded(data, normal)
    network.train()
    with torch.random.fork_rng(devices=[]):
        while run.step < options.steps:
            # what a network draws by itself hangs on the step alone, so that a continued run draws the same
            torch.manual_seed(options.seed * 1_000_003 + run.step)
            set_rates(optimizer, one_cycle(run.step, options.steps, warm_up=0.1))
            losses = _step(network, data, chances, options, optimizer, generator, images)
            _tell(run.more, run.step * TENTHS // options.steps, losses)
            run.step += 1
            _average(run.more, network, options.average, run.step)
            stage.advance(sum(losses.values()))
            if checkpoint is not None and (run.step % options.checkpoint_every == 0 or run.step == options.steps):
                run.more[KEY] = clock.seconds()
                run.save(checkpoint)
    means = {name.removeprefix(_MEAN): value for name, value in run.more.items() if name.startswith(_MEAN)}
    network.load_state_dict(means, strict=False)
    network.eval()
    return _told(run.more)


def _step(
    network: nn.Module,
    data: AnnotatedSet,
    chances: Float64[Tensor, " image"],
    options: FitConfig,
    optimizer: torch.optim.Optimizer,
    generator: torch.Generator,
    decoded: Decoded,
) -> dict[str, float]:
    """One step on random views of random images; the losses by name."""
    images: list[Tensor] = []
    targets: list[Target] = []
    for number in torch.multinomial(chances, options.images_per_step, replacement=True, generator=generator).tolist():
        pixels = decoded.pixels(number)
        view, target = random_view(data.images[number], pixels, options.augmentation, generator, masks=data.has_masks)
        images.append(decoded.normal(number, view, pixels))
        targets.append(target)
    losses: dict[str, Tensor] = network(images, targets)
    total = torch.stack(list(losses.values())).sum()
    if not torch.isfinite(total):
        told = ", ".join(f"{name} {float(value.detach()):.3g}" for name, value in losses.items())
        raise LsmError(
            f"The losses are no longer finite: {told}.",
            hint="learn with a smaller learning_rate",
        )
    optimizer.zero_grad()
    torch.autograd.backward(total)
    nn.utils.clip_grad_norm_(network.parameters(), options.clip)
    optimizer.step()
    return {name: float(value.detach()) for name, value in losses.items()}


def _floats(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach() for name, value in network.state_dict().items() if value.is_floating_point()}


def _average(more: dict[str, Tensor], network: nn.Module, average: float, step: int) -> None:
    """Move the kept weights towards those of this step; at first by more, so that the start is soon forgotten."""
    share = 1 - min(average, step / (step + 9))
    for name, value in _floats(network).items():
        more[_MEAN + name].lerp_(value, share)


def _tell(more: dict[str, Tensor], tenth: int, losses: dict[str, float]) -> None:
    for name, value in losses.items():
        key = f"{_TOLD}{tenth}.{name}"
        more[key] = more.get(key, torch.zeros(2, dtype=torch.float64)) + torch.tensor([value, 1.0], dtype=torch.float64)


def _told(more: dict[str, Tensor]) -> tuple[dict[str, float], ...]:
    means: list[dict[str, float]] = [{} for _ in range(TENTHS)]
    for key, held in more.items():
        if key.startswith(_TOLD):
            tenth, name = key.removeprefix(_TOLD).split(".", 1)
            means[int(tenth)][name] = float(held[0] / held[1])
    return tuple(each for each in means if each)


def _digest(data: AnnotatedSet, options: FitConfig, identity: str) -> str:
    """Of all that a continued run must have in common with the one that broke."""
    marked = hashlib.sha256()
    for image in data.images:
        marked.update(image.name.encode())
        objects = image.objects
        marked.update(objects.box_px.tobytes() + objects.category.tobytes() + objects.ignore.tobytes())
        for mask in objects.masks or ():
            marked.update(f"{mask.top} {mask.left} {mask.inside.shape}".encode() + mask.inside.tobytes())
    steps = options.model_dump_json(exclude={"checkpoint_every"})
    return hashlib.sha256(f"{identity}|{steps}|{marked.hexdigest()}".encode()).hexdigest()[:16]
