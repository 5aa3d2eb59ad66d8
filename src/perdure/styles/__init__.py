"""Styles: ways to obtain a driver. Each is thin, written over the engine, and imports nothing of the others."""
