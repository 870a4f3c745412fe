"""Metadata of rove_description for pip and for colcon (ament_python)."""

from __future__ import annotations

from setuptools import Distribution, find_packages, setup

NAME = "rove_description"


class RosDistribution(Distribution):
    """Editable wheels with data files: setuptools asks for `has_data` there, and only has `has_data_files`."""

    def has_data(self) -> bool:
        return bool(self.data_files)


setup(
    distclass=RosDistribution,
    name=NAME,
    version="0.1.0",
    description="Robot models of ROVE HIL as URDF and MJCF, generated from one source",
    maintainer="ROVE HIL maintainers",
    maintainer_email="maintainers@rove-hil.dev",
    license="Apache-2.0",
    python_requires=">=3.11",
    packages=find_packages(include=[NAME, f"{NAME}.*"]),
    package_data={"": ["py.typed", "**/*.urdf", "**/*.xml", "**/*.yaml"]},
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{NAME}"]),
        (f"share/{NAME}", ["package.xml"]),
    ],
    zip_safe=False,
    # The joint limits in the models come from the robot's table in rove_core.
    install_requires=["numpy", "rove_hil"],
)
