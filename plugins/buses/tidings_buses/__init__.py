"""Buses: how nodes wake one another."""
