"""Transports: how news reaches a client."""
