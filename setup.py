"""Which packages there are: `ppl` with its subpackages, and the folder `stdlib/` under the name `ppl.std`."""

from setuptools import find_packages, setup

setup(
    packages=[
        *find_packages(include=["ppl", "ppl.*"]),
        "ppl.std",
        *(f"ppl.std.{name}" for name in find_packages("stdlib")),
    ],
    package_dir={"ppl.std": "stdlib"},
)
