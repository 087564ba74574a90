"""Stand-ins for hardware: what speaks a wire or a vendor interface in place of a device."""
