"""Headrace: data to answers, from four custom resources, on Kubernetes or on a laptop."""

__version__ = "0.1.0"
