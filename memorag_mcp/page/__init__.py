"""The page where answers stand beside their sources: its files, in the browser and in hosts, and the tools it needs."""
