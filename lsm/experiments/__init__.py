"""Reproduced results and searches over designs: what runs many trainings and makes one table of them."""
