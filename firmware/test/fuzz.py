"""Fuzzes the core with libFuzzer and AFL++ on the committed corpus, with the CRC check and without it.

python firmware/test/fuzz.py --seconds 600 --json docs/benchmarks/led_fuzz.json
python firmware/test/fuzz.py --seconds 15 --engine libfuzzer      (what the tests run)
python firmware/test/fuzz.py --write-corpus                       (corpus.txt anew, from the Python codec)

Exit status: 0 no crash, 1 a crash or a hang (the input is kept in --out), 2 a tool is missing.
"""

import argparse
import json
import os
import platform
import re
import shutil
import struct
import subprocess
import sys
import tempfile
from binascii import crc32
from datetime import UTC, datetime
from pathlib import Path

FIRMWARE = Path(__file__).resolve().parents[1]
CORPUS = FIRMWARE / "test" / "corpus.txt"
PACKAGES = {"libfuzzer": "clang libclang-rt-dev", "afl": "clang libclang-rt-dev afl++"}
COMPILERS = {"libfuzzer": "clang", "afl": "afl-clang-fast"}
SANITIZE = "-fsanitize=fuzzer,address,undefined"
EMPTY_TARGET = "int LLVMFuzzerTestOneInput(const char *bytes, unsigned long count) { return bytes && count; }"
SMALL = ["-DLSM_MAX_LEDS=64u", "-DLSM_MAX_FRAME=256u", "-DLSM_SEQUENCE_BYTES=512u"]
FLAGS = ["-std=c99", "-O1", "-g", "-fno-sanitize-recover=all", "-Icore", "-Ihal", "-Itest", *SMALL]
VARIANTS = {"with_crc": [], "without_crc": ["-DLSM_FUZZ_WITHOUT_CRC"]}
MEMORY_MB = 512


