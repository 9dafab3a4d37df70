"""What the daemon looks after, again and again: no run waits for what will not come."""
