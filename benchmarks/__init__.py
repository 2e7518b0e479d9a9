"""One script a question; each judges its goals and writes what it measured to benchmarks/results/."""
