#!/usr/bin/python3
"""What no compiler checks: lengths of files and functions, stray blanks, paths of one machine.

    text.py [ROOT]        looks at every file of ours below ROOT
"""

import ast
import re
import sys
from pathlib import Path

FILE_LINES = 600
FUNCTION_LINES = 60
COLUMNS = 120  # of scripts; clang-format looks after C, and texts for people are not cut

SKIPPED = {".git", ".pytest_cache", "build", "__pycache__", "corpus"}
BINARY = {".png", ".gz", ".iso", ".bin"}
C = {".c", ".h"}
LENGTH_LIMITED = {".c", ".h", ".S", ".py", ".sh", ".mk"}
# Directories that exist on somebody's machine only. Written so that this file does not name one itself.
MACHINE_PATH = re.compile("/(?:wor" + "k|home/[a-z]+|User" + "s)/")


def files(root):
    for path in sorted(root.rglob("*")):
        if path.is_file() and not SKIPPED & set(path.relative_to(root).parts) and path.suffix not in BINARY:
            yield path


def c_functions(lines):
    """(first line's number, length) of each body: with our style, `{` and `}` in column one."""
    start = None
    for number, line in enumerate(lines, 1):
        if line == "{":
            start = number
        elif line == "}" and start is not None:
            yield start, number - start - 1
            start = None


def python_functions(text):
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node.lineno, node.end_lineno - node.lineno


def line_faults(number, line, columns):
    if line != line.rstrip():
        yield number, "blanks at the end of the line"
    if len(line.expandtabs(8)) > columns:
        yield number, f"longer than {columns} columns"
    if MACHINE_PATH.search(line):
        yield number, "names a path of one machine"


def file_faults(path):
    try:
        text = path.read_text()
    except UnicodeDecodeError:
        return
    lines = text.splitlines()
    is_python = path.suffix == ".py" or text.startswith("#!/usr/bin/python3")
    if text and not text.endswith("\n"):
        yield len(lines), "no newline at the end"
    if path.suffix in LENGTH_LIMITED and len(lines) > FILE_LINES:
        yield len(lines), f"more than {FILE_LINES} lines"
    if path.suffix in C and not text.startswith("/*"):
        yield 1, "does not open with a comment that says what it is"
    for number, line in enumerate(lines, 1):
        yield from line_faults(number, line, COLUMNS if text.startswith("#!") or path.suffix == ".py" else 10000)
    try:
        bodies = list(c_functions(lines) if path.suffix in C else python_functions(text) if is_python else ())
    except SyntaxError as e:
        yield e.lineno, f"syntax error: {e.msg}"
        return
    for number, length in bodies:
        if length > FUNCTION_LINES:
            yield number, f"function of {length} lines (limit {FUNCTION_LINES})"


def main():
    root = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
    faults = [f"{p}:{n}: {what}" for p in files(root) for n, what in file_faults(p)]
    print("\n".join(faults), end="\n" if faults else "")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
