"""Offline protocols over a file of events, with the parts that serve and train online."""
