"""Builds the optics kernel into the wheel where there is a C compiler; lsm works without it, more slowly."""

import os
import platform
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

FOLDER = Path("lsm/optics/_native")
LIBRARY = FOLDER / "led_images.so"
FLAGS = [
    *("-std=c11", "-O3", "-fPIC", "-Wall", "-Wextra", "-Werror"),
    # butterflies on constant zeros shrink; neither flag lets sums be reordered
    *("-fno-math-errno", "-fno-trapping-math", "-fno-signed-zeros", "-ffp-contract=fast"),
]
# instruction set: compiler flags, bytes of a vector register
X86_SETS = {
    "avx2": (["-mavx2", "-mfma", "-mf16c"], 32),
    "avx512": (["-mavx512f", "-mavx512dq", "-mavx512vl", "-mfma", "-mprefer-vector-width=512"], 64),
}
PRECISIONS = {"f32": ("float", "int32_t", 4), "f64": ("double", "int64_t", 8)}


class KernelBuildHook(BuildHookInterface[Any]):
    """`LSM_REQUIRE_NATIVE=1` in the environment turns a missing or failing compiler into an error."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if self.target_name != "wheel":
            return
        try:
            build(Path(self.root), os.environ.get("CC", "cc"))
        except (OSError, subprocess.CalledProcessError) as error:
            if os.environ.get("LSM_REQUIRE_NATIVE") == "1":
                raise
            reason = getattr(error, "stderr", None) or error
            print(f"The optics kernel was not compiled ({reason}); torch computes instead.", file=sys.stderr)
            return
        build_data["artifacts"].append(str(LIBRARY))
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{sysconfig.get_platform().replace('-', '_').replace('.', '_')}"


def build(root: Path, compiler: str) -> None:
    """Compile the kernel for each instruction set and precision and link it. Raises CalledProcessError or OSError."""
    x86 = platform.machine().lower() in ("x86_64", "amd64")
    sets = {"generic": ([], 16), **(X86_SETS if x86 else {})}
    with tempfile.TemporaryDirectory() as folder:
        jobs, objects = [], []
        for name, (flags, width) in sets.items():
            for suffix, (real, index, size) in PRECISIONS.items():
                macros = [
                    f"-DREAL={real}",
                    f"-DINDEX={index}",
                    f"-DLANES={width // size}",
                    f"-DSUFFIX=_{suffix}_{name}",
                ]
                objects.append(f"{folder}/{suffix}_{name}.o")
                jobs.append([*FLAGS, *flags, *macros, "-c", str(root / FOLDER / "kernel.c"), "-o", objects[-1]])
            macros = [f"-DLANES={width // 4}", f"-DSUFFIX=_{name}"]
            objects.append(f"{folder}/lamps_{name}.o")
            jobs.append([*FLAGS, *flags, *macros, "-c", str(root / FOLDER / "lamps.c"), "-o", objects[-1]])
            objects.append(f"{folder}/expose_{name}.o")
            # a sum that is fused in one place and not in another would differ from torch's
            exact = ["-ffp-contract=off", f"-DSUFFIX=_{name}"]
            jobs.append([*FLAGS, *flags, *exact, "-c", str(root / FOLDER / "expose.c"), "-o", objects[-1]])
        objects.append(f"{folder}/dispatch.o")
        choice = ["-DLSM_X86"] if x86 else []
        jobs.append([*FLAGS, *choice, "-c", str(root / FOLDER / "dispatch.c"), "-o", objects[-1]])
        for arguments in jobs:
            subprocess.run([compiler, *arguments], check=True, capture_output=True, text=True)
        linked = f"{folder}/{LIBRARY.name}"
        subprocess.run([compiler, "-shared", "-o", linked, *objects], check=True, capture_output=True, text=True)
        # a running process keeps the library that it has loaded
        target = root / LIBRARY
        temporary = target.with_suffix(".new")
        temporary.write_bytes(Path(linked).read_bytes())
        temporary.replace(target)
