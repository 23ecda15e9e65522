"""A context: the corpus that is searched, how texts become one, and how it is kept on disk."""
