"""Read the claims of all notebooks from the command line.

``python -m nnbook.claims [--json | --mutate] [folder]`` prints the claims stored in all notebooks of a folder
(default ``chapters``), or the mistakes that they would not notice, and exits with 1 if one of them failed.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
from collections.abc import Sequence

from nnbook.claims import collect, table, unnoticed


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status: 0, 1 if a claim failed, 2 if there is nothing to read."""
    parser = argparse.ArgumentParser(prog="python -m nnbook.claims", description=__doc__)
    parser.add_argument("folder", nargs="?", default="chapters")
    parser.add_argument("--json", action="store_true", help="one JSON list, one object a claim")
    parser.add_argument("--mutate", action="store_true", help="the mistakes that claims would not notice")
    options = parser.parse_args(arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):  # into a file, Windows would write what cannot say ψ
        sys.stdout.reconfigure(encoding="utf-8")
    try:
        claims = collect(options.folder)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    if options.json:
        print(json.dumps([claim.record() for claim in claims], indent=1, ensure_ascii=False))
    elif options.mutate:
        for mistake, blind in unnoticed(claims).items():
            print(f"{mistake}: {len(blind)} claims hold in spite of it")
            print(*(f"  {claim.chapter}: {claim}" for claim in blind), sep="\n")
    else:
        print(table(claims))
    return 0 if all(claim.passed for claim in claims) else 1


if __name__ == "__main__":
    sys.exit(main())
