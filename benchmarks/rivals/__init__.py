"""The methods that a user would pick instead, each a function from a `borex.evaluation.benchmark.Task` to a map."""
