"""Models compiled for a CPU: what most calls need of them, without torch and transformers, which import slowly."""
