"""Training memories: beacons from a folder of text, fine-tuned on clues, and measured."""
