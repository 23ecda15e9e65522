"""Latent context: an encoder pools a few tokens into one embedding, which an ordinary decoder reads in their place."""
