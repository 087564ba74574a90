"""Light learned together with the network that reads it, and the bundle that carries both."""

from lsm.sensing.bundle import Bundle, BundleCard

__all__ = ["Bundle", "BundleCard"]
