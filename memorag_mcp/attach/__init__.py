"""One server for all hosts of a person: what a host starts attaches to it, and starts it where there is none yet.

All here but `hosts.py` is imported by every host's process, so it imports nothing heavy, and the SDK neither.
"""
