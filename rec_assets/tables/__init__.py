"""The log as tables in DuckDB: what was rejected, what people did, the ledger of micro-batches, its figures."""
