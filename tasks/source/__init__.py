"""Python source files, found, measured and added up. Knows nothing of jobs: numbers in, numbers out."""
