"Everything about the package stands in settings.ini, which nbdev reads too; this hands it to setuptools."

import shutil
from configparser import ConfigParser
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

parser = ConfigParser(delimiters=["="], interpolation=None)
parser.read("settings.ini", encoding="utf-8")
settings = parser["DEFAULT"]
readme = Path("README.md")


class BuildWithExperiments(build_py):
    "The wheel carries the experiment notebooks as posegen/experiments; a checkout keeps them where they are."

    def run(self):
        if not self.editable_mode:  # what an earlier build left behind may be out of date
            shutil.rmtree(Path(self.build_lib, "posegen"), ignore_errors=True)
        super().run()
        if not self.editable_mode:
            folder = Path(self.build_lib, "posegen", "experiments")
            folder.mkdir()
            for notebook in sorted(Path("nbs", "experiments").glob("*.ipynb")):
                shutil.copyfile(notebook, folder / notebook.name)


setup(
    name=settings["lib_name"],
    version=settings["version"],
    description=settings["description"],
    long_description=readme.read_text(encoding="utf-8") if readme.exists() else "",
    long_description_content_type="text/markdown",
    author=settings["author"],
    keywords=settings["keywords"],
    license_expression="Apache-2.0 AND CC0-1.0",  # the code and most data; the body of the embedded people (see NOTICE)
    license_files=["LICENSE", "NOTICE", "posegen/assets/*_LICENSE.txt"],
    classifiers=[
        "Development Status :: 4 - Beta",
        "Intended Audience :: Education",
        "Intended Audience :: Science/Research",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Topic :: Scientific/Engineering :: Image Processing",
        "Typing :: Typed",
    ],
    python_requires=">=" + settings["min_python"],
    packages=find_packages(include=["posegen", "posegen.*"]),
    package_data={"posegen": ["py.typed", "assets/**/*"]},
    cmdclass={"build_py": BuildWithExperiments},
    install_requires=settings["requirements"].split(),
    extras_require={
        name: settings[f"{name}_requirements"].split()
        for name in ("dev", "docs", "estimator", "mp4", "notebook", "tensorboard")
    },
    entry_points={"console_scripts": settings["console_scripts"].split()},
    zip_safe=False,
)
