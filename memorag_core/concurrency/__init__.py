"""Who works when: the fair queue of a device, cancelling, and caches that threads share."""
