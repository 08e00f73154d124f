"""Master, workers, snapshots, timers and logs."""
