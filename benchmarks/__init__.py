"""What a run costs: the real engine, beside an empty program and beside resources that do nothing."""