def main(arguments: list[str]) -> int:
    """Fuzz as the command line asks; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=60, help="for each engine and variant (default 60)")
    parser.add_argument("--engine", choices=["libfuzzer", "afl", "both"], default="both")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, help="keep corpora and crashing inputs here")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    parser.add_argument("--write-corpus", action="store_true", help="only write corpus.txt")
    options = parser.parse_args(arguments)
    if options.write_corpus:
        write_corpus()
        return 0
    engines = ["libfuzzer", "afl"] if options.engine == "both" else [options.engine]
    for engine in engines:
        if reason := _missing(engine):
            print(f"{engine}: {reason}: apt-get install {PACKAGES[engine]}")
            return 2
    with tempfile.TemporaryDirectory(prefix="lsm-fuzz-") as scratch:
        folder = (options.out or Path(scratch)).resolve()
        runs = [
            {"engine": engine, "variant": variant} | RUN[engine](variant, options.seconds, options.seed, folder)
            for engine in engines
            for variant in VARIANTS
        ]
    for run in runs:
        print(f"{run['engine']} {run['variant']}: {run['executions']} executions, {run['crashes']} crashes")
    if options.json is not None:
        result = {
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "commit": _answer(["git", "describe", "--always", "--dirty", "--exclude=*", "--abbrev=12"]),
            "machine": f"{platform.machine()}, {os.cpu_count()} cores",
            "compiler": _answer(["clang", "--version"]).splitlines()[0],
            "seed": options.seed,
            "runs": runs,
        }
        options.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return 1 if any(run["crashes"] for run in runs) else 0


def libfuzzer(variant: str, seconds: int, seed: int, folder: Path) -> dict:
    """One run of libFuzzer."""
    program, corpus = _prepared(COMPILERS["libfuzzer"], f"libfuzzer-{variant}", variant, folder)
    command = [str(program), str(corpus), f"-max_total_time={seconds}", f"-seed={seed}", "-max_len=4096", "-timeout=10"]
    command += [f"-rss_limit_mb={MEMORY_MB}", "-print_final_stats=1", f"-artifact_prefix={corpus.parent}/crash-"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    executions = re.search(r"number_of_executed_units:\s*(\d+)", run.stderr)
    coverage = re.findall(r"cov: (\d+)", run.stderr)
    crashes = len(list(corpus.parent.glob("crash-*"))) or int(run.returncode != 0)
    if crashes:
        print(run.stderr[-3000:])
    return {
        "seconds": seconds,
        "executions": int(executions.group(1)) if executions else 0,
        "edges_covered": int(coverage[-1]) if coverage else 0,
        "crashes": crashes,
    }


def afl(variant: str, seconds: int, seed: int, folder: Path) -> dict:
    """One run of AFL++."""
    program, corpus = _prepared(COMPILERS["afl"], f"afl-{variant}", variant, folder)
    found = corpus.parent / "found"
    quiet = {"AFL_SKIP_CPUFREQ": "1", "AFL_I_DONT_CARE_ABOUT_MISSING_CRASHES": "1", "AFL_NO_UI": "1"}
    command = ["afl-fuzz", "-i", str(corpus), "-o", str(found), "-V", str(seconds), "-s", str(seed), "-m", "none"]
    run = subprocess.run(
        [*command, "--", str(program)], env=os.environ | quiet, capture_output=True, text=True, check=False
    )
    stats = found / "default" / "fuzzer_stats"
    if not stats.is_file():
        print(run.stdout[-3000:] + run.stderr[-1000:])
        return {"seconds": seconds, "executions": 0, "edges_covered": 0, "crashes": 1}
    values = dict(re.findall(r"(\w+)\s*: (.*)", stats.read_text(encoding="utf-8")))
    return {
        "seconds": seconds,
        "executions": int(values["execs_done"]),
        "edges_covered": int(values["edges_found"]),
        "crashes": int(values["saved_crashes"]) + int(values["saved_hangs"]),
    }


RUN = {"libfuzzer": libfuzzer, "afl": afl}


def _missing(engine: str) -> str:
    """What keeps an engine from running; empty where nothing does."""
    tools = ("clang", COMPILERS[engine], *(["afl-fuzz"] if engine == "afl" else []))
    missing = [tool for tool in dict.fromkeys(tools) if shutil.which(tool) is None]
    if missing:
        return f"{' and '.join(missing)} not installed"
    # a package of its own holds the libraries of fuzzer and sanitizers
    command = [COMPILERS[engine], SANITIZE, "-x", "c", "-", "-o", os.devnull]
    probe = subprocess.run(command, input=EMPTY_TARGET, capture_output=True, text=True, check=False)
    return "" if probe.returncode == 0 else f"an empty program does not link, {' '.join(probe.stderr.split())[:300]}"


def _prepared(compiler: str, name: str, variant: str, folder: Path) -> tuple[Path, Path]:
    """The instrumented program, and the corpus as files."""
    place = folder / name
    shutil.rmtree(place, ignore_errors=True)
    corpus = place / "corpus"
    corpus.mkdir(parents=True)
    for line in CORPUS.read_text(encoding="utf-8").splitlines():
        title, data = line.split()
        (corpus / title).write_bytes(bytes.fromhex(data))
    sources = sorted(str(path) for path in (FIRMWARE / "core").glob("*.c"))
    sources += ["test/bench.c", "test/fuzz.c"]
    command = [compiler, *FLAGS, *VARIANTS[variant], SANITIZE, *sources]
    subprocess.run([*command, "-o", str(place / "fuzz")], cwd=FIRMWARE, check=True, capture_output=True)
    return place / "fuzz", corpus


def _answer(command: list[str]) -> str:
    done = subprocess.run(command, cwd=FIRMWARE, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def write_corpus() -> None:
    """Every command once, text of every kind, and sessions that light, arm, step and end."""
    from lsm.led._constants import PROTOCOL_VERSION, Command
    from lsm.led.protocol import encode_request

    def steps(*parts: bytes | int) -> bytes:
        """Bytes from the host, and (as numbers) time or edges."""
        out = b""
        for part in parts:
            pieces = [] if isinstance(part, int) else [part[i : i + 255] for i in range(0, len(part), 255)]
            out += bytes([0, part]) if isinstance(part, int) else b"".join(bytes([len(p)]) + p for p in pieces)
        return out

    patterns = bytes(range(1, 33))
    payloads = {
        Command.PING: b"ping\0",
        Command.HELLO: bytes([PROTOCOL_VERSION]),
        Command.STATUS: b"",
        Command.STOP: b"",
        Command.FB_WRITE: b"\x08\xff\x80\0\0\0" + bytes(range(64)),
        Command.SHOW: b"",
        Command.FB_READ: struct.pack("<BHH", 1, 3, 99),
        Command.FB_FILL: struct.pack("<HH3B", 0, 64, 255, 255, 255),
        Command.FB_SPARSE: struct.pack("<4BH3B", 24, 0, 0, 0, 63, 1, 2, 3),
        Command.GEOM_READ: struct.pack("<HB", 0, 15),
        Command.SET_LIMIT: struct.pack("<I", 50),
        Command.WATCHDOG: struct.pack("<I", 60000),
        Command.SEQ_BEGIN: struct.pack("<HB3B", 4, 1, 9, 9, 9),
        Command.SEQ_DATA: struct.pack("<I", 0) + patterns,
        Command.SEQ_COMMIT: struct.pack("<I", crc32(patterns)),
        Command.SEQ_ARM: struct.pack("<BHIII", 1, 0, 0, 0, 60000),
        Command.SEQ_STEP: b"",
        Command.SEQ_STATUS: b"",
        Command.TRIG_IN: struct.pack("<BBHB", 0, 1, 10, 1),
        Command.TRIG_OUT: struct.pack("<BBIIB", 0, 1, 100, 100, 1),
        Command.CFG_SAVE: b"\0",
    }
    wires = {command: encode_request(i, command, data) for i, (command, data) in enumerate(payloads.items())}
    hello = wires[Command.HELLO]
    inputs = {command.name.lower(): steps(hello, wire, 1) for command, wire in wires.items()}
    load = [wires[c] for c in (Command.SEQ_BEGIN, Command.SEQ_DATA, Command.SEQ_COMMIT, Command.TRIG_IN)]
    light = [wires[c] for c in (Command.FB_WRITE, Command.SHOW)]
    arm = wires[Command.SEQ_ARM]
    inputs["session_light"] = steps(hello, *light, 3, wires[Command.STOP], 11)
    inputs["session_sequence"] = steps(hello, *load, arm, 0x80, 2, 0x80, 0x80, 2, wires[Command.SEQ_STATUS])
    inputs["session_limit"] = steps(hello, wires[Command.FB_FILL], wires[Command.SHOW], 4, wires[Command.SET_LIMIT])
    inputs["session_bits"] = steps(hello, encode_request(40, Command.FB_WRITE, b"\1\x09\x09\x09\0\0" + patterns[:8]))
    for text in (
        "about",
        "pprops",
        "pledpos.0.3",
        "pledposna",
        "pvals",
        "l.1.2.63",
        "ff",
        "bf",
        "df",
        "an.5.20",
        "dpc.l",
    ):
        inputs["text_" + text.split(".")[0]] = steps(text.encode() + b"\n", 3)
    for text in ("na.5", "nai.2", "sad.5000", "sb.3", "sc.1.2.3", "ac.0", "gs.0", "tr.1", "trinputmode.0.1"):
        inputs["set_" + text.split(".")[0]] = steps(text.encode() + b"\nl.5\n", 3)
    inputs["text_sequence"] = steps(b"ssl.2\nssv.1.2\nssv.3\nrseq.4\n", 2, 3, b"pseq\nxseq\n")
    inputs["text_trigger"] = steps(b"trinputmode.0.1\ntroutputmode.1.1\nssl.1\nssv.9\nrseq.0\n", 0x80, 1, 0x80, 1)
    lines = [f"{name} {data.hex()}" for name, data in inputs.items()]
    CORPUS.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
