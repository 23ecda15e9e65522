"""A siege of a server: connections that say nothing, kills, and an hour of clients that come and go."""
