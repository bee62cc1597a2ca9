"""Samplers and what is made of their samples."""
