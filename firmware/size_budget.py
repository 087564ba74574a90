"""Prints what a firmware image takes of its chip, and fails when that is more than its budget.

size_budget.py NAME SIZE_TOOL ELF FLASH_BYTES RAM_BYTES, where RAM is what is placed at link time, without the stack.
"""

import subprocess
import sys


def sections(size_tool: str, elf: str) -> tuple[int, int, int]:
    """Bytes of code and constants, of initialised variables, and of cleared variables."""
    table = subprocess.run([size_tool, elf], check=True, capture_output=True, text=True).stdout.splitlines()
    text, data, bss = (int(word) for word in table[1].split()[:3])
    return text, data, bss


def main(name: str, size_tool: str, elf: str, flash_budget: str, ram_budget: str) -> int:
    """Exit status: 1 when the image is over its budget."""
    text, data, bss = sections(size_tool, elf)
    flash, ram = text + data, data + bss
    print(f"{name}: flash {flash} of {flash_budget} bytes, RAM {ram} of {ram_budget} bytes", flush=True)
    over = [
        f"{what} is {used - int(budget)} bytes over its budget"
        for what, used, budget in (("flash", flash, flash_budget), ("RAM", ram, ram_budget))
        if used > int(budget)
    ]
    if over:
        print(f"{name}: {' and '.join(over)}", file=sys.stderr)
    return 1 if over else 0


if __name__ == "__main__":
    if len(sys.argv) != 6:
        sys.exit("usage: size_budget.py NAME SIZE_TOOL ELF FLASH_BYTES RAM_BYTES")
    sys.exit(main(*sys.argv[1:]))
