"""Encoded sound and images as numbers: what the pipeline does to files, serving does to what users send.

It must never import ray, torch or pyarrow; soundfile, soxr and Pillow only where something is decoded.
"""
