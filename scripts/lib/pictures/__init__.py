"""The parts of scripts/pictures.py: its camera, and what is played in the hosts."""
