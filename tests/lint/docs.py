#!/usr/bin/python3
"""Checks that documents tell the truth about the tree: lint-docs.

Every `folder/file` in docs/*.md, README.md and CONTRIBUTING.md exists; every `file:name` is a name that the file
has; every `make target` is a target; links lead somewhere.
"""

import re
import sys
from pathlib import Path

FOLDERS = "boot|arch|mm|vmx|core|devices|include|lib|iso|scripts|tests|docs|guest-images"
PLACE = re.compile(rf"`((?:{FOLDERS})/[\w./*-]*\w[*]?)(?::(\w+))?/?`")
TARGET = re.compile(r"`(?:\w+=\S+ )*make ([a-z][a-z0-9-]*)")
LINK = re.compile(r"\]\(([^)#:]+)\)")


def make_targets():
    text = "\n".join(p.read_text() for p in [Path("Makefile"), *Path(".").glob("*/**/*.mk")])
    names = set(re.findall(r"(?m)^([a-z0-9-]+):", text))
    lints = re.search(r"(?m)^LINTS := (.*)$", text)
    return names | {f"lint-{name}" for name in lints.group(1).split()}


def faults(doc, targets):
    for number, line in enumerate(doc.read_text().splitlines(), 1):
        for place, name in PLACE.findall(line):
            if place.startswith("build/"):
                continue
            files = list(Path(".").glob(place))
            if not files:
                yield number, f"there is no {place}"
            elif name and not any(re.search(rf"\b{name}\b", f.read_text()) for f in files):
                yield number, f"{place} knows no {name}"
        for target in TARGET.findall(line):
            if target not in targets:
                yield number, f"there is no target {target}"
        for link in LINK.findall(line):
            if not (doc.parent / link).exists():
                yield number, f"the link to {link} leads nowhere"


def main():
    targets = make_targets()
    bad = 0
    for doc in [Path("README.md"), Path("CONTRIBUTING.md"), *sorted(Path("docs").rglob("*.md"))]:
        for number, text in faults(doc, targets):
            print(f"{doc}:{number}: {text}")
            bad += 1
    return bad > 0


if __name__ == "__main__":
    sys.exit(main())
