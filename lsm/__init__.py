"""Hardware-in-the-loop controller for learned-sensing microscopes."""

__version__ = "0.1.0"
