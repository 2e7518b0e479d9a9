"""Lanes and graphs on Ray: where tasks run when one process is not enough; the only user of ray."""
