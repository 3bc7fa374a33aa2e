"Everything about the package stands in settings.ini, which nbdev reads too; this hands it to setuptools."
from configparser import ConfigParser
from pathlib import Path

from setuptools import find_packages, setup

parser = ConfigParser(delimiters=["="], interpolation=None)
parser.read("settings.ini", encoding="utf-8")
settings = parser["DEFAULT"]
readme = Path("README.md")

setup(
    name=settings["lib_name"],
    version=settings["version"],
    description=settings["description"],
    long_description=readme.read_text(encoding="utf-8") if readme.exists() else "",
    long_description_content_type="text/markdown",
    author=settings["author"],
    keywords=settings["keywords"],
    license="Apache-2.0",
    license_files=["LICENSE", "NOTICE"],
    python_requires=">=" + settings["min_python"],
    packages=find_packages(include=["posegen", "posegen.*"]),
    package_data={"posegen": ["assets/**/*"]},
    install_requires=settings["requirements"].split(),
    extras_require={name: settings[f"{name}_requirements"].split() for name in ("dev", "docs", "estimator", "notebook", "tensorboard")},
    entry_points={"console_scripts": settings["console_scripts"].split()},
    zip_safe=False,
)
