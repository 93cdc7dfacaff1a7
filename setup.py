"""Packaging of autoscale_aks. Tool settings live in pyproject.toml."""

from __future__ import annotations

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
VERSION = re.search(r'__version__ = "([^"]+)"', (HERE / "autoscale_aks" / "__init__.py").read_text())
if VERSION is None:
    raise SystemExit("autoscale_aks/__init__.py does not define __version__")

setup(
    name="autoscale_aks",
    version=VERSION.group(1),
    description="A scheduler autoscaler plugin for Azure Kubernetes Service (AKS Machine API)",
    long_description=(HERE / "README.md").read_text(),
    long_description_content_type="text/markdown",
    license="MIT",
    python_requires=">=3.10",
    package_dir={"": "."},  # a plain tree: an editable installation needs no finder, and no warning
    packages=find_packages(include=["autoscale_aks", "autoscale_aks.*"]),
    package_data={
        "autoscale_aks": [
            "py.typed",
            "cloud/azure/data/*",
            "config/*.json",
            "emulator/data/*.json",
            "hooks/*.json",
            "reports/*.json",
            "reports/page_files/*",
        ]
    },
    install_requires=[
        "urllib3>=2.1",
        "certifi",
        "azure-identity>=1.15",
        "jsonschema>=4.20",
        "frozendict>=2.4",
        "numpy>=1.26",
        "click>=8.1",
        "jinja2>=3.1",
        "rich>=13.7",
        "prometheus_client>=0.20",
    ],
    extras_require={
        "emulator": ["starlette>=0.37", "uvicorn>=0.29"],
        "kubeconfig": ["PyYAML>=6.0"],
        "celery": ["celery[redis]>=5.4"],
        "kubernetes": ["kubernetes>=37.0", "msgspec>=0.19"],
        "optimize": ["highspy>=1.8"],
    },
    entry_points={"console_scripts": ["azaks=autoscale_aks.cli.main:main"]},
)
