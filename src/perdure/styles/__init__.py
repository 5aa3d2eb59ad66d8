"""Styles of tasks beside the plain function, each a thin module over the engine; none knows another."""
