#!/usr/bin/python3
"""Writes compile_commands.json: compile_commands.py OUT FILE... with the flags in HV_FLAGS, UNIT_FLAGS, FUZZ_FLAGS."""

import json
import os
import shlex
import sys
from pathlib import Path


def main():
    out, *sources = sys.argv[1:]
    entries = []
    for source in sources:
        kind = "UNIT" if source.startswith("tests/unit/") else "FUZZ" if source.startswith("tests/fuzz/") else "HV"
        arguments = shlex.split(os.environ[kind + "_FLAGS"]) + ["-c", source]
        entries.append({"directory": str(Path.cwd()), "file": source, "arguments": arguments})
    Path(out).write_text(json.dumps(entries, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
