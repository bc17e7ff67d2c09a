"""Measure the cost of runs of the real engine, compared with an empty program and with resources that do nothing."""
