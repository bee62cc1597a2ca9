"""Ordinary and partial differential equations with their exact solutions."""
