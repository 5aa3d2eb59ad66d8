"""Diagrams of the tests, generated once and kept: `perdure generate --check tests/diagrams/flows` holds them."""
