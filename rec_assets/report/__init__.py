"""The hourly report: plots of what the tables hold."""
