"""Adapters: one module per host application, each a handful of facts about that host and nothing of the loop."""
