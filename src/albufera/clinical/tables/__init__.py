"""Clinical tables: reading CSV, converting cells to values."""
