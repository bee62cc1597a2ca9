"""Make ``nnbook/learning_basics.csv`` anew: measured nuclear masses and six published tables of them.

    python benchmarks/data/nuclear_masses.py

fetches three packages from PyPI by pip, reads the data files that they ship, and writes one row a nucleus
that has been measured or stands in the four tables that go beyond the drip lines. Mass excesses in MeV; the
measured ones as evaluated, the tables as published. Nothing of the packages is installed.
"""

import io
import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

PACKAGES = {"masstable": "0.4.1", "pynucastro": "3.1.0", "periodictable": "2.1.0"}
TABLES = ("DUZU", "FRDM95", "HFB26", "WS32010", "WS32011", "SVM13")
HEADER = f"""\
# Measured atomic mass excesses and six published mass tables, in MeV. Made by
# python benchmarks/data/nuclear_masses.py
# z, n: protons, neutrons. ame2012: the 2012 evaluation, doi 10.1088/1674-1137/36/12/003.
# ame2020, error: the 2020 evaluation with its standard error (NUBASE2020, doi 10.1088/1674-1137/abddae).
# Measured masses only; extrapolated ones (#) are left out. listed: 1 if periodictable lists it as measured.
# Tables: Duflo-Zuker, FRDM-95, HFB-26, WS3 of 2010 and 2011, SVM-13; HFB-26 and SVM-13 end earlier.
# From masstable {PACKAGES["masstable"]} (MIT, Copyright (c) 2021 Yaser Martinez Palenzuela), pynucastro
# {PACKAGES["pynucastro"]} (BSD 3-clause, Copyright (c) 2026, pynucastro developers) and periodictable
# {PACKAGES["periodictable"]} (public domain).
"""


def shipped(package: str, name: str) -> str:
    """The text of one data file of a package."""
    with tempfile.TemporaryDirectory() as folder:
        wanted = f"{package}=={PACKAGES[package]}"
        call = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", folder, wanted]
        subprocess.run(call, check=True, stderr=subprocess.DEVNULL)
        wheel = zipfile.ZipFile(next(Path(folder).glob("*.whl")))
        return wheel.read(name).decode("latin-1")


def mass_table(name: str) -> dict[tuple[int, int], float]:
    """A table of masstable by (Z, N)."""
    lines = shipped("masstable", f"masstable/data/{name}.txt").replace(",", " ").splitlines()[1:]
    rows = (line.split() for line in lines if line.strip())
    return {(int(z), int(n)): float(mass) for z, n, mass in rows}


def nubase() -> dict[tuple[int, int], tuple[float, float]]:
    """Measured mass excesses of ground states and their errors, by (Z, N)."""
    text, found = shipped("pynucastro", "pynucastro/nucdata/AtomicMassEvaluation/nubase_4.mas20.txt"), {}
    for line in io.StringIO(text):
        mass, error = line[18:31], line[31:42]
        if line[0] != "#" and line[7] == "0" and mass.strip() and "#" not in mass:
            a, z = int(line[:3]), int(line[4:7])
            found[z, a - z] = float(mass) / 1000, float(error) / 1000
    return found


def listed() -> set[tuple[int, int]]:
    """Nuclei that periodictable lists without the mark of an extrapolated mass."""
    text = shipped("periodictable", "periodictable/mass.py")
    rows = re.findall(r"^(\d+)-\w+-(\d+),[\d.]+\([\d.]*\),", text, re.MULTILINE)
    return {(int(z), int(a) - int(z)) for z, a in rows}


def main() -> None:
    old, new, seen = mass_table("AME2012"), nubase(), listed()
    tables = [mass_table(name) for name in TABLES]
    far = [set(table) for name, table in zip(TABLES, tables, strict=True) if name not in ("HFB26", "SVM13")]
    everywhere = set.intersection(*far)
    rows = [("z,n,ame2012,ame2020,error,listed," + ",".join(TABLES).lower())]
    for key in sorted(old.keys() | new.keys() | everywhere):
        measured = [f"{old[key]:.5f}" if key in old else ""]
        measured += [f"{new[key][0]:.5f}", f"{new[key][1]:.6f}"] if key in new else ["", ""]
        published = [f"{table[key]:.3f}" if key in table else "" for table in tables]
        cells = [*map(str, key), *measured, str(int(key in seen)), *published]
        rows.append(",".join(re.sub(r"(\.\d*?)0+$", r"\1", cell).rstrip(".") for cell in cells))
    path = Path(__file__).parents[2] / "nnbook" / "learning_basics.csv"
    path.write_text(HEADER + "\n".join(rows) + "\n", encoding="utf-8")
    print(f"{path}: {len(rows) - 1} nuclei, {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
